"""A store in a folder of the local disk."""

from __future__ import annotations

import os
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
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
        self.put_many({key: data})

    def put_many(self, objects: Mapping[str, Data]) -> None:
        with self._drafts() as drafts:
            for key, data in objects.items():
                drafts.write(key, (data,))

    def put_stream(self, key: str, chunks: Iterable[Data]) -> int:
        with self._drafts() as drafts:
            return drafts.write(key, chunks)

    @contextmanager
    def _drafts(self) -> Iterator[_Drafts]:
        drafts = _Drafts(str(self._folder), self._durable)
        try:
            yield drafts
            drafts.commit()
        finally:
            drafts.discard()

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


class _Drafts:
    """Files written beside their places, which take them all at the end.

    Paths are plain text here: this runs for every result of every document, and `Path` would take a third of it.
    """

    def __init__(self, root: str, durable: bool) -> None:
        self._root = root
        self._durable = durable
        self._written: list[tuple[str, str, str]] = []
        """(Key, unfinished file, its place)."""
        self._changed: set[str] = set()
        """Folders with new names in them; each is flushed once, however many there are."""

    def write(self, key: str, chunks: Iterable[Data]) -> int:
        """Returns how many bytes there were. What `chunks` raises passes unchanged."""
        place = f"{self._root}/{check_key(key)}"
        unfinished, file = self._begin(key, place)
        self._written.append((key, unfinished, place))
        size = 0
        try:
            for chunk in chunks:
                try:
                    _write_all(file, chunk)
                except OSError as error:
                    raise _refused(key, error) from error
                size += len(chunk)
            try:
                if self._durable:
                    os.fsync(file)
            except OSError as error:
                raise _refused(key, error) from error
        finally:
            os.close(file)
        return size

    def commit(self) -> None:
        while self._written:
            key, unfinished, place = self._written[0]
            try:
                os.replace(unfinished, place)
            except OSError as error:
                raise _refused(key, error) from error
            del self._written[0]
        if not self._durable:
            return
        for folder in self._changed:
            try:
                _flush_folder(folder)
            except OSError as error:
                raise StoreError(f"{folder} cannot be flushed to the disk: {error.strerror}") from error

    def discard(self) -> None:
        """Removes what was not committed."""
        for _, unfinished, _ in self._written:
            with suppress(OSError):
                os.unlink(unfinished)

    def _begin(self, key: str, place: str) -> tuple[str, int]:
        unfinished = f"{place}#{secrets.randbits(63)}"
        folder = os.path.dirname(place)
        self._changed.add(folder)
        for attempt in range(4):
            try:
                return unfinished, os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
            except FileNotFoundError as error:
                # the folder was not there yet, or was deleted in between with all that was in it
                if attempt == 3:
                    raise _refused(key, error) from error
                self._make_folders(key, folder)
            except OSError as error:
                raise _refused(key, error) from error
        raise AssertionError("unreachable")

    def _make_folders(self, key: str, folder: str) -> None:
        missing = []
        while not os.path.isdir(folder):
            missing.append(folder)
            folder = os.path.dirname(folder)
        for new in reversed(missing):
            self._changed.add(os.path.dirname(new))
            try:
                os.mkdir(new)
            except FileExistsError:
                continue
            except FileNotFoundError:
                return  # deleted in between
            except OSError as error:
                raise _refused(key, error) from error


def _beside(place: Path) -> Path:
    return place.with_name(f"{place.name}#{secrets.randbits(63)}")


def _write_all(file: int, chunk: Data) -> None:
    left = memoryview(chunk)
    while left:
        left = left[os.write(file, left) :]


def _flush_folder(folder: str) -> None:
    """A new name survives a power cut only when its folder was flushed as well."""
    handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _refused(key: str, error: OSError) -> StoreError:
    return StoreError(f"{key} cannot be stored: {error.strerror or type(error).__name__}")
