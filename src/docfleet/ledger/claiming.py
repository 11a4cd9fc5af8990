"""Taking work and keeping it: claims, beats.

The protocol is HOUSE's "one writer": a claim is one guarded UPDATE that moves QUEUED to RUNNING and raises the token;
whoever writes later with an older token changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import product
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Double,
    Row,
    Select,
    String,
    bindparam,
    cast,
    exists,
    func,
    insert,
    literal,
    select,
    text,
    tuple_,
    update,
)  # fmt: skip
from sqlalchemy.orm import Session

from docfleet.domain.urgency import Urgency
from docfleet.domain.work import SliceState, Step
from docfleet.ledger.dialect import database_now, lock_isolation_lane
from docfleet.ledger.moves import record_slices
from docfleet.ledger.rows import DOCUMENT, EVENT, INPUT, SLICE
from docfleet.ledger.service_rows import CONTENT
from docfleet.ledger.straight import Straight
from docfleet.ledger.values import BOTH_LANES, Claim, ClaimedDocument, Lane, Source
from docfleet.ledger.window import next_heads


def claim(
    session: Session,
    worker: str,
    steps: Collection[Step],
    lease_seconds: float,
    *,
    lanes: Collection[Lane] = BOTH_LANES,
    limit: int = 1,
    batch_id: str | None = None,
) -> list[Claim]:
    """Up to `limit` waiting slices, the most urgent first, now RUNNING in this worker's name.

    A slice in isolation is claimed by itself, by a worker that holds nothing else, while no other such slice runs; a
    worker that has one gets nothing more until it is over.
    """
    if _holds_isolated(session, worker):
        return []
    may_isolate = Lane.ISOLATED in lanes and _lane_is_free(session, worker)
    statement = _CANDIDATES[batch_id is not None, may_isolate, may_isolate and Lane.SHARED not in lanes]
    candidates = session.execute(statement, {"steps": sorted(steps), "limit": limit, "batch_id": batch_id}).all()
    if not candidates or (not may_isolate and Lane.SHARED not in lanes):
        return []
    if candidates[0].isolated:
        return _take(session, worker, [candidates[0].id], lease_seconds)
    return _take(session, worker, [row.id for row in candidates if not row.isolated], lease_seconds)


def _candidates(in_batch: bool, may_isolate: bool, isolated_only: bool) -> Select[Any]:
    conditions = [
        SLICE.c.state == SliceState.QUEUED,
        SLICE.c.step.in_(bindparam("steps", expanding=True)),
        SLICE.c.available_at <= database_now(),
    ]
    if in_batch:
        conditions.append(SLICE.c.batch_id == bindparam("batch_id"))
    if isolated_only:
        conditions.append(SLICE.c.isolated.is_(True))
    elif not may_isolate:
        conditions.append(SLICE.c.isolated.is_(False))
    return (
        select(SLICE.c.id, SLICE.c.isolated)
        .where(*conditions)
        .order_by(SLICE.c.priority, SLICE.c.id)
        .limit(bindparam("limit"))
        .with_for_update(skip_locked=True)
    )


_CANDIDATES = {flags: _candidates(*flags) for flags in product((False, True), repeat=3)}
_MINE = (SLICE.c.state == SliceState.RUNNING) & (SLICE.c.worker == bindparam("worker"))
_HOLDS_ISOLATED = select(exists().where(_MINE, SLICE.c.isolated.is_(True)))
_ANY_ISOLATED_WAITS = select(exists().where(SLICE.c.state == SliceState.QUEUED, SLICE.c.isolated.is_(True)))
_OCCUPIED = select(
    exists().where(SLICE.c.state == SliceState.RUNNING, SLICE.c.isolated.is_(True)) | exists().where(_MINE)
)


def _holds_isolated(session: Session, worker: str) -> bool:
    return bool(session.execute(_HOLDS_ISOLATED, {"worker": worker}).scalar())


def _lane_is_free(session: Session, worker: str) -> bool:
    """Something waits in the isolation lane, nothing is in it, and this worker holds nothing."""
    if not session.execute(_ANY_ISOLATED_WAITS).scalar():
        return False
    lock_isolation_lane(session)
    return not session.execute(_OCCUPIED, {"worker": worker}).scalar()


def _taking(*conditions: Any) -> Any:
    """QUEUED -> RUNNING with a new token. A slice that runs is in no window."""
    return (
        update(SLICE)
        .where(SLICE.c.state == SliceState.QUEUED, *conditions)
        .values(
            state=SliceState.RUNNING,
            worker=bindparam("new_worker"),
            token=SLICE.c.token + 1,
            attempt=SLICE.c.attempt + 1,
            lease_until=database_now() + bindparam("lease_seconds", type_=Double()),
            started_at=database_now(),
            dispatched_at=None,
        )
        .returning(
            SLICE.c.id, SLICE.c.token, SLICE.c.step, SLICE.c.first_page, SLICE.c.last_page, SLICE.c.round,
            SLICE.c.attempt, SLICE.c.crash_count, SLICE.c.error_count, SLICE.c.isolated, SLICE.c.payload_json,
            SLICE.c.document_id, SLICE.c.priority, SLICE.c.started_at, SLICE.c.available_at,
        )
    )  # fmt: skip


_mine = SLICE.alias()
_TAKE = _taking(SLICE.c.id.in_(bindparam("slice_ids", expanding=True)))
_TAKE_ONE = {
    isolated: _taking(
        SLICE.c.id == bindparam("slice_id"),
        SLICE.c.available_at <= database_now(),
        SLICE.c.isolated.is_(isolated),
        ~exists().where(
            _mine.c.isolated.is_(True),
            _mine.c.state == SliceState.RUNNING,
            _mine.c.worker == bindparam("new_worker"),
        ),
    )
    for isolated in (False, True)
}
_WAITS_ISOLATED = select(
    exists().where(SLICE.c.id == bindparam("slice_id"), SLICE.c.state == SliceState.QUEUED, SLICE.c.isolated.is_(True))
)
_FORGET_HINT = (
    update(SLICE)
    .where(SLICE.c.id == bindparam("slice_id"), SLICE.c.state == SliceState.QUEUED)
    .values(dispatched_at=None)
)


def claim_at_once(connection: Connection, worker: str, slice_id: int, lease_seconds: float) -> Claim | None:
    """Postgres, on a connection that commits by itself: as `claim_slice` for what is not in isolation.

    None: ask that, which also finds out why.
    """
    found = _CLAIM_ONE.rows_on(connection, {"slice_id": slice_id, "new_worker": worker, "lease_seconds": lease_seconds})
    return _claim_of(found[0], worker, _claimed_document(found[0])) if found else None


def claim_slice(
    session: Session, worker: str, slice_id: int, lease_seconds: float, lanes: Collection[Lane] = BOTH_LANES
) -> Claim | None:
    """This very slice, if it still waits and is due; None otherwise: a hint may be late, or told twice.

    One in isolation needs a free lane and a worker that holds nothing, as in `claim`; refused, it may be hinted again.
    """
    values = {"slice_id": slice_id, "new_worker": worker, "lease_seconds": lease_seconds}
    taken = session.execute(_TAKE_ONE[False], values).all() if Lane.SHARED in lanes else []
    if not taken and session.execute(_WAITS_ISOLATED, {"slice_id": slice_id}).scalar():
        if Lane.ISOLATED in lanes and _lane_is_free(session, worker):
            taken = session.execute(_TAKE_ONE[True], values).all()
        if not taken:
            session.execute(_FORGET_HINT, {"slice_id": slice_id})
    claims = _claims(session, worker, taken)
    return claims[0] if claims else None


SPARE_CHOICES = 4
"""How many more than asked for are looked at: others choose at the same time, by the same rules."""


def claim_next(
    session: Session,
    worker: str,
    pools: Collection[str],
    lease_seconds: float,
    *,
    limit: int = 1,
    lanes: Collection[Lane] = BOTH_LANES,
) -> list[Claim]:
    """Up to `limit` slices of these pools, those a dispatcher would send next; for a worker without a broker.

    The lanes are as in `claim`. May come back empty when others were faster, although something waits.
    """
    if _holds_isolated(session, worker):
        return []
    heads = next_heads(session, pools, limit + SPARE_CHOICES, lanes)
    if heads and heads[0].isolated:
        if _lane_is_free(session, worker):
            return _take(session, worker, _lock_first(session, [heads[0].slice_id], 1), lease_seconds)
        session.execute(_FORGET_HINT, {"slice_id": heads[0].slice_id})
    shared = [head.slice_id for head in heads if not head.isolated]
    return _take(session, worker, _lock_first(session, shared, limit), lease_seconds)


_FREE = text(
    "SELECT id FROM slice WHERE id = ANY(:ids) AND state = 'queued' ORDER BY array_position(:ids, id) "
    "LIMIT :limit FOR UPDATE SKIP LOCKED"
)


def _lock_first(session: Session, slice_ids: list[int], limit: int) -> list[int]:
    """The first of these that nobody else is taking at this moment. (SQLite has one writer at a time.)"""
    if session.get_bind().dialect.name != "postgresql" or not slice_ids:
        return slice_ids[:limit]
    return list(session.execute(_FREE, {"ids": slice_ids, "limit": limit}).scalars())


def _take(session: Session, worker: str, slice_ids: list[int], lease_seconds: float) -> list[Claim]:
    if not slice_ids:
        return []
    values = {"slice_ids": slice_ids, "new_worker": worker, "lease_seconds": lease_seconds}
    return _claims(session, worker, session.execute(_TAKE, values).all())


def _claims(session: Session, worker: str, taken: Sequence[Row[Any]]) -> list[Claim]:
    if not taken:
        return []
    record_slices(
        session,
        [
            {
                "document_id": row.document_id, "slice_id": row.id, "from_state": SliceState.QUEUED,
                "to_state": SliceState.RUNNING, "token": row.token, "worker": worker, "cause": f"attempt {row.attempt}",
                "at": row.started_at,
            }
            for row in taken
        ],
    )  # fmt: skip
    documents = _claimed_documents(session, {row.document_id for row in taken})
    # RETURNING promises no order
    return [
        _claim_of(row, worker, documents[row.document_id])
        for row in sorted(taken, key=lambda row: (row.priority, row.id))
    ]


def _claim_of(row: Any, worker: str, document: ClaimedDocument) -> Claim:
    return Claim(
        row.id, row.token, worker, Step(row.step), row.first_page, row.last_page, row.round, row.attempt,
        row.crash_count, row.error_count, row.isolated, row.payload_json, document,
        row.started_at, max(0.0, row.started_at - row.available_at),
    )  # fmt: skip


_same = INPUT.alias()
_FIRST_INPUT = select(func.min(_same.c.id)).where(_same.c.document_id == DOCUMENT.c.id).correlate(DOCUMENT)
# each under the name that says whose it is: a row of `_CLAIM_ONE` holds the slice's columns too
_SHOWN: list[ColumnElement[Any]] = [
    DOCUMENT.c[name].label(f"document_{name}")
    for name in (
        "id", "batch_id", "sha256", "size_bytes", "media_type", "pages", "plan_json", "folder", "options_digest",
        "tenant_id", "content_id", "options_json", "urgency", "pool", "sealed_passwords",
        "trace",
    )
]  # fmt: skip
_SHOWN += [
    func.coalesce(INPUT.c.name, DOCUMENT.c.name).label("document_name"), INPUT.c.path, INPUT.c.member,
    CONTENT.c.wrapped_key,
]  # fmt: skip
_DOCUMENTS = (
    select(*_SHOWN)
    .select_from(DOCUMENT)
    .outerjoin(INPUT, INPUT.c.id == _FIRST_INPUT.scalar_subquery())
    .outerjoin(CONTENT, CONTENT.c.id == DOCUMENT.c.content_id)
)
_OF_IDS = _DOCUMENTS.where(DOCUMENT.c.id.in_(bindparam("ids", expanding=True)))


def _claimed_documents(session: Session, ids: Collection[str]) -> dict[str, ClaimedDocument]:
    return {row.document_id: _claimed_document(row) for row in session.execute(_OF_IDS, {"ids": list(ids)})}


def _claimed_document(row: Any) -> ClaimedDocument:
    return ClaimedDocument(
        row.document_id, row.document_batch_id, row.document_sha256, row.document_size_bytes, row.document_media_type,
        row.document_pages, row.document_plan_json, row.document_folder, row.document_options_digest,
        Source(row.document_name, row.path or "", row.member or ""), row.document_tenant_id, row.document_content_id,
        row.wrapped_key, row.document_options_json, Urgency(row.document_urgency), row.document_pool,
        row.document_sealed_passwords, row.document_trace,
    )  # fmt: skip


def _claiming_one() -> Select[Any]:
    """Postgres: the claim of one slice, its event and its document in one statement. Most slices are claimed so."""
    taken = _TAKE_ONE[False].returning(SLICE.c.batch_id, SLICE.c.tenant_id).cte("taken")
    event = {
        "at": taken.c.started_at, "entity": literal("slice"), "document_id": taken.c.document_id,
        "slice_id": taken.c.id,
        "from_state": literal(SliceState.QUEUED.value), "to_state": literal(SliceState.RUNNING.value),
        "token": taken.c.token, "worker": bindparam("new_worker", type_=String()),
        "cause": literal("attempt ") + cast(taken.c.attempt, String), "tenant_id": taken.c.tenant_id,
        "batch_id": taken.c.batch_id,
    }  # fmt: skip
    told = insert(EVENT).from_select(list(event), select(*event.values())).cte("told")
    own = [column for column in taken.c if column.key not in ("document_id", "batch_id", "tenant_id")]
    return _DOCUMENTS.add_columns(*own).join(taken, taken.c.document_id == DOCUMENT.c.id).add_cte(told)


_CLAIM_ONE = Straight(_claiming_one())


_IS_HELD = (
    SLICE.c.worker == bindparam("beating"),
    SLICE.c.state == SliceState.RUNNING,
    # by token too: a claim the worker does not know it holds must run out
    tuple_(SLICE.c.id, SLICE.c.token).in_(bindparam("held", expanding=True)),
)
_RENEWED = {"lease_until": database_now() + bindparam("lease_seconds", type_=Double())}


def _beat_past_locks() -> Select[Any]:
    """What is locked is just being ended, and stays as it is: one long finish must not cost others their leases."""
    held = select(SLICE.c.id).where(*_IS_HELD).cte("held_ones")
    free = select(SLICE.c.id).where(*_IS_HELD).with_for_update(key_share=True, skip_locked=True).cte("free_ones")
    beaten = update(SLICE).where(SLICE.c.id.in_(select(free.c.id))).values(_RENEWED).returning(SLICE.c.id).cte("beaten")
    return select(held.c.id).add_cte(beaten)


_BEAT: dict[str, Any] = {
    "sqlite": update(SLICE).where(*_IS_HELD).values(_RENEWED).returning(SLICE.c.id),
    "postgresql": _beat_past_locks(),
}


def beat(session: Session, worker: str, held: Collection[Claim], lease_seconds: float) -> frozenset[int]:
    """Renews the leases of all claims the worker holds, in one statement; returns the slices it has lost.

    A lost slice belongs to somebody else, or to nobody: stop working on it. A lease that has run out but that nobody
    has noticed yet is renewed.
    """
    if not held:
        return frozenset()
    tokens = [(item.slice_id, item.token) for item in held]
    statement = _BEAT[session.get_bind().dialect.name]
    kept = session.execute(statement, {"beating": worker, "held": tokens, "lease_seconds": lease_seconds})
    # by slice: an old claim beside a new one of the same slice must not take the new one down (its finish is fenced)
    return frozenset(item.slice_id for item in held) - {row.id for row in kept}
