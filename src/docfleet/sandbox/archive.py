"""Unpacks zip archives in the child, never outside the folder given and never past the limits.

Members are written under numbers, so that no name from the archive ever reaches the file system; names, folders,
links and duplicates live only in the list that is returned. Sizes are counted while unpacking: what the archive's own
directory says is not believed.
"""

from __future__ import annotations

import io
import posixpath
import stat
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import msgspec

from docfleet.errors import ArchiveUnsafe, Damaged, DocumentError, PasswordRequired, PasswordWrong, UnsupportedType
from docfleet.sandbox.types import ArchiveLimits
from docfleet.sandbox.wire import MemberBody

_CHUNK = 1 << 16
_RATIO_FREE_BYTES = 1 << 20
"""Small members may shrink as they like: a page of zeros is no bomb."""
_MAX_NAME = 4096
_ENCRYPTED_BIT = 0x1
_ZIP_SIGNATURE = b"PK\x03\x04"
_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    OSError,
    ValueError,
    LookupError,
    NotImplementedError,
    RuntimeError,
)
_NOISE = ("__macosx/", ".ds_store", "thumbs.db", "desktop.ini")
"""What operating systems put into archives unasked; not reported."""


def unpack_archive(path: str, folder: Path, limits: ArchiveLimits, passwords: list[str]) -> dict[str, object]:
    """Unpacks the zip archive at `path` into `folder`: {"members": [`wire.MemberBody`, ...]}.

    Raises `ArchiveUnsafe` when the archive as a whole is past `limits`, `Damaged` when it cannot be listed.
    """
    job = _Unpacking(folder, limits, [password.encode() for password in passwords])
    with open(path, "rb") as file:
        job.unpack(file, "", 1)
    return {"members": [msgspec.to_builtins(member) for member in job.members]}


class _Unpacking:
    def __init__(self, folder: Path, limits: ArchiveLimits, passwords: Sequence[bytes]) -> None:
        self.folder = folder
        self.limits = limits
        self.passwords = passwords
        self.members: list[MemberBody] = []
        self.seen = 0
        self.total_bytes = 0

    def unpack(self, file: IO[bytes], prefix: str, depth: int) -> None:
        """Adds all members of one archive, those of archives within it included."""
        try:
            archive = zipfile.ZipFile(file)
        except _BROKEN as error:
            raise Damaged("The archive is damaged.") from error
        with archive:
            entries = archive.infolist()
            self.seen += len(entries)
            if self.seen > self.limits.max_files:
                raise ArchiveUnsafe(f"The archive holds more than {self.limits.max_files:,} files.")
            _refuse_overlap(entries)
            names: set[str] = set()
            for entry in entries:
                if not entry.is_dir() and not _is_noise(entry.filename):
                    self._take(archive, entry, prefix, names, depth)

    def _take(self, archive: zipfile.ZipFile, entry: zipfile.ZipInfo, prefix: str, names: set[str], depth: int) -> None:
        name = _shown(entry.filename)
        try:
            clean = _checked_name(entry, names)
            target = self.folder / f"{len(self.members):06d}"
            size = self._write(archive, entry, target)
        except ArchiveUnsafe as error:
            if isinstance(error, _WholeArchiveUnsafe):
                raise
            self._refuse(prefix + name, error)
            return
        except DocumentError as error:
            self._refuse(prefix + name, error)
            return
        if _is_plain_zip(target):
            self._descend(target, prefix + clean, depth)
        else:
            self.members.append(MemberBody(prefix + clean, target.name, size))

    def _descend(self, inner: Path, name: str, depth: int) -> None:
        if depth >= self.limits.max_depth:
            inner.unlink()
            self._refuse(name, ArchiveUnsafe(f"Archives lie within archives more than {self.limits.max_depth} deep."))
            return
        try:
            with inner.open("rb") as file:
                inner.unlink()  # its number is free for its own first member
                self.unpack(file, name + "/", depth + 1)
        except _WholeArchiveUnsafe:
            raise
        except DocumentError as error:
            self._refuse(name, error)

    def _refuse(self, name: str, error: DocumentError) -> None:
        self.members.append(MemberBody(name, code=error.code, message=error.message))

    def _write(self, archive: zipfile.ZipFile, entry: zipfile.ZipInfo, target: Path) -> int:
        """Unpacks one member with the first password that fits; the bytes written."""
        encrypted = bool(entry.flag_bits & _ENCRYPTED_BIT)
        if encrypted and not self.passwords:
            raise PasswordRequired("The file is encrypted within its archive and no password was given.")
        for password in self.passwords if encrypted else (None,):
            try:
                with archive.open(entry, pwd=password) as source, target.open("wb") as out:
                    return self._copy(source, out, entry)
            except (ArchiveUnsafe, MemoryError):
                target.unlink(missing_ok=True)
                raise
            except _BROKEN as error:
                target.unlink(missing_ok=True)
                if encrypted:
                    continue
                if isinstance(error, NotImplementedError):
                    raise UnsupportedType("The file is packed by a method that docfleet does not know.") from error
                raise Damaged("The file is damaged within its archive.") from error
        raise PasswordWrong("None of the given passwords opens the file within its archive.")

    def _copy(self, source: IO[bytes], out: io.BufferedWriter, entry: zipfile.ZipInfo) -> int:
        size = 0
        while chunk := source.read(_CHUNK):
            size += len(chunk)
            self.total_bytes += len(chunk)
            if size > self.limits.max_member_bytes:
                raise ArchiveUnsafe(f"The file is larger than {self.limits.max_member_bytes:,} bytes.")
            if size > _RATIO_FREE_BYTES and size > self.limits.max_ratio * max(entry.compress_size, 1):
                raise ArchiveUnsafe(f"The file unpacks to more than {self.limits.max_ratio:g} times its packed size.")
            if self.total_bytes > self.limits.max_total_bytes:
                raise _WholeArchiveUnsafe(f"The archive unpacks to more than {self.limits.max_total_bytes:,} bytes.")
            out.write(chunk)
        return size


