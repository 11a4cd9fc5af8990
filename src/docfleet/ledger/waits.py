"""How long a slice has been waiting for one thing, over all the attempts that were handed back for it."""

from __future__ import annotations

from sqlalchemy import bindparam, func, select

from docfleet.domain.work import SliceState
from docfleet.ledger.dialect import database_now
from docfleet.ledger.ledger import Ledger
from docfleet.ledger.rows import EVENT
from docfleet.ledger.values import Claim

_SINCE = select(database_now() - func.min(EVENT.c.at)).where(
    EVENT.c.document_id == bindparam("of_document"),
    EVENT.c.slice_id == bindparam("of_slice"),
    EVENT.c.to_state == SliceState.QUEUED,
    EVENT.c.cause == bindparam("of_code"),
)


def seconds_waited(ledger: Ledger, claim: Claim, code: str) -> float:
    """Seconds since this slice was first handed back with this code; 0 when it never was."""
    given = {"of_document": claim.document.id, "of_slice": claim.slice_id, "of_code": code}
    with ledger.reading() as session:
        return max(0.0, session.execute(_SINCE, given).scalar_one() or 0.0)
