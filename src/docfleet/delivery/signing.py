"""Signatures by the Standard Webhooks specification (https://www.standardwebhooks.com), symmetric scheme v1."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from docfleet.store.encryption import MasterKey

SECRET_PREFIX = "whsec_"
SECRET_BYTES = 32
_PURPOSE = "webhook secret"


def new_secret() -> str:
    """What a receiver checks signatures with: `whsec_` and 32 random bytes in base64."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def seal_secret(master_key: MasterKey, secret: str) -> bytes:
    """As the ledger keeps it."""
    return master_key.seal(secret.encode(), _PURPOSE)


def open_secret(master_key: MasterKey, sealed: bytes) -> str:
    """Raises `StoreError` when another master key sealed it."""
    return master_key.open(sealed, _PURPOSE).decode()


def sign(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """The `webhook-signature` header: `v1,` and the HMAC-SHA256 of "id.timestamp.body" in base64."""
    key = base64.b64decode(secret.removeprefix(SECRET_PREFIX))
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
