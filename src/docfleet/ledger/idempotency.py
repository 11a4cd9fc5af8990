"""Requests that were answered, under the key their client gave them: a request repeated is answered alike."""

from __future__ import annotations

from typing import cast

import msgspec
from msgspec.structs import replace
from sqlalchemy import Table, bindparam, delete, select, update
from sqlalchemy.orm import Session

from docfleet.errors import BadRequest, IdempotencyMismatch
from docfleet.ledger.dialect import database_now, upserts
from docfleet.ledger.service_rows import IdempotencyRow
from docfleet.ledger.service_values import Accepted

MAX_KEY = 255

_IDEMPOTENCY = cast(Table, IdempotencyRow.__table__)
_MINE = (_IDEMPOTENCY.c.tenant_id == bindparam("of_tenant")) & (_IDEMPOTENCY.c.key == bindparam("of_key"))
_FIND = select(_IDEMPOTENCY.c.request_digest, _IDEMPOTENCY.c.response_json).where(_MINE)
_CLAIM = {
    name: insert.values(created_at=database_now()).on_conflict_do_nothing().returning(_IDEMPOTENCY.c.key)
    for name, insert in upserts(_IDEMPOTENCY).items()
}
_CORRECT = update(_IDEMPOTENCY).where(_MINE).values(response_json=bindparam("new_response"))


def checked_key(key: str) -> str:
    if not (1 <= len(key) <= MAX_KEY and key.isascii() and key.isprintable()):
        raise BadRequest(f"An Idempotency-Key has 1 to {MAX_KEY} printable ASCII characters.")
    return key


def find_answer(session: Session, tenant: str, key: str, request_digest: str) -> Accepted | None:
    """What this request was answered, marked as replayed. Raises IdempotencyMismatch when the key was another's."""
    row = session.execute(_FIND, {"of_tenant": tenant, "of_key": checked_key(key)}).one_or_none()
    if row is None:
        return None
    if row.request_digest != request_digest:
        raise IdempotencyMismatch()
    return replace(msgspec.json.decode(row.response_json, type=Accepted), replayed=True)


def claim_key(session: Session, tenant: str, key: str, request_digest: str, answer: Accepted) -> bool:
    """Writes the answer under the key; False when somebody else has. Waits for whoever is about to."""
    claimed = session.execute(
        _CLAIM[session.get_bind().dialect.name],
        {
            "tenant_id": tenant, "key": checked_key(key), "request_digest": request_digest,
            "response_json": msgspec.json.encode(answer).decode(),
        },
    ).one_or_none()  # fmt: skip
    return claimed is not None


def correct_answer(session: Session, tenant: str, key: str, answer: Accepted) -> None:
    """In the transaction that claimed the key, when it came otherwise."""
    said = {"of_tenant": tenant, "of_key": key, "new_response": msgspec.json.encode(answer).decode()}
    session.execute(_CORRECT, said)


def prune(session: Session, hours: float) -> int:
    """Forgets what was answered longer ago than that; returns how many."""
    old = delete(_IDEMPOTENCY).where(_IDEMPOTENCY.c.created_at < database_now() - hours * 3600.0)
    return len(session.execute(old.returning(_IDEMPOTENCY.c.key)).all())
