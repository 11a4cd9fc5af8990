"""Passwords of documents on their way from the submitter to the worker: only ever kept sealed."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from docfleet.errors import BadRequest
from docfleet.store.keys import MasterKey

MAX_PASSWORDS = 32
"""Tried in turn, and some formats make each try slow on purpose."""
MAX_CHARACTERS = 256


def seal_passwords(master_key: MasterKey, passwords: Sequence[str], tenant: str, sha256: str) -> bytes | None:
    """The passwords for the bytes with this hash, encrypted; they open for no other document. None: there are none.

    Raises `BadRequest` for too many or too long ones.
    """
    given = tuple(dict.fromkeys(password for password in passwords if password))
    if not given:
        return None
    if len(given) > MAX_PASSWORDS or max(map(len, given)) > MAX_CHARACTERS:
        raise BadRequest(f"A document has at most {MAX_PASSWORDS} passwords of {MAX_CHARACTERS} characters.")
    return master_key.seal(msgspec.json.encode(given), _purpose(tenant, sha256))


def open_passwords(master_key: MasterKey, sealed: bytes, tenant: str, sha256: str) -> tuple[str, ...]:
    """What was sealed for these bytes. Raises `StoreError` as `MasterKey.open` does."""
    return msgspec.json.decode(master_key.open(sealed, _purpose(tenant, sha256)), type=tuple[str, ...])


def _purpose(tenant: str, sha256: str) -> str:
    return f"passwords of {tenant} {sha256}"
