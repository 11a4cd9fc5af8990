"""What is sent for a document: its bytes, from the start at every attempt, and what was said about it."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote

import msgspec

from docfleet.client.problems import with_facts
from docfleet.domain.features import NO_FEATURE
from docfleet.domain.file_names import name_as_text
from docfleet.errors import SourceChanged, SourceUnreadable, UsageError

Source = str | Path | bytes | BinaryIO
_CHUNK = 128 * 1024
MAX_NAME = 500
_NAME_A_FILE = "Name a file that is there."
OnSent = Callable[[int], None]
"""Told how many more bytes have been handed to the connection; a negative number when an attempt begins anew."""


class Upload:
    """The bytes of one document, readable as often as it takes."""

    def __init__(self, source: Source, name: str = "", on_sent: OnSent | None = None) -> None:
        """Raises `UsageError` for what is no document, `SourceUnreadable` for a file that is not there."""
        self._source = _checked(source)
        self._on_sent = on_sent
        self.name = name_as_text(name or _name_of(self._source))[-MAX_NAME:]
        self.size_bytes = self._measure()
        self._start = 0
        if not isinstance(self._source, (bytes, Path)):
            self._start = self._source.tell()

    def chunks(self) -> Iterator[bytes]:
        """All bytes, from the start. Raises `SourceChanged` when the file has become longer or shorter meanwhile."""
        sent = 0
        try:
            for chunk in self._read():
                sent += len(chunk)
                if sent > self.size_bytes:
                    raise SourceChanged
                if self._on_sent:
                    self._on_sent(len(chunk))
                yield chunk
            if sent != self.size_bytes:
                raise SourceChanged
            sent = 0
        finally:
            if sent and self._on_sent:
                self._on_sent(-sent)  # broken off: the next attempt counts from the start

    def _read(self) -> Iterator[bytes]:
        if isinstance(self._source, bytes):
            view = memoryview(self._source)
            for at in range(0, len(view), _CHUNK):
                yield bytes(view[at : at + _CHUNK])
            return
        if isinstance(self._source, Path):
            with _opened(self._source) as file:
                yield from iter(lambda: file.read(_CHUNK), b"")
            return
        self._source.seek(self._start)
        yield from iter(lambda: self._file_read(), b"")

    def _file_read(self) -> bytes:
        assert not isinstance(self._source, (bytes, Path))
        return self._source.read(_CHUNK)

    def _measure(self) -> int:
        if isinstance(self._source, bytes):
            return len(self._source)
        if isinstance(self._source, Path):
            with _opened(self._source) as file:
                return os.fstat(file.fileno()).st_size
        if not self._source.seekable():
            raise UsageError("A stream that cannot be read twice cannot be submitted safely: pass its bytes or a path.")
        here = self._source.tell()
        end = self._source.seek(0, io.SEEK_END)
        self._source.seek(here)
        return end - here


def _checked(source: Source) -> Path | bytes | BinaryIO:
    """Raises `UsageError` or `SourceUnreadable` unless it can be a document."""
    if isinstance(source, (str, os.PathLike)):
        path = Path(source)
        if path.is_dir():
            said = f"{name_as_text(str(path))} is a folder: submit the files in it, each by itself."
            raise with_facts(SourceUnreadable(said), remedy=_NAME_A_FILE)
        if not path.exists():
            said = f"There is no file {name_as_text(str(path))}."
            raise with_facts(SourceUnreadable(said), remedy=_NAME_A_FILE)
        return path
    if isinstance(source, (bytearray, memoryview)):
        return bytes(source)
    if isinstance(source, bytes):
        return source
    if not all(hasattr(source, method) for method in ("read", "seek", "tell", "seekable")):
        raise UsageError(f"{source!r:.100} is no document: pass a path, bytes, or a file opened for reading.")
    if isinstance(source, io.TextIOBase):
        raise UsageError('The file was opened as text: open it with the mode "rb".')
    return source


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except PermissionError as error:
        raise SourceUnreadable from error
    except OSError as error:
        raise SourceChanged(f"The file could not be opened: {error.strerror or error}.") from error


def _name_of(source: Path | bytes | BinaryIO) -> str:
    if isinstance(source, Path):
        return source.name
    name = getattr(source, "name", "")
    return Path(name).name if isinstance(name, str) and name else "document"


def password_header(password: str | Sequence[str]) -> dict[str, str]:
    """A header and no field of the query: addresses are written into logs on their way."""
    given = (password,) if isinstance(password, str) else password
    said = ",".join(quote(each, safe="") for each in given if each)
    return {"Docfleet-Password": said} if said else {}


def fields(
    *,
    priority: str | None = None,
    labels: Mapping[str, str] | None = None,
    deadline: datetime | None = None,
    formats: Sequence[str] | None = None,
    languages: Sequence[str] | None = None,
    mode: str | None = None,
    engine: str | None = None,
    features: Sequence[str] | None = None,
    batch: str | None = None,
    reuse: bool = True,
) -> dict[str, Any]:
    """What is said about a document, as fields of a submission; what is not said is left to the service."""
    if deadline is not None and not isinstance(deadline, datetime):
        raise UsageError(f"The deadline {deadline!r} is no datetime: say datetime.now(UTC) + timedelta(minutes=30).")
    if labels is not None and not isinstance(labels, Mapping):
        raise UsageError('Labels are names and values: say labels={"customer": "4711"}.')
    for name, several in (("formats", formats), ("languages", languages), ("features", features)):
        if isinstance(several, str):
            raise UsageError(f"{name} takes a list: say {name}=[{several!r}].")
    if deadline is not None and deadline.tzinfo is None:
        raise UsageError("The deadline has no time zone: say datetime.now(UTC) + timedelta(...), for example.")
    said = {
        "priority": priority,
        "labels": msgspec.json.encode(dict(labels)).decode() if labels else None,
        "deadline": deadline.isoformat() if deadline else None,
        "formats": ",".join(formats or ()) or None,
        "languages": ",".join(languages or ()) or None,
        "mode": mode,
        "features": ",".join(features) or NO_FEATURE if features is not None else None,
        "engine": engine,
        "batch": batch,
        "reuse": None if reuse else "false",
    }
    return {name: value for name, value in said.items() if value is not None}
