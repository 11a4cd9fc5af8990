"""All that the ledger keeps encrypted by the master key, so that it can be encrypted anew by the next one.

Every encrypted value begins with the mark of the key that made it (`MasterKey.mark`), so what is left of an earlier
key is found by comparing, and work that was broken off just goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import ColumnElement, LargeBinary, Select, Table, bindparam, func, select, update
from sqlalchemy.orm import Session

from docfleet.ledger.ledger import Ledger
from docfleet.ledger.report_rows import REPORT
from docfleet.ledger.rows import DOCUMENT
from docfleet.ledger.service_rows import CONTENT, WEBHOOK

AT_ONCE = 200
MARK_BYTES = 5


class SealedKind(StrEnum):
    DATA_KEYS = "data keys"
    PASSWORDS = "passwords of documents"
    WEBHOOK_SECRETS = "webhook secrets"
    REPORT_KEYS = "keys of reports"


class SealedValue(msgspec.Struct, frozen=True):
    """What is to be encrypted anew; passwords open only for the tenant and the hash of their document."""

    kind: SealedKind
    sealed: bytes
    tenant: str = ""
    sha256: str = ""


class Renewed(msgspec.Struct):
    """How many values were encrypted anew, and how many could not be opened at all."""

    renewed: int = 0
    unreadable: int = 0


Renew = Callable[[SealedValue], bytes | None]
"""The value under the key in use now; None when none of the keys opens it."""


class _Place(NamedTuple):
    table: Table
    column: ColumnElement[Any]
    bound_to: tuple[ColumnElement[Any], ...] = ()

    @property
    def is_old(self) -> ColumnElement[bool]:
        mark = func.substr(self.column, 1, MARK_BYTES, type_=LargeBinary())
        return self.column.is_not(None) & (mark != bindparam("mark", type_=LargeBinary()))

    def old(self) -> Select[Any]:
        """Some of the old, in order; those that somebody else holds are left for the next round.

        Whoever waited for one while he holds others could wait in a circle.
        """
        return (
            select(self.table.c.id, self.column, *self.bound_to)
            .where(self.is_old, self.table.c.id > bindparam("after"))
            .order_by(self.table.c.id)
            .limit(AT_ONCE)
            .with_for_update(skip_locked=True)
        )


_PLACES: Mapping[SealedKind, _Place] = {
    SealedKind.DATA_KEYS: _Place(CONTENT, CONTENT.c.wrapped_key),
    SealedKind.PASSWORDS: _Place(DOCUMENT, DOCUMENT.c.sealed_passwords, (DOCUMENT.c.tenant_id, DOCUMENT.c.sha256)),
    SealedKind.WEBHOOK_SECRETS: _Place(WEBHOOK, WEBHOOK.c.sealed_secret),
    SealedKind.REPORT_KEYS: _Place(REPORT, REPORT.c.wrapped_key),
}


def count_old(ledger: Ledger, mark: bytes) -> dict[SealedKind, int]:
    """How much of each kind was encrypted by another key than the one with this mark."""
    counts = {}
    for kind, place in _PLACES.items():
        with ledger.reading() as session:
            counted = select(func.count()).select_from(place.table).where(place.is_old)
            counts[kind] = session.execute(counted, {"mark": mark}).scalar_one()
    return counts


def renew_old(ledger: Ledger, mark: bytes, renew: Renew) -> Iterator[tuple[SealedKind, Renewed]]:
    """Encrypts all of it anew, some in each transaction, while the service runs; tells after each what it did.

    May be broken off and started again at any time. What was erased meanwhile stays erased.
    """
    for kind, place in _PLACES.items():
        after: str | None = ""
        while after is not None:
            told = Renewed()
            with ledger.unit_of_work() as session:
                after = _renew_some(session, kind, place, mark, after, renew, told)
            yield kind, told


def _renew_some(
    session: Session, kind: SealedKind, place: _Place, mark: bytes, after: str, renew: Renew, told: Renewed
) -> str | None:
    """Where to go on; None: that was all."""
    rows = session.execute(place.old(), {"mark": mark, "after": after}).all()
    for id_, sealed, *bound in rows:
        fresh = renew(SealedValue(kind, bytes(sealed), *bound))
        if fresh is None:
            told.unreadable += 1
            continue
        unchanged = (place.table.c.id == id_) & (place.column == bytes(sealed))
        session.execute(update(place.table).where(unchanged).values({place.column.key: fresh}))
        told.renewed += 1
    return rows[-1].id if len(rows) == AT_ONCE else None
