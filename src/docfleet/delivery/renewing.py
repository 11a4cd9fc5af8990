"""A new master key takes over what an earlier one encrypted: keys of data and reports, passwords, webhook secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docfleet.delivery.signing import open_secret, seal_secret
from docfleet.errors import StoreError
from docfleet.ledger.sealed import SealedKind, SealedValue
from docfleet.store.passwords import open_passwords, seal_passwords

if TYPE_CHECKING:
    from docfleet.store.encryption import MasterKey


def renewed(master_key: MasterKey, value: SealedValue) -> bytes | None:
    """The value, encrypted by the key in use now; None when none of the keys opens it."""
    try:
        match value.kind:
            case SealedKind.DATA_KEYS | SealedKind.REPORT_KEYS:
                return master_key.rewrap(value.sealed)
            case SealedKind.PASSWORDS:
                passwords = open_passwords(master_key, value.sealed, value.tenant, value.sha256)
                return seal_passwords(master_key, passwords, value.tenant, value.sha256)
            case SealedKind.WEBHOOK_SECRETS:
                return seal_secret(master_key, open_secret(master_key, value.sealed))
    except StoreError:
        return None
