"""From the bytes of an upload to an encrypted object under `contents/{id}/source`, in bounded memory."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Iterable, Iterator
from itertools import chain

import msgspec

from docfleet.api.admission import Breaker
from docfleet.api.recognising import BLANK, WINDOW, Recogniser
from docfleet.domain.media import MediaType
from docfleet.errors import Empty, PayloadTooLarge, StoreError, UnsupportedType
from docfleet.store.base import Store
from docfleet.store.encryption import EncryptedStore, MasterKey
from docfleet.telemetry import logger, metrics
from docfleet.telemetry.catalog import UPLOADED

_log = logger("api")


class StoredSource(msgspec.Struct, frozen=True):
    """Bytes that are in the store, and all that was learned of them on the way."""

    content_id: str
    wrapped_key: bytes
    sha256: str
    size_bytes: int
    media: MediaType


def new_content_id() -> str:
    """Sorts by time, cannot be guessed: 24 hexadecimal digits."""
    return f"{int(time.time() * 1000):012x}{secrets.token_hex(6)}"


def content_prefix(content_id: str) -> str:
    return f"contents/{content_id}"


class SourceKeeper:
    """Puts sources into the store. Threads may share it; every method blocks."""

    def __init__(
        self, store: Store, master_key: MasterKey, recogniser: Recogniser, max_bytes: int, breaker: Breaker
    ) -> None:
        self._store = store
        self._master_key = master_key
        self._recogniser = recogniser
        self._max_bytes = max_bytes
        self._breaker = breaker

    def keep(self, chunks: Iterable[bytes]) -> StoredSource:
        """Stores what `chunks` yield; nothing is left behind when this raises.

        Raises `Empty`, `UnsupportedType` (before anything is stored), `PayloadTooLarge`, `StoreError`, and whatever
        `chunks` raises.
        """
        rest = iter(chunks)
        head = self._head(rest)
        media = self._recogniser.recognise(head)
        content_id = new_content_id()
        key = f"{content_prefix(content_id)}/source"
        wrapped, data_key = self._master_key.new_data_key()
        measured = _Measured(head, rest, self._max_bytes)
        try:
            EncryptedStore(self._store, data_key).put_stream(key, measured)
        except StoreError as error:
            self._breaker.failed(error)
            self.discard(content_id)
            raise
        except BaseException:
            # put_stream leaves nothing of a broken stream; this is for stores that saw the end and failed after it
            self.discard(content_id)
            raise
        self._breaker.worked()
        metrics.count(UPLOADED, measured.size)
        return StoredSource(content_id, wrapped, measured.sha256, measured.size, media)

    def _head(self, rest: Iterator[bytes]) -> bytes:
        """The first bytes, enough to recognise the type by; raises `Empty` for a file that is blank to its end."""
        head = bytearray()
        for chunk in rest:
            head += chunk
            if len(head) > self._max_bytes:
                raise too_large(self._max_bytes)
            if len(head) >= WINDOW:
                break
        if head and not head[:WINDOW].strip(BLANK):
            self._refuse_blank(chain([bytes(head)], rest))
        return bytes(head)

    def _refuse_blank(self, chunks: Iterable[bytes]) -> None:
        """A file that begins with so much nothing is never read; what follows decides what it is called."""
        size = 0
        for chunk in chunks:
            size += len(chunk)
            if size > self._max_bytes:
                raise too_large(self._max_bytes)
            if chunk.strip(BLANK):
                raise UnsupportedType("The file is of no type that docfleet knows.")
        raise Empty("The file holds nothing but white space or zero bytes.")

    def discard(self, content_id: str) -> None:
        """Deletes what is not needed; what cannot be deleted now is an orphan that housekeeping finds."""
        try:
            self._store.delete_prefix(content_prefix(content_id))
        except StoreError as error:
            _log.warning("orphan_left", content=content_id, error=error)


class _Measured:
    """Chunks on their way to the store: counted, hashed and limited."""

    def __init__(self, head: bytes, rest: Iterator[bytes], max_bytes: int) -> None:
        self._head = head
        self._rest = rest
        self._max_bytes = max_bytes
        self._digest = hashlib.sha256()
        self.size = 0

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def __iter__(self) -> Iterator[bytes]:
        yield from self._measure(self._head)
        for chunk in self._rest:
            yield from self._measure(chunk)

    def _measure(self, chunk: bytes) -> Iterator[bytes]:
        self.size += len(chunk)
        if self.size > self._max_bytes:
            raise too_large(self._max_bytes)
        self._digest.update(chunk)
        yield chunk


def too_large(limit: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"The document has more bytes than the limit of {limit:,}.")
