"""Keys of the encryption at rest: one data key per content, wrapped by the master key. Everything is done by Tink.

Tink is loaded with the first key: it takes a third of a second, and most commands never need one.
"""

from __future__ import annotations

import base64
import binascii
import secrets
from functools import cache
from typing import TYPE_CHECKING, Any, Self

from docfleet.errors import StoreError, UsageError

if TYPE_CHECKING:
    from tink import KeysetHandle
    from tink.aead import Aead
    from tink.streaming_aead import StreamingAead

SEGMENT_BYTES = 64 * 1024
"""What is encrypted and authenticated as one piece.

Of 4 kB, 64 kB, 256 kB, 1 MB and 4 MB this costs least for an object of 100 kB (0.15 ms to write, 0.3 ms to read), and
for large ones no more than the others.
"""
SALT_BYTES = 32
HEADER_BYTES = 1 + SALT_BYTES + 7
TAG_BYTES = 16
_DATA_KEY = b"docfleet data key"


class DataKey:
    """Encrypts the objects of one content (AES-256-GCM in segments, HKDF per object). Threads may share it."""

    def __init__(self, primitive: StreamingAead) -> None:
        self.primitive = primitive


class MasterKey:
    """Wraps data keys and seals small secrets; may hold several keys, of which one wraps what is new.

    A data key that an earlier master key wrapped opens as long as that one is still among them.
    """

    def __init__(self, handle: KeysetHandle) -> None:
        self._handle = handle
        self._aead: Aead = handle.primitive(_tink().aead.Aead)

    @classmethod
    def generate(cls) -> Self:
        tink = _tink()
        return cls(tink.new_keyset_handle(tink.aead.aead_key_templates.AES256_GCM))

    @classmethod
    def from_base64(cls, text: str) -> Self:
        """Raises `UsageError` when the text is no master key."""
        tink = _tink()
        try:
            keyset = base64.b64decode("".join(text.split()), validate=True)
            return cls(tink.proto_keyset_format.parse(keyset, tink.secret_key_access.TOKEN))
        except (binascii.Error, ValueError, tink.TinkError) as error:
            raise UsageError("The master key is not one that `docfleet master-key new` made.") from error

    def to_base64(self) -> str:
        return base64.b64encode(self._serialized()).decode()

    def rotated(self) -> Self:
        """A new key for all that is wrapped from now on, together with the present ones."""
        from tink.proto import tink_pb2

        tink = _tink()
        keyset = tink_pb2.Keyset.FromString(self._serialized())
        fresh = tink_pb2.Keyset.FromString(type(self).generate()._serialized()).key[0]
        taken = {key.key_id for key in keyset.key}
        while fresh.key_id in taken:
            fresh.key_id = secrets.randbits(32) or 1
        keyset.key.append(fresh)
        keyset.primary_key_id = fresh.key_id
        return type(self)(tink.proto_keyset_format.parse(keyset.SerializeToString(), tink.secret_key_access.TOKEN))

    def key_ids(self) -> list[int]:
        """The keys it holds, the one in use first."""
        info = self._handle.keyset_info()
        return sorted((key.key_id for key in info.key_info), key=lambda key_id: key_id != info.primary_key_id)

    @property
    def mark(self) -> bytes:
        """What all that is encrypted from now on begins with: five bytes that name the key in use (Tink's prefix)."""
        return b"\x01" + self.key_ids()[0].to_bytes(4, "big")

    def without_earlier(self) -> Self:
        """The key in use alone: what an earlier one encrypted cannot be opened with it."""
        from tink.proto import tink_pb2

        tink = _tink()
        keyset = tink_pb2.Keyset.FromString(self._serialized())
        for key in [key for key in keyset.key if key.key_id != keyset.primary_key_id]:
            keyset.key.remove(key)
        return type(self)(tink.proto_keyset_format.parse(keyset.SerializeToString(), tink.secret_key_access.TOKEN))

    def new_data_key(self) -> tuple[bytes, DataKey]:
        """(The wrapped form, to be kept with the content; the key itself.)"""
        tink = _tink()
        handle = tink.new_keyset_handle(_data_key_template())
        keyset = tink.proto_keyset_format.serialize(handle, tink.secret_key_access.TOKEN)
        return self._encrypt(keyset, _DATA_KEY), DataKey(handle.primitive(tink.streaming_aead.StreamingAead))

    def unwrap(self, wrapped: bytes) -> DataKey:
        """Raises `StoreError` when none of the master keys wrapped it, or it was altered."""
        tink = _tink()
        try:
            keyset = self._decrypt(wrapped, _DATA_KEY)
            handle = tink.proto_keyset_format.parse(keyset, tink.secret_key_access.TOKEN)
            return DataKey(handle.primitive(tink.streaming_aead.StreamingAead))
        except tink.TinkError as error:
            raise StoreError(
                "The data key cannot be opened: it was wrapped by another master key than this one, or was altered."
            ) from error

    def rewrap(self, wrapped: bytes) -> bytes:
        """The same data key under the master key in use now, so that an earlier one may be retired."""
        try:
            return self._encrypt(self._decrypt(wrapped, _DATA_KEY), _DATA_KEY)
        except _tink().TinkError as error:
            raise StoreError("The data key cannot be opened: its master key is not among these.") from error

    def seal(self, secret: bytes, purpose: str) -> bytes:
        """Encrypts a small secret; it opens for the same purpose only."""
        return self._encrypt(secret, _purpose(purpose))

    def open(self, sealed: bytes, purpose: str) -> bytes:
        """Raises `StoreError` when it was sealed by another master key or for another purpose, or was altered."""
        try:
            return self._decrypt(sealed, _purpose(purpose))
        except _tink().TinkError as error:
            raise StoreError(
                f"The sealed {purpose} cannot be opened: another master key sealed it, or it was altered."
            ) from error

    def _encrypt(self, plain: bytes, purpose: bytes) -> bytes:
        encrypted: bytes = self._aead.encrypt(plain, purpose)
        return encrypted

    def _decrypt(self, encrypted: bytes, purpose: bytes) -> bytes:
        plain: bytes = self._aead.decrypt(encrypted, purpose)
        return plain

    def _serialized(self) -> bytes:
        tink = _tink()
        keyset: bytes = tink.proto_keyset_format.serialize(self._handle, tink.secret_key_access.TOKEN)
        return keyset


def _purpose(purpose: str) -> bytes:
    return b"docfleet sealed " + purpose.encode()


@cache
def _tink() -> Any:
    import tink
    from tink import aead, proto_keyset_format, secret_key_access, streaming_aead  # noqa: F401 - loads them

    aead.register()
    streaming_aead.register()
    return tink


@cache
def _data_key_template() -> Any:
    from tink.proto import aes_gcm_hkdf_streaming_pb2, common_pb2, tink_pb2

    params = aes_gcm_hkdf_streaming_pb2.AesGcmHkdfStreamingParams(
        ciphertext_segment_size=SEGMENT_BYTES, derived_key_size=32, hkdf_hash_type=common_pb2.SHA256
    )
    key_format = aes_gcm_hkdf_streaming_pb2.AesGcmHkdfStreamingKeyFormat(key_size=SALT_BYTES, params=params)
    return tink_pb2.KeyTemplate(
        type_url="type.googleapis.com/google.crypto.tink.AesGcmHkdfStreamingKey",
        value=key_format.SerializeToString(),
        output_prefix_type=tink_pb2.RAW,
    )
