"""Listing documents: by id, the newest or the oldest first, a page at a time, each page in bounded time.

What an index has in order (all, of some states, of a batch, of a label) is read along it. Other filters (name,
priority, code, time, further labels) are asked of the next `LOOKED_THROUGH` of those; where so many hold too few that
fit, the page is short, says how far it looked, and its cursor goes on from there.
"""

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
from docfleet.ledger.names import has_part
from docfleet.ledger.rows import DOCUMENT
from docfleet.ledger.service_rows import LabelRow
from docfleet.ledger.service_values import DocumentFilter, Listing
from docfleet.ledger.views import VIEWED, views_of

LOOKED_THROUGH = 50_000
_ENDED_BADLY = (DocumentState.PARTIAL, DocumentState.FAILED)
_CLOCK_SLACK_SECONDS = 86_400.0
"""Ids begin with the time of making by the clock of whoever made them, `created_at` is the database's time: closer
together than this they are taken to be, and documents further off are not looked at for a filter by time."""
_CURSORS = {False: "d", True: "a"}


def documents(session: Session, tenant: str, wanted: DocumentFilter, cursor: str | None, limit: int) -> Listing:
    """The tenant's documents, without the deleted. Raises BadRequest for a cursor that is none of this listing."""
    limit = checked_limit(limit)
    kind = _CURSORS[wanted.oldest_first]
    position = from_cursor(kind, cursor) if cursor else None
    horizon = _horizon(session, tenant, wanted, position)
    # one more than wanted tells whether there is a next page
    ids = list(session.execute(matching_ids(tenant, wanted, position, limit + 1, horizon)).scalars())
    more = len(ids) > limit
    found = VIEWED.where(DOCUMENT.c.id.in_(ids[:limit])).order_by(_in_order(wanted, DOCUMENT.c.id))
    items = tuple(views_of(session, session.execute(found).all() if ids else ()))
    if more or horizon is None:
        return Listing(items, to_cursor(kind, ids[limit - 1]) if more else None)
    looked_until = session.execute(select(DOCUMENT.c.created_at).where(DOCUMENT.c.id == horizon)).scalar_one_or_none()
    return Listing(items, to_cursor(kind, horizon), looked_until)


def matching_ids(
    tenant: str, wanted: DocumentFilter, position: str | None, limit: int, horizon: str | None = None
) -> Select[Any]:
    """Ids of the first `limit` that match and come after `position`, up to and with `horizon`.

    Each state is looked for by itself: an index has them in order by state and id, but not over several states.
    """
    states = _states_of(wanted)
    parts = [_of_one_state(tenant, wanted, state, position, horizon).limit(limit) for state in states]
    if len(parts) == 1:
        return parts[0]
    found = union_all(*(select(part.subquery()) for part in parts)).subquery()
    return select(found.c.id).order_by(_in_order(wanted, found.c.id)).limit(limit)


def _states_of(wanted: DocumentFilter) -> tuple[DocumentState | None, ...]:
    """(None,): whatever their state."""
    states = tuple(dict.fromkeys(DocumentState(state) for state in wanted.states))
    if wanted.code and not states:
        # nothing else has a code, and these are few
        return _ENDED_BADLY
    return states or (None,)


def _of_one_state(
    tenant: str, wanted: DocumentFilter, state: DocumentState | None, position: str | None, horizon: str | None
) -> Select[Any]:
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
        conditions.append(has_part(DOCUMENT.c.name, plain_text(wanted.name_contains, "Part of a name", MAX_NAME)))
    if wanted.created_after is not None:
        conditions.append(DOCUMENT.c.created_at >= _time(wanted.created_after))
    if wanted.created_before is not None:
        conditions.append(DOCUMENT.c.created_at < _time(wanted.created_before))
    found = select(DOCUMENT.c.id)
    order: ColumnElement[Any] = DOCUMENT.c.id
    for number, (name, value) in enumerate(sorted(wanted.labels.items())):
        label = LabelRow.__table__.alias(f"label{number}")
        found = found.join(label, label.c.document_id == DOCUMENT.c.id)
        conditions += _labelled(label, tenant, name, value)
        # the labels' own index has their documents in order
        order = label.c.document_id if number == 0 else order
    # of both tables where there are two: a database does not conclude one from the other
    for column in dict.fromkeys((DOCUMENT.c.id, order)):
        conditions += _between(wanted, column, position, horizon)
    return found.where(*conditions).order_by(_in_order(wanted, order))


# --- how far a page looks


def _horizon(session: Session, tenant: str, wanted: DocumentFilter, position: str | None) -> str | None:
    """The last id that this page looks at; None: all that are left."""
    ends: list[str] = []
    for walk in _walks(tenant, wanted, position):
        ends += session.execute(walk.offset(LOOKED_THROUGH - 1).limit(1)).scalars()
    return (min(ends) if wanted.oldest_first else max(ends)) if ends else None


def _walks(tenant: str, wanted: DocumentFilter, position: str | None) -> list[Select[Any]]:
    """The ids that an index has in order, from `position` on, of which the rest of the filters chooses."""
    if wanted.labels:
        name, value = min(wanted.labels.items())
        label = LabelRow.__table__
        return [_walk(wanted, label.c.document_id, position, *_labelled(label, tenant, name, value))]
    of_tenant = DOCUMENT.c.tenant_id == tenant
    if wanted.batch_id is not None:
        of_batch = DOCUMENT.c.batch_id == known_id(wanted.batch_id, "batch")
        return [_walk(wanted, DOCUMENT.c.id, position, of_tenant, of_batch)]
    return [
        _walk(wanted, DOCUMENT.c.id, position, of_tenant, *(() if state is None else (DOCUMENT.c.state == state,)))
        for state in _states_of(wanted)
    ]


def _walk(
    wanted: DocumentFilter, column: ColumnElement[Any], position: str | None, *conditions: ColumnElement[bool]
) -> Select[Any]:
    found = select(column).where(*conditions, *_between(wanted, column, position, None))
    return found.order_by(_in_order(wanted, column))


def _labelled(label: Any, tenant: str, name: str, value: str) -> list[ColumnElement[bool]]:
    return [
        label.c.tenant_id == tenant,
        label.c.name == plain_text(name, "The name of a label", MAX_LABEL_NAME),
        label.c.value == plain_text(value, "The value of a label", MAX_LABEL_VALUE),
    ]


def _in_order(wanted: DocumentFilter, column: ColumnElement[Any]) -> ColumnElement[Any]:
    return column.asc() if wanted.oldest_first else column.desc()


def _between(
    wanted: DocumentFilter, column: ColumnElement[Any], position: str | None, horizon: str | None
) -> list[ColumnElement[bool]]:
    """What lies after `position`, not beyond `horizon`, and can be of the time that is asked for."""
    conditions: list[ColumnElement[bool]] = []
    if position is not None:
        conditions.append(column > position if wanted.oldest_first else column < position)
    if horizon is not None:
        conditions.append(column <= horizon if wanted.oldest_first else column >= horizon)
    if wanted.created_after is not None:
        conditions.append(column >= _id_of(_time(wanted.created_after) - _CLOCK_SLACK_SECONDS))
    if wanted.created_before is not None:
        conditions.append(column < _id_of(_time(wanted.created_before) + _CLOCK_SLACK_SECONDS))
    return conditions


def _id_of(seconds: float) -> str:
    """The least id of this time, see `registering.new_id`."""
    return f"{int(max(0.0, seconds) * 1000):012x}"


def _time(seconds: float) -> float:
    if not 0 <= seconds < 1e11:
        raise BadRequest("This is no time.")
    return seconds
