"""The store protocol, and what a key may be.

Slice results are written under a prefix that belongs to one attempt (`Claim.result_prefix`) and become visible only
by the pointer that `Ledger.finish` commits. What no pointer names may be deleted at any time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Protocol, runtime_checkable

from docfleet.errors import BadKey

Data = bytes | bytearray | memoryview


@runtime_checkable
class Store(Protocol):
    """Whole objects of bytes by key. Threads may share one; open it after any fork.

    Every method raises `BadKey` for a key `check_key` refuses, and `StoreError` when the medium fails; a medium that
    does not answer counts as failed within some ten seconds.
    """

    def put(self, key: str, data: Data) -> None:
        """Stores all of it or nothing, over whatever was there; a reader never sees a part."""
        ...

    def put_many(self, objects: Mapping[str, Data]) -> None:
        """Like `put` for each, at less cost together. When it raises, some may be stored and others not."""
        ...

    def put_stream(self, key: str, chunks: Iterable[Data]) -> int:
        """Like `put`, in bounded memory; returns the number of bytes taken.

        When `chunks` raises, nothing is stored and the error passes unchanged.
        """
        ...

    def get(self, key: str) -> bytes:
        """Raises `NotStored`."""
        ...

    def get_stream(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """The bytes from `start` up to, not including, `end` (None: the object's end), in bounded memory.

        Fewer when the object ends before. Raises `NotStored` when called, not only when first read. A failure in the
        middle raises `StoreError`: only an iterator that ends by itself has given everything.
        """
        ...

    def size(self, key: str) -> int:
        """Bytes that `get` would return. Raises `NotStored`."""
        ...

    def exists(self, key: str) -> bool: ...

    def delete(self, key: str) -> None:
        """Deleting what is not there is no error."""
        ...

    def delete_prefix(self, prefix: str) -> int:
        """Deletes every object below a prefix of whole parts, and what unfinished writes left there.

        Returns how many objects. The empty prefix is refused with `BadKey`.
        """
        ...

    def list(self, prefix: str = "") -> Iterator[str]:
        """The keys below a prefix of whole parts ("slices/7" finds "slices/7/1", not "slices/70/1"), in any order."""
        ...

    def list_with_times(self, prefix: str = "") -> Iterator[tuple[str, float]]:
        """Like `list`, with the time each was last written: seconds since 1970 by the medium's clock.

        Remains of a writer that was killed may be told of, under the key they were meant for.
        """
        ...

    def local_path(self, key: str) -> Path | None:
        """A file that holds the object, for programs that want one (read only); None: this store has no files.

        Raises `NotStored`.
        """
        ...

    def check(self) -> None:
        """Raises `StoreError` when the medium cannot be reached or written at all."""
        ...

    def free_bytes(self) -> int | None:
        """Room that is left; None where there is no such limit."""
        ...


_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._=@+-]{0,199}")
"""Safe on every file system and in every URL; cannot be "." or "..", cannot be hidden."""
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)
"""Devices, not files, on Windows."""
KEY_LENGTH = 900


def check_key(key: str) -> str:
    """The key itself, when each of its parts between slashes is plain ASCII that means only itself; else `BadKey`.

    Keys are made by docfleet from ids; a name that a user chose must not become one.
    """
    parts = key.split("/")
    if len(key) > KEY_LENGTH or not all(_is_plain(part) for part in parts):
        raise BadKey(f"not a key: {key[:100]!r}")
    return key


def check_prefix(prefix: str) -> str:
    """Like `check_key`, but may be empty or end in one slash."""
    if prefix:
        check_key(prefix.removesuffix("/"))
    return prefix.removesuffix("/")


def _is_plain(part: str) -> bool:
    # a trailing dot is dropped by Windows; obstore takes "name#1" for a half-written file
    return _PART.fullmatch(part) is not None and not part.endswith(".") and not _RESERVED.fullmatch(part)
