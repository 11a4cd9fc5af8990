"""The cookie of a session: the API key and its end, sealed, so that nothing of it is kept on the server.

What the cookie says cannot be read or altered without the key that sealed it (AES-256-GCM by Tink, bound to this
purpose). It is no more valid than the API key in it: a revoked key is out with the next thing it asks.
"""

from __future__ import annotations

import base64
import binascii
import secrets

import msgspec

from docfleet.errors import StoreError
from docfleet.store.keys import MasterKey

COOKIE = "docfleet_console"
_PURPOSE = "console session"
_MOST_CHARACTERS = 2048


class Signed(msgspec.Struct, frozen=True):
    """Somebody who signed in."""

    key: str
    """The API key."""
    until: float
    """When the session ends, in seconds since 1970."""
    id: str
    """Of this session alone, so that its pages are known as its own."""

    def __repr__(self) -> str:  # a key must not reach a log by way of a traceback
        return f"Signed(until={self.until})"


def new_session(key: str, now: float, hours: float) -> Signed:
    return Signed(key, now + hours * 3600, secrets.token_hex(8))


def seal(signed: Signed, sealing: MasterKey) -> str:
    """The value of the cookie."""
    return base64.urlsafe_b64encode(sealing.seal(msgspec.msgpack.encode(signed), _PURPOSE)).decode().rstrip("=")


def unseal(value: str, sealing: MasterKey, now: float) -> Signed | None:
    """None: not one of ours, altered, sealed by another key, or over."""
    if not value or len(value) > _MOST_CHARACTERS:
        return None
    try:
        sealed = base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))
        signed = msgspec.msgpack.decode(sealing.open(sealed, _PURPOSE), type=Signed)
    except (binascii.Error, ValueError, StoreError, msgspec.MsgspecError):
        return None
    return signed if now < signed.until else None
