"""The sums of a month: whose row an amount is added to, and the lock under which it is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import bindparam, select, tuple_
from sqlalchemy.orm import Session

from docfleet.domain.budgeting import ALL, scopes_of
from docfleet.errors import LedgerError
from docfleet.ledger.dialect import upserts
from docfleet.ledger.money_rows import SPEND

Key = tuple[str, str, str]
"""(tenant, engine, processor) of a row of sums, within a month."""
_TOTAL: Key = (ALL, ALL, ALL)

_ADD_ROW = {
    name: insert_.values(
        tenant_id=bindparam("new_tenant"), engine=bindparam("new_engine"), processor=bindparam("new_processor"),
        month=bindparam("new_month"), reserved_micros=0, settled_micros=0, pages=0,
    ).on_conflict_do_nothing()
    for name, insert_ in upserts(SPEND).items()
}  # fmt: skip
OF_KEY = (
    SPEND.c.tenant_id == bindparam("of_tenant"),
    SPEND.c.engine == bindparam("of_engine"),
    SPEND.c.processor == bindparam("of_processor"),
    SPEND.c.month == bindparam("of_month"),
)
_LOCK = select(SPEND.c.month).where(*OF_KEY).with_for_update()
_ROWS = select(SPEND).where(
    SPEND.c.month == bindparam("of_month"),
    tuple_(SPEND.c.tenant_id, SPEND.c.engine, SPEND.c.processor).in_(bindparam("keys", expanding=True)),
)


def keys_of(tenant: str, engine: str, processor: str) -> list[Key]:
    """The rows that a payment adds to: of every scope it falls under, and of its processor type."""
    scopes = [(scope.tenant, scope.engine, ALL) for scope in scopes_of(tenant, engine)]
    return [*scopes, (ALL, engine, processor), (tenant, engine, processor)]


def lock_month(session: Session, month: str) -> None:
    """Until the transaction ends, nobody else changes the sums of this month."""
    values = dict(zip(("of_tenant", "of_engine", "of_processor"), _TOTAL, strict=True)) | {"of_month": month}
    if session.execute(_LOCK, values).first() is None:
        _add_rows(session, month, [_TOTAL])
        session.execute(_LOCK, values).one()


def _add_rows(session: Session, month: str, keys: Iterable[Key]) -> None:
    session.execute(
        _ADD_ROW[session.get_bind().dialect.name],
        [
            {"new_tenant": tenant, "new_engine": engine, "new_processor": processor, "new_month": month}
            for tenant, engine, processor in keys
        ],
    )


def rows_of(session: Session, month: str, keys: Sequence[Key]) -> dict[Key, Any]:
    """The sums under these keys, made where they are missing. The month has to be locked."""
    if not keys:
        return {}
    for _ in range(2):
        found = {
            (row.tenant_id, row.engine, row.processor): row
            for row in session.execute(_ROWS, {"of_month": month, "keys": keys})
        }
        missing = [key for key in keys if key not in found]
        if not missing:
            return found
        _add_rows(session, month, missing)
    raise LedgerError(f"the sums of {month} cannot be made")


def at_key(key: Key, month: str) -> dict[str, str]:
    return {"of_tenant": key[0], "of_engine": key[1], "of_processor": key[2], "of_month": month}
