"""Encryption at rest: a store whose objects only the holder of the content's data key can read."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from docfleet.errors import NotIntact, NotStored, StoreError
from docfleet.store.base import Data, Store
from docfleet.store.keys import HEADER_BYTES, SEGMENT_BYTES, TAG_BYTES, DataKey, MasterKey
from docfleet.store.objects import CHUNK_BYTES

__all__ = ["DataKey", "EncryptedStore", "MasterKey"]


class EncryptedStore:
    """A `Store` over another one, under one data key.

    An object opens only under the key it was stored by (its name is authenticated with it), so that objects cannot be
    exchanged for one another. What was altered, cut off or encrypted by another data key raises `NotIntact`; bytes
    that were not authenticated are never returned.
    """

    def __init__(self, store: Store, data_key: DataKey) -> None:
        self._store = store
        self._key = data_key

    def put(self, key: str, data: Data) -> None:
        self._store.put(key, b"".join(self._encrypted(key, (data,))))

    def put_many(self, objects: Mapping[str, Data]) -> None:
        self._store.put_many({key: b"".join(self._encrypted(key, (data,))) for key, data in objects.items()})

    def put_stream(self, key: str, chunks: Iterable[Data]) -> int:
        """As `Store.put_stream`; the number is of the plain bytes."""
        counted = _Counted(chunks)
        self._store.put_stream(key, self._encrypted(key, counted))
        return counted.size

    def get(self, key: str) -> bytes:
        return b"".join(self._decrypted(key, iter((self._store.get(key),))))

    def get_stream(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """As `Store.get_stream`. A `start` in the middle costs reading and decrypting all that is before it.

        Bytes are given out segment by segment, each authenticated; that an object was cut off shows only at its end,
        where this raises `NotIntact`.
        """
        return _between(self._decrypted(key, self._store.get_stream(key)), start, end)

    def size(self, key: str) -> int:
        """Of the plain bytes, reckoned from the stored ones (which are not authenticated by that)."""
        return plain_size(self._store.size(key))

    def exists(self, key: str) -> bool:
        return self._store.exists(key)

    def delete(self, key: str) -> None:
        self._store.delete(key)

    def delete_prefix(self, prefix: str) -> int:
        return self._store.delete_prefix(prefix)

    def list(self, prefix: str = "") -> Iterator[str]:
        return self._store.list(prefix)

    def list_with_times(self, prefix: str = "") -> Iterator[tuple[str, float]]:
        return self._store.list_with_times(prefix)

    def local_path(self, key: str) -> Path | None:
        """None: the file that there may be holds no plain bytes."""
        if not self._store.exists(key):
            raise NotStored(f"nothing is stored under {key}")
        return None

    def check(self) -> None:
        self._store.check()

    def free_bytes(self) -> int | None:
        return self._store.free_bytes()

    def _encrypted(self, key: str, chunks: Iterable[Data]) -> Iterator[bytes]:
        sink = _Sink()
        stream = self._key.primitive.new_encrypting_stream(sink, key.encode())
        for chunk in chunks:
            for part in _parts(chunk):
                stream.write(part)
                yield from sink.drain()
        stream.close()
        yield from sink.drain()

    def _decrypted(self, key: str, encrypted: Iterator[bytes]) -> Iterator[bytes]:
        from tink import TinkError

        source = _Source(encrypted)
        try:
            stream = self._key.primitive.new_decrypting_stream(source, key.encode())
            while chunk := stream.read(CHUNK_BYTES):
                yield chunk
        except TinkError as error:
            if source.failure is not None:
                raise source.failure from error
            raise NotIntact(
                f"{key} cannot be decrypted: it was altered or cut off, or this is not the key it was encrypted with."
            ) from error


def plain_size(stored: int) -> int:
    """Plain bytes in so many encrypted ones."""
    segments = -(-stored // SEGMENT_BYTES)
    return max(0, stored - HEADER_BYTES - TAG_BYTES * segments)


def _between(chunks: Iterator[bytes], start: int, end: int | None) -> Iterator[bytes]:
    position = 0
    for chunk in chunks:
        first = max(0, start - position)
        last = len(chunk) if end is None else min(len(chunk), end - position)
        if first < last:
            yield chunk[first:last] if last - first < len(chunk) else chunk
        position += len(chunk)
        if end is not None and position >= end:
            return


def _parts(chunk: Data) -> Iterator[Data]:
    """Pieces small enough that their encrypted form is a small burden."""
    if len(chunk) <= PIECE_BYTES:
        yield chunk
        return
    view = memoryview(chunk)
    for start in range(0, len(chunk), PIECE_BYTES):
        yield view[start : start + PIECE_BYTES]


PIECE_BYTES = 1024 * 1024


class _Counted:
    def __init__(self, chunks: Iterable[Data]) -> None:
        self._chunks = chunks
        self.size = 0

    def __iter__(self) -> Iterator[Data]:
        for chunk in self._chunks:
            self.size += len(chunk)
            yield chunk


class _Sink(io.RawIOBase):
    """Where Tink writes to; whoever feeds it takes it from here."""

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Data) -> int:  # type: ignore[override]
        self._parts.append(bytes(data))
        return len(data)

    def drain(self) -> list[bytes]:
        parts, self._parts = self._parts, []
        return parts


class _Source(io.RawIOBase):
    """Where Tink reads from. An error of the store below must survive the way through C++."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        super().__init__()
        self._chunks = chunks
        self._rest = memoryview(b"")
        self.failure: StoreError | None = None

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        while not self._rest:
            try:
                self._rest = memoryview(next(self._chunks))
            except StopIteration:
                return b""
            except StoreError as error:
                self.failure = error
                raise
        taken = self._rest if size < 0 else self._rest[:size]
        self._rest = self._rest[len(taken) :]
        return bytes(taken)
