"""Events as those who listen get them: none missed, none twice, whatever is committed in which order.

Row numbers are given before a transaction commits, so a row may become visible after one with a higher number. On
Postgres events are therefore read in the order of their transactions, and only those of transactions older than every
one that still runs. SQLite writes one transaction after the other, so there the row number is the order.
"""

from __future__ import annotations

import re

from sqlalchemy import BigInteger, bindparam, literal_column, select, tuple_
from sqlalchemy.orm import Session

from docfleet.errors import BadRequest, NotFound
from docfleet.ledger.batches import require_batch
from docfleet.ledger.checks import checked_limit, known_id
from docfleet.ledger.rows import DOCUMENT, EVENT
from docfleet.ledger.service_values import EventView

_CURSOR = re.compile(r"([0-9]{1,18})-([0-9]{1,18})")

_AFTER = (
    select(
        EVENT.c.id, EVENT.c.xact, EVENT.c.at, EVENT.c.document_id, EVENT.c.slice_id, EVENT.c.from_state,
        EVENT.c.to_state, EVENT.c.cause,
    )
    .where(
        EVENT.c.tenant_id == bindparam("tenant"),
        tuple_(EVENT.c.xact, EVENT.c.id)
        > tuple_(bindparam("xact", type_=BigInteger()), bindparam("after_id", type_=BigInteger())),
    )
    .order_by(EVENT.c.xact, EVENT.c.id)
    .limit(bindparam("most"))
)  # fmt: skip
_SETTLED = EVENT.c.xact < literal_column("pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
_OF = {"document": EVENT.c.document_id == bindparam("whose"), "batch": EVENT.c.batch_id == bindparam("whose")}
_STATEMENTS = {
    (dialect, what): _AFTER.where(whose, *([_SETTLED] if dialect == "postgresql" else []))
    for dialect in ("sqlite", "postgresql")
    for what, whose in _OF.items()
}
_MINE = select(DOCUMENT.c.id).where(
    DOCUMENT.c.id == bindparam("wanted_id"), DOCUMENT.c.tenant_id == bindparam("tenant")
)


def events(
    session: Session, tenant: str, document_id: str | None, batch_id: str | None, after_cursor: str, limit: int
) -> list[EventView]:
    """What happened to a document, or to the documents of a batch, after a cursor (empty: from the start).

    A deleted document keeps its history. Raises NotFound, and BadRequest for a cursor that is none or when neither or
    both are given.
    """
    if (document_id is None) == (batch_id is None):
        raise BadRequest("Events are those of one document or of one batch.")
    xact, after_id = _position(after_cursor)
    if document_id is not None:
        if session.execute(_MINE, {"wanted_id": known_id(document_id, "document"), "tenant": tenant}).first() is None:
            raise NotFound("There is no document with this id.")
        what, whose = "document", document_id
    else:
        assert batch_id is not None
        require_batch(session, tenant, batch_id)
        what, whose = "batch", batch_id
    rows = session.execute(
        _STATEMENTS[session.get_bind().dialect.name, what],
        {"tenant": tenant, "whose": whose, "xact": xact, "after_id": after_id, "most": checked_limit(limit)},
    )
    return [
        EventView(
            f"{row.xact}-{row.id}", row.at, row.document_id, row.slice_id, row.from_state, row.to_state, row.cause
        )
        for row in rows
    ]


def _position(cursor: str) -> tuple[int, int]:
    if not cursor:
        return 0, 0
    found = _CURSOR.fullmatch(cursor)
    if found is None:
        raise BadRequest("This is no cursor of events: take the id of the last event received.")
    return int(found[1]), int(found[2])
