"""From files to ledger rows: hashed, typed by content, archives unpacked; what cannot be read is refused by name."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import stat
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from docfleet.domain.file_names import name_as_text
from docfleet.domain.media import Kind, MediaType
from docfleet.errors import DocumentError, SourceChanged, SourceUnreadable, TooManyBytes, UnsupportedType
from docfleet.ledger import Ledger, NewBatch, NewInput
from docfleet.pipeline.collect import SourceFile
from docfleet.pipeline.identify import identify
from docfleet.pipeline.outcome import OUTCOME_FILE
from docfleet.sandbox import ArchiveLimits, Sandbox

_CHUNK = 1 << 20
_GROUP = 50
"""Inputs registered in one transaction: workers start on the first while the rest are still being hashed."""


class Intake(msgspec.Struct, frozen=True):
    """What intake needs: where to register, where archive members go, and the limits."""

    ledger: Ledger
    batch: NewBatch
    output: Path
    """Where the result folders go."""
    members: Path
    """Folder for files unpacked from archives, named by the SHA-256 of their bytes."""
    sandbox: Callable[[], Sandbox]
    """Opened only when there is an archive to unpack."""
    max_file_bytes: int
    archive_limits: ArchiveLimits
    passwords: tuple[str, ...] = ()

    def take(self, files: Iterable[SourceFile]) -> Iterator[int]:
        """Registers `files`; yields how many inputs (archive members included) have been registered so far."""
        waiting: list[NewInput] = []
        registered = 0
        for file in files:
            waiting.extend(self._inputs_of(file))
            if len(waiting) >= (_GROUP if registered else 4):
                registered += self._register(waiting)
                waiting = []
                yield registered
        registered += self._register(waiting)
        yield registered

    def _register(self, inputs: Sequence[NewInput]) -> int:
        self.ledger.register(self.batch, inputs)
        return len(inputs)

    def _inputs_of(self, file: SourceFile) -> Iterator[NewInput]:
        try:
            size, media = self._look_at(file.path)
            if media.kind is Kind.ARCHIVE:
                yield from self._members_of(file)
                return
            digest = sha256_of(file.path)
        except DocumentError as error:
            yield _refused(file.shown, file.key, "", error)
            return
        except PermissionError:
            yield _refused(file.shown, file.key, "", SourceUnreadable())
            return
        except OSError as error:
            reason = SourceChanged(f"The file could not be opened: {error.strerror or error}.")
            yield _refused(file.shown, file.key, "", reason)
            return
        yield NewInput(
            name=file.shown,
            path=file.key,
            sha256=digest,
            size_bytes=size,
            media_type=media.mime_type,
            folder=self._folder(file.path.name),
        )

    def _folder(self, file_name: str) -> str:
        """A name for the results folder that is not that of a folder of somebody else's."""
        name = folder_name(file_name)
        while (self.output / name).exists() and not (self.output / name / OUTCOME_FILE).is_file():
            name += "_"
        return name

    def _look_at(self, path: Path) -> tuple[int, MediaType]:
        facts = path.stat()
        if stat.S_ISDIR(facts.st_mode):
            raise SourceUnreadable("The folder cannot be listed, so the files in it could not be read.")
        if not stat.S_ISREG(facts.st_mode):
            raise UnsupportedType("This is no regular file but a device, a pipe or a socket.")
        if facts.st_size > self.max_file_bytes:
            raise TooManyBytes(f"The file has {facts.st_size:,} bytes; the limit is {self.max_file_bytes:,}.")
        return facts.st_size, identify(path)

    def _members_of(self, file: SourceFile) -> Iterator[NewInput]:
        """The files inside an archive; each member that is refused is an input with its own outcome."""
        place = file.key
        draft = self.members / f".unpacking-{os.getpid()}"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        try:
            for member in self.sandbox().unpack(file.path, draft, self.archive_limits, self.passwords):
                name = f"{file.shown}/{member.name}"
                if member.error is not None:
                    yield _refused(name, place, member.name, member.error)
                    continue
                assert member.path is not None
                yield self._member(name, place, member.name, Path(member.path))
        except DocumentError as error:
            yield _refused(file.shown, place, "", error)
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def _member(self, name: str, archive: str, inner: str, unpacked: Path) -> NewInput:
        try:
            size, media = self._look_at(unpacked)
        except DocumentError as error:
            return _refused(name, archive, inner, error)
        digest = sha256_of(unpacked)
        os.replace(unpacked, self.members / digest)
        return NewInput(
            name=name,
            path=archive,
            member=inner,
            sha256=digest,
            size_bytes=size,
            media_type=media.mime_type,
            folder=self._folder(Path(inner).name),
        )


RESERVED_NAMES = frozenset({"ledger", "index.csv", "index.json", "report.pdf"})
"""What stands in the output folder beside the results."""


def sha256_of(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def folder_name(file_name: str) -> str:
    """A folder name from a file name: its stem, in characters every file system takes.

    >>> folder_name("Invoice 01.pdf"), folder_name("a/b: c?.tif"), folder_name("...")
    ('Invoice 01', 'b_ c_', 'document')
    """
    stem = name_as_text(Path(file_name.replace("\\", "/")).stem)
    clean = re.sub(r'[<>:"/\\|?*]', "_", unicodedata.normalize("NFC", stem))
    # nothing that steers a terminal or hides: control characters, turns of direction
    clean = "".join("_" if unicodedata.category(char) in ("Cc", "Cf", "Zl", "Zp") else char for char in clean).strip(
        " ."
    )
    # 150 bytes leave room for what is appended to keep names apart; most file systems take 255
    clean = clean.encode("utf-8", "replace")[:150].decode("utf-8", "ignore").strip(" .")
    return f"{clean}_" if clean.casefold() in RESERVED_NAMES else clean or "document"


def _refused(name: str, path: str, member: str, error: DocumentError) -> NewInput:
    return NewInput(name=name, path=path, member=member, code=error.code, message=error.message)
