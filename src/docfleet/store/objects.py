"""What all stores on obstore share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from obstore.exceptions import BaseError
from obstore.store import LocalStore as _LocalObjects
from obstore.store import MemoryStore as _MemoryObjects

from docfleet.errors import NotStored, StoreError
from docfleet.store.base import check_key, check_prefix


class ObjectStore:
    """A `Store` over an obstore client (Rust: it must be made after any fork)."""

    def __init__(self, objects: _LocalObjects | _MemoryObjects) -> None:
        self._objects = objects

    def put(self, key: str, data: bytes | bytearray | memoryview) -> None:
        with translating_errors(key):
            self._objects.put(check_key(key), bytes(data))

    def get(self, key: str) -> bytes:
        with translating_errors(key):
            return bytes(self._objects.get(check_key(key)).bytes())

    def exists(self, key: str) -> bool:
        try:
            with translating_errors(key):
                self._objects.head(check_key(key))
        except NotStored:
            return False
        return True

    def delete(self, key: str) -> None:
        try:
            with translating_errors(key):
                self._objects.delete(check_key(key))
        except NotStored:
            return

    def list(self, prefix: str = "") -> Iterator[str]:
        where = check_prefix(prefix)
        with translating_errors(prefix):
            for chunk in self._objects.list(where or None):
                for found in chunk:
                    yield found["path"]

    def local_path(self, key: str) -> Path | None:
        check_key(key)
        if not self.exists(key):
            raise NotStored(f"nothing is stored under {key}")
        return None


@contextmanager
def translating_errors(key: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:  # obstore's NotFoundError is one
        raise NotStored(f"nothing is stored under {key}") from error
    except (BaseError, OSError) as error:
        # what follows the first line is a dump of the Rust error's structure
        said = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise StoreError(f"{key} cannot be stored or read: {said}") from error
