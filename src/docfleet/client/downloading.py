"""Result bytes onto the disk: streamed, taken up where a broken download stopped, checked, and renamed when whole."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path, PurePosixPath

from docfleet.client.connection import Connection
from docfleet.client.values import ResultFile
from docfleet.errors import ServiceError, ServiceUnreachable

_BROKEN_STREAMS = 5
"""So many connections in a row may break without bringing a byte before a download is given up."""


def download_file(connection: Connection, url: str, file: ResultFile, target: Path) -> Path:
    """Writes the result to `target`, which appears when it is whole and its SHA-256 is right.

    Beside it stands `.NAME.DIGEST.part` meanwhile; a download broken off, even by the end of this process, goes on
    from there. Raises `ServiceUnreachable`, and `ServiceError` for bytes that are not those of the result.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name[:100]}.{file.sha256[:16] or 'new'}.part")
    if not file.sha256:
        part.unlink(missing_ok=True)
    for _ in range(2):
        _fetch(connection, url, file, part)
        if not file.sha256 or digest_of(part) == file.sha256:
            os.replace(part, target)
            return target
        part.unlink()  # another's bytes, or a torn page of a crashed disk: once more from the start
    raise ServiceError(f"The bytes of {file.path} were not those of the result, twice.")


def _fetch(connection: Connection, url: str, file: ResultFile, part: Path) -> None:
    """Streams into `part` until it is whole, going on after broken connections."""
    fruitless = 0
    while True:
        have = part.stat().st_size if part.exists() else 0
        if have and have >= file.size_bytes:
            return
        try:
            _append(connection, url, file, part, have)
            return
        except ServiceUnreachable:
            now = part.stat().st_size if part.exists() else 0
            fruitless = fruitless + 1 if now <= have else 0
            if fruitless >= _BROKEN_STREAMS:
                raise


def _append(connection: Connection, url: str, file: ResultFile, part: Path, have: int) -> None:
    headers = {"Accept-Encoding": "identity"}
    if have:
        headers |= {"Range": f"bytes={have}-", "If-Range": f'"{file.sha256}"'}
    with connection.stream(url, headers=headers) as response:
        # 200: the service sends it whole, because it has changed or does not do ranges
        mode = "ab" if response.status_code == 206 else "wb"
        with part.open(mode) as out:
            for chunk in response.iter_bytes():  # of no fixed size, which would lose what came before a cut
                out.write(chunk)


def digest_of(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def safe_place(folder: Path, path: str) -> Path:
    """Where a result of this path goes below `folder`. Raises `ServiceError` for a path that would lead elsewhere."""
    pure = PurePosixPath(path)
    if not pure.parts or pure.is_absolute() or ".." in pure.parts or "\0" in path or "\\" in path:
        raise ServiceError(f"The service named a result {path!r}, which is no place below a folder.")
    return folder.joinpath(*pure.parts)
