"""A store in a folder of the local disk."""

from __future__ import annotations

import os
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from obstore.store import LocalStore as _LocalObjects

from docfleet.errors import BadKey, NotStored, StoreError
from docfleet.store.base import Data, check_key, check_prefix
from docfleet.store.objects import ObjectStore

_UNFINISHED = re.compile(r"(?P<name>.+)#[0-9]+")
"""A file being written, or a folder being deleted, beside its place; obstore takes no notice of such files."""


class FolderStore(ObjectStore):
    """One file per object, written beside its place and renamed, so that no part is ever seen.

    `durable`: what was put survives a power cut (file and folders are flushed to the disk before `put` returns);
    without, the last seconds may be lost.
    """

    def __init__(self, folder: Path, *, durable: bool = False) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"the folder {folder} cannot be made: {error.strerror}") from error
        self._folder = folder.resolve()
        self._durable = durable
        super().__init__(_LocalObjects(prefix=self._folder))

    def put(self, key: str, data: Data) -> None:
        self.put_stream(key, (data,))

    def put_stream(self, key: str, chunks: Iterable[Data]) -> int:
        place = self._folder / check_key(key)
        written = 0
        unfinished, file = self._begin(key, place)
        try:
            try:
                for chunk in chunks:
                    try:
                        _write_all(file, chunk)
                    except OSError as error:
                        raise _refused(key, error) from error
                    written += len(chunk)
                try:
                    if self._durable:
                        os.fsync(file)
                except OSError as error:
                    raise _refused(key, error) from error
            finally:
                os.close(file)
            self._commit(key, unfinished, place)
        except BaseException:
            with suppress(OSError):
                unfinished.unlink()
            raise
        return written

    def _begin(self, key: str, place: Path) -> tuple[Path, int]:
        unfinished = _beside(place)
        for attempt in range(3):
            try:
                self._make_folders(place.parent)
                return unfinished, os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
            except FileNotFoundError as error:
                # the folder was deleted in between, with all that was in it
                if attempt == 2:
                    raise _refused(key, error) from error
            except OSError as error:
                raise _refused(key, error) from error
        raise AssertionError("unreachable")

    def _make_folders(self, folder: Path) -> None:
        missing = []
        while not folder.is_dir():
            missing.append(folder)
            folder = folder.parent
        for new in reversed(missing):
            new.mkdir(exist_ok=True)
            if self._durable:
                _flush_folder(new.parent)

    def _commit(self, key: str, unfinished: Path, place: Path) -> None:
        try:
            unfinished.replace(place)
            if self._durable:
                _flush_folder(place.parent)
        except OSError as error:
            raise _refused(key, error) from error

    def delete_prefix(self, prefix: str) -> int:
        where = check_prefix(prefix)
        if not where:
            raise BadKey("a whole store is never deleted")
        count = sum(1 for _ in self.list(where))
        folder = self._folder / where
        try:
            # out of the way first: what is written meanwhile would keep the folder from becoming empty
            with suppress(FileNotFoundError, NotADirectoryError):
                folder.rename(_beside(folder))
            for doomed in folder.parent.glob(f"{folder.name}#*/"):
                with suppress(FileNotFoundError):
                    shutil.rmtree(doomed)
        except OSError as error:
            raise StoreError(f"{prefix} cannot be deleted: {error.strerror}") from error
        return count

    def list(self, prefix: str = "") -> Iterator[str]:
        return (key for key in super().list(prefix) if "#" not in key)

    def list_with_times(self, prefix: str = "") -> Iterator[tuple[str, float]]:
        where = check_prefix(prefix)
        yield from self._walk(self._folder / where, where)

    def _walk(self, folder: Path, where: str) -> Iterator[tuple[str, float]]:
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            raise StoreError(f"{where or 'the store'} cannot be listed: {error.strerror}") from error
        for entry in entries:
            unfinished = _UNFINISHED.fullmatch(entry.name)
            name = unfinished["name"] if unfinished else entry.name
            key = f"{where}/{name}" if where else name
            if entry.is_dir(follow_symlinks=False):
                yield from self._walk(Path(entry.path), key)
                continue
            with suppress(FileNotFoundError):
                yield key, entry.stat(follow_symlinks=False).st_mtime

    def local_path(self, key: str) -> Path | None:
        path = self._folder / check_key(key)
        if not path.is_file():
            raise NotStored(f"nothing is stored under {key}")
        return path

    def check(self) -> None:
        if not self._folder.is_dir() or not os.access(self._folder, os.W_OK | os.X_OK):
            raise StoreError(f"the store's folder {self._folder} is not there, or may not be written")

    def free_bytes(self) -> int | None:
        try:
            return shutil.disk_usage(self._folder).free
        except OSError as error:
            raise StoreError(f"the store's folder {self._folder} cannot be read: {error.strerror}") from error


def _beside(place: Path) -> Path:
    return place.with_name(f"{place.name}#{secrets.randbits(63)}")


def _write_all(file: int, chunk: Data) -> None:
    left = memoryview(chunk)
    while left:
        left = left[os.write(file, left) :]


def _flush_folder(folder: Path) -> None:
    """A new name survives a power cut only when its folder was flushed as well."""
    handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _refused(key: str, error: OSError) -> StoreError:
    return StoreError(f"{key} cannot be stored: {error.strerror or type(error).__name__}")
