"""The store against the ledger: what is owed is there and opens, what was deleted is gone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator

from sqlalchemy import Connection, text

from chaos.auditor import Violation
from docfleet.errors import StoreError
from docfleet.store.base import Store
from docfleet.store.encryption import EncryptedStore
from docfleet.store.keys import MasterKey
from docfleet.store.open import open_store


def audit_store(connection: Connection, url: str, master_key: str) -> Iterator[Violation]:
    """I2 over bytes: sources and results of every living document decrypt and have the digests the ledger names."""
    store, master = open_store(url), MasterKey.from_base64(master_key)
    opened: dict[str, EncryptedStore] = {}
    for row in connection.execute(text("SELECT id, sha256, wrapped_key FROM content WHERE erased_at IS NULL")):
        if row.wrapped_key is None:
            yield Violation("I2", row.id, "was not erased, but has no key")
            continue
        try:
            opened[row.id] = EncryptedStore(store, master.unwrap(bytes(row.wrapped_key)))
        except StoreError as error:
            yield Violation("I2", row.id, f"its data key does not open: {error}")
            continue
        yield from _compare(opened[row.id], f"contents/{row.id}/source", row.sha256, None)
    query = text(
        "SELECT id, content_id, result_key, results_json FROM document WHERE content_id IS NOT NULL "
        "AND deleted_at IS NULL AND duplicate_of = '' AND state IN ('succeeded', 'partial')"
    )
    for row in connection.execute(query):
        if row.content_id not in opened:
            yield Violation("I2", row.id, f"its content {row.content_id} does not open")
            continue
        for result in json.loads(row.results_json):
            key = f"{row.result_key}/{result['path']}"
            yield from _compare(opened[row.content_id], key, result["sha256"], result["size_bytes"])
    yield from _leftovers(connection, store)


def _compare(store: EncryptedStore, key: str, sha256: str, size: int | None) -> Iterator[Violation]:
    digest, counted = hashlib.sha256(), 0
    try:
        for chunk in store.get_stream(key):
            digest.update(chunk)
            counted += len(chunk)
    except StoreError as error:
        yield Violation("I2", key, f"cannot be read: {error}")
        return
    if digest.hexdigest() != sha256 or size not in (None, counted):
        yield Violation("I2", key, f"holds other bytes than the ledger says ({counted} of them)")


def _leftovers(connection: Connection, store: Store) -> Iterator[Violation]:
    purged = text("SELECT id FROM content WHERE purged_at IS NOT NULL")
    for row in connection.execute(purged):
        for key in store.list(f"contents/{row.id}/"):
            yield Violation("I2", key, "was deleted and is still there")


def count_orphans(connection: Connection, store: Store) -> int:
    """Objects that no content names: uploads cut off in the middle; housekeeping deletes them after a day."""
    known = {row.id for row in connection.execute(text("SELECT id FROM content"))}
    return sum(key.split("/")[1] not in known for key in store.list("contents/"))