class _WholeArchiveUnsafe(ArchiveUnsafe):
    """The archive is past a limit for all its files together."""


def _refuse_overlap(entries: list[zipfile.ZipInfo]) -> None:
    """Members that share packed bytes are a bomb (D. Fifield, "A better zip bomb", WOOT 2019)."""
    end = 0
    for entry in sorted(entries, key=lambda item: item.header_offset):
        if entry.header_offset < end:
            raise _WholeArchiveUnsafe("The archive's files overlap.")
        end = entry.header_offset + 30 + entry.compress_size


def _checked_name(entry: zipfile.ZipInfo, names: set[str]) -> str:
    """The member's name as a clean relative path. Raises `ArchiveUnsafe` for one that leads out of the archive."""
    name = entry.filename.replace("\\", "/")
    if len(name) > _MAX_NAME or "\x00" in name:
        raise ArchiveUnsafe("The file's name within the archive is not sane.")
    if name.startswith("/") or (len(name) > 1 and name[1] == ":"):
        raise ArchiveUnsafe("The file's name within the archive is absolute.")
    clean = posixpath.normpath(name)
    if clean.startswith("../") or clean in ("..", ".") or "/../" in name:
        raise ArchiveUnsafe("The file's name leads out of the archive.")
    mode = entry.external_attr >> 16
    if mode and stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        raise ArchiveUnsafe("The file is a link or a device.")
    if clean in names:
        raise ArchiveUnsafe("The archive holds two files of this name.")
    names.add(clean)
    return clean


def _shown(name: str) -> str:
    """A name fit for messages and lists."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in name[:200]) or "(no name)"


def _is_noise(name: str) -> bool:
    lowered = name.replace("\\", "/").lower()
    return lowered.startswith(_NOISE[0]) or posixpath.basename(lowered) in _NOISE[1:]


def _is_plain_zip(path: Path) -> bool:
    """A zip of files, and no office document or other package, which has a manifest among its first entries."""
    with path.open("rb") as file:
        head = file.read(4096)
    if not head.startswith(_ZIP_SIGNATURE):
        return False
    return not any(mark in head for mark in (b"[Content_Types].xml", b"mimetypeapplication/", b"META-INF/", b"_rels/"))
