"""Listing documents: by id from the newest on, a page at a time, each page found by an index."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Select, select, union_all
from sqlalchemy.orm import Session

from docfleet.domain.labels import MAX_LABEL_NAME, MAX_LABEL_VALUE
from docfleet.domain.urgency import Urgency
from docfleet.domain.work import DocumentState
from docfleet.errors import BadRequest
from docfleet.ledger.checks import MAX_NAME, checked_limit, known_id, plain_text
from docfleet.ledger.cursors import from_cursor, to_cursor
from docfleet.ledger.rows import DOCUMENT
from docfleet.ledger.service_rows import LabelRow
from docfleet.ledger.service_values import DocumentFilter, Listing
from docfleet.ledger.views import VIEWED, views_of

_ENDED_BADLY = (DocumentState.PARTIAL, DocumentState.FAILED)


def documents(session: Session, tenant: str, wanted: DocumentFilter, cursor: str | None, limit: int) -> Listing:
    """The tenant's documents, the newest first, without the deleted. Raises BadRequest for a cursor that is none."""
    limit = checked_limit(limit)
    before = from_cursor("d", cursor) if cursor else None
    # one more than wanted tells whether there is a next page
    ids = list(session.execute(matching_ids(tenant, wanted, before, limit + 1)).scalars())
    more = len(ids) > limit
    rows = session.execute(VIEWED.where(DOCUMENT.c.id.in_(ids[:limit])).order_by(DOCUMENT.c.id.desc())).all()
    return Listing(tuple(views_of(session, rows)), to_cursor("d", ids[limit - 1]) if more else None)


def matching_ids(tenant: str, wanted: DocumentFilter, before: str | None, limit: int) -> Select[Any]:
    """Ids of the newest `limit` that match and are older than `before`.

    Each state is looked for by itself: an index has them in order by state and id, but not over several states.
    """
    states: tuple[DocumentState | None, ...] = tuple(dict.fromkeys(DocumentState(state) for state in wanted.states))
    if wanted.code and not states:
        # nothing else has a code, and these are few
        states = _ENDED_BADLY
    parts = [_of_one_state(tenant, wanted, state, before).limit(limit) for state in states or (None,)]
    if len(parts) == 1:
        return parts[0]
    found = union_all(*(select(part.subquery()) for part in parts)).subquery()
    return select(found.c.id).order_by(found.c.id.desc()).limit(limit)


def _of_one_state(tenant: str, wanted: DocumentFilter, state: DocumentState | None, before: str | None) -> Select[Any]:
    conditions: list[ColumnElement[bool]] = [DOCUMENT.c.deleted_at.is_(None)]
    if not wanted.labels:
        # labels are their document's tenant's: asked of both, it would count twice in how many a database expects
        conditions.append(DOCUMENT.c.tenant_id == tenant)
    if state is not None:
        conditions.append(DOCUMENT.c.state == state)
    if wanted.batch_id is not None:
        conditions.append(DOCUMENT.c.batch_id == known_id(wanted.batch_id, "batch"))
    if wanted.urgency is not None:
        conditions.append(DOCUMENT.c.urgency == Urgency(wanted.urgency).value)
    if wanted.code:
        conditions.append(DOCUMENT.c.code == plain_text(wanted.code, "A code", 64))
    if wanted.name_contains:
        part = plain_text(wanted.name_contains, "Part of a name", MAX_NAME)
        conditions.append(DOCUMENT.c.name.icontains(part, autoescape=True))
    if wanted.created_after is not None:
        conditions.append(DOCUMENT.c.created_at >= _time(wanted.created_after))
    if wanted.created_before is not None:
        conditions.append(DOCUMENT.c.created_at < _time(wanted.created_before))
    found = select(DOCUMENT.c.id)
    order: ColumnElement[Any] = DOCUMENT.c.id
    for number, (name, value) in enumerate(sorted(wanted.labels.items())):
        label = LabelRow.__table__.alias(f"label{number}")
        found = found.join(label, label.c.document_id == DOCUMENT.c.id)
        conditions += [
            label.c.tenant_id == tenant,
            label.c.name == plain_text(name, "The name of a label", MAX_LABEL_NAME),
            label.c.value == plain_text(value, "The value of a label", MAX_LABEL_VALUE),
        ]
        # the labels' own index has their documents in order
        order = label.c.document_id if number == 0 else order
    if before is not None:
        # of both tables where there are two: a database does not conclude one from the other
        conditions += [column < before for column in dict.fromkeys((DOCUMENT.c.id, order))]
    return found.where(*conditions).order_by(order.desc())


def _time(seconds: float) -> float:
    if not 0 <= seconds < 1e11:
        raise BadRequest("This is no time.")
    return seconds
