"""Plain copies of stored documents, for the sandbox to open: one at a time, private, and gone with the slot."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from docfleet.errors import NoScratchSpace, NotIntact, NotStored, ScratchFull, SourceDamaged, StoreError
from docfleet.store import Store
from docfleet.telemetry import logger
from docfleet.worker.room import NO_ROOM, Fit, Room, judge_room, room_at

log = logger("worker")
SMALL_BYTES = 1024 * 1024
"""Room for less is not looked for: looking costs more than trying."""


class Sources:
    """Fetches documents into a folder of this process alone; keeps the last, since its slices often come in a row."""

    def __init__(self, folder: Path, measure: Callable[[Path], Room] = room_at) -> None:
        self._folder = folder
        self._measure = measure
        self._kept = ""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.clear()

    @property
    def folder(self) -> Path:
        return self._folder

    def fetch(self, content_id: str, store: Store, sha256: str, size_bytes: int) -> Path:
        """The file with the bytes of a content, checked against its hash.

        Raises SourceDamaged when the store has not these bytes, StoreError when it cannot be asked, ScratchFull while
        other work holds the room for it, NoScratchSpace when that would not suffice either.
        """
        path = self._folder / "source"
        if self._kept == content_id:
            return path
        self.clear()
        self._check_room(size_bytes)
        digest, size = hashlib.sha256(), 0
        try:
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                for part in store.get_stream(f"contents/{content_id}/source"):
                    file.write(part)
                    digest.update(part)
                    size += len(part)
        except NotStored as error:
            raise SourceDamaged("The stored bytes of the document are not there.") from error
        except NotIntact as error:
            raise SourceDamaged("The stored bytes of the document were altered or cut off.") from error
        except OSError as error:
            self.clear()
            if error.errno in NO_ROOM:
                # there was room before: others have taken it meanwhile
                raise ScratchFull() from error
            raise StoreError(f"the document cannot be copied: {error.strerror}") from error
        if digest.hexdigest() != sha256:
            log.error("source_damaged", content=content_id, expected_bytes=size_bytes, found_bytes=size)
            raise SourceDamaged(f"The stored document should have {size_bytes:,} bytes, and is another of {size:,}.")
        self._kept = content_id
        return path

    def _check_room(self, size_bytes: int) -> None:
        if size_bytes < SMALL_BYTES:
            return
        room = self._measure(self._folder)
        fit = judge_room(size_bytes, room)
        if fit is Fit.LATER:
            raise ScratchFull()
        if fit is Fit.NEVER:
            raise NoScratchSpace(
                f"The document has {size_bytes:,} bytes; where the worker keeps copies {room.free:,} are free."
            )

    def clear(self) -> None:
        """Removes every plain byte."""
        self._kept = ""
        for entry in self._folder.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry, ignore_errors=True)
            else:
                entry.unlink(missing_ok=True)
