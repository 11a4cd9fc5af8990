"""What all stores on obstore share."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import obstore
from obstore.exceptions import BaseError

from docfleet.errors import BadKey, NotStored, StoreError
from docfleet.store.base import Data, check_key, check_prefix

if TYPE_CHECKING:
    from obstore import GetResult, ObjectMeta
    from obstore.store import ObjectStore as Objects

PART_BYTES = 8 * 1024 * 1024
"""Objects up to this go in one request, larger ones in parts of this. S3 takes no smaller parts than 5 MiB and no more
than 10,000 of them: 80 GB."""
PARTS_UNDER_WAY = 2
CHUNK_BYTES = 256 * 1024


class ObjectStore:
    """A `Store` over an obstore client (Rust: it must be made after any fork)."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def put(self, key: str, data: Data) -> None:
        with translating_errors(key):
            self._objects.put(check_key(key), bytes(data), use_multipart=len(data) > PART_BYTES)

    def put_many(self, objects: Mapping[str, Data]) -> None:
        for key, data in objects.items():
            self.put(key, data)

    def put_stream(self, key: str, chunks: Iterable[Data]) -> int:
        check_key(key)
        source = iter(chunks)
        head = bytearray()
        for chunk in source:
            head += chunk
            if len(head) >= PART_BYTES:
                return self._put_parts(key, chain([bytes(head)], source))
        self.put(key, head)
        return len(head)

    def _put_parts(self, key: str, chunks: Iterable[Data]) -> int:
        # Not by handing obstore the iterator: it would run inside obstore's own event loop, where a source that itself
        # reads from a store panics.
        with translating_errors(key):
            writer = obstore.open_writer(
                self._objects, key, buffer_size=PART_BYTES, max_concurrency=PARTS_UNDER_WAY
            ).__enter__()
        size = 0
        try:
            for chunk in chunks:
                size += len(chunk)
                with translating_errors(key):
                    writer.write(chunk)
        except BaseException:
            with suppress(BaseError, OSError):
                writer.__exit__(*sys.exc_info())  # aborts: the parts are deleted
            raise
        with translating_errors(key):
            writer.close()
        return size

    def get(self, key: str) -> bytes:
        with translating_errors(key):
            return bytes(self._objects.get(check_key(key)).bytes())

    def get_stream(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        check_key(key)
        if start == 0 and end is None:
            with translating_errors(key):
                return _chunks(key, self._objects.get(key))
        # stores differ in what they say to a range that is empty or begins past the end
        end = min(self.size(key), sys.maxsize if end is None else end)
        if start >= end:
            return iter(())
        with translating_errors(key):
            return _chunks(key, self._objects.get(key, options={"range": (start, end)}))

    def size(self, key: str) -> int:
        with translating_errors(key):
            return self._objects.head(check_key(key))["size"]

    def exists(self, key: str) -> bool:
        try:
            self.size(key)
        except NotStored:
            return False
        return True

    def delete(self, key: str) -> None:
        try:
            with translating_errors(key):
                self._objects.delete(check_key(key))
        except NotStored:
            return

    def delete_prefix(self, prefix: str) -> int:
        if not prefix:
            raise BadKey("a whole store is never deleted")
        deleted = 0
        for chunk in self._listed(prefix):
            keys = [found["path"] for found in chunk]
            try:
                with translating_errors(prefix):
                    self._objects.delete(keys)
            except NotStored:  # somebody else is deleting here: then one by one
                for key in keys:
                    self.delete(key)
            deleted += len(keys)
        return deleted

    def list(self, prefix: str = "") -> Iterator[str]:
        for chunk in self._listed(prefix):
            for found in chunk:
                yield found["path"]

    def list_with_times(self, prefix: str = "") -> Iterator[tuple[str, float]]:
        for chunk in self._listed(prefix):
            for found in chunk:
                yield found["path"], found["last_modified"].timestamp()

    def _listed(self, prefix: str) -> Iterator[Sequence[ObjectMeta]]:
        where = check_prefix(prefix)
        with translating_errors(prefix or "the store"):
            listing = self._objects.list(where or None, chunk_size=1000)
        while True:
            with translating_errors(prefix or "the store"):
                chunk = next(listing, None)
            if chunk is None:
                return
            yield chunk

    def local_path(self, key: str) -> Path | None:
        check_key(key)
        if not self.exists(key):
            raise NotStored(f"nothing is stored under {key}")
        return None

    def check(self) -> None:
        try:
            next(self._listed("check"), None)
        except NotStored as error:  # of a bucket; an empty listing is none
            raise StoreError("the bucket or container of the store does not exist") from error

    def free_bytes(self) -> int | None:
        return None


def _chunks(key: str, found: GetResult) -> Iterator[bytes]:
    stream = found.stream(min_chunk_size=CHUNK_BYTES)
    given = 0
    owed = found.range[1] - found.range[0]
    while True:
        with translating_errors(key):
            chunk = next(stream, None)
        if chunk is None:
            break
        given += len(chunk)
        yield bytes(chunk)
    if given != owed:
        raise StoreError(f"{key} ended after {given} of {owed} bytes")


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
