"""Taking work and keeping it: claims, beats.

The protocol is HOUSE's "one writer": a claim is one guarded UPDATE that moves QUEUED to RUNNING and raises the token;
whoever writes later with an older token changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection
from itertools import product
from typing import Any

from sqlalchemy import Double, Select, bindparam, exists, func, select, tuple_, update
from sqlalchemy.orm import Session

from docfleet.domain.work import SliceState, Step
from docfleet.ledger.dialect import database_now, lock_isolation_lane
from docfleet.ledger.moves import record_slices
from docfleet.ledger.rows import DOCUMENT, INPUT, SLICE
from docfleet.ledger.values import BOTH_LANES, Claim, ClaimedDocument, Lane, Source


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


_TAKE = (
    update(SLICE)
    .where(SLICE.c.id.in_(bindparam("slice_ids", expanding=True)), SLICE.c.state == SliceState.QUEUED)
    .values(
        state=SliceState.RUNNING,
        worker=bindparam("new_worker"),
        token=SLICE.c.token + 1,
        attempt=SLICE.c.attempt + 1,
        lease_until=database_now() + bindparam("lease_seconds", type_=Double()),
        started_at=database_now(),
    )
    .returning(
        SLICE.c.id, SLICE.c.token, SLICE.c.step, SLICE.c.first_page, SLICE.c.last_page, SLICE.c.round,
        SLICE.c.attempt, SLICE.c.crash_count, SLICE.c.error_count, SLICE.c.isolated, SLICE.c.payload_json,
        SLICE.c.document_id, SLICE.c.priority,
    )
)  # fmt: skip


def _take(session: Session, worker: str, slice_ids: list[int], lease_seconds: float) -> list[Claim]:
    taken = session.execute(_TAKE, {"slice_ids": slice_ids, "new_worker": worker, "lease_seconds": lease_seconds}).all()
    record_slices(
        session,
        [
            {
                "document_id": row.document_id, "slice_id": row.id, "from_state": SliceState.QUEUED,
                "to_state": SliceState.RUNNING, "token": row.token, "worker": worker, "cause": f"attempt {row.attempt}",
            }
            for row in taken
        ],
    )  # fmt: skip
    documents = _claimed_documents(session, {row.document_id for row in taken})
    # RETURNING promises no order
    return [
        Claim(
            row.id, row.token, worker, row.step, row.first_page, row.last_page, row.round, row.attempt,
            row.crash_count, row.error_count, row.isolated, row.payload_json, documents[row.document_id],
        )
        for row in sorted(taken, key=lambda row: (row.priority, row.id))
    ]  # fmt: skip


_same = INPUT.alias()
_FIRST_INPUT = select(func.min(_same.c.id)).where(_same.c.document_id == DOCUMENT.c.id).correlate(DOCUMENT)
_DOCUMENTS = (
    select(
        DOCUMENT.c.id, DOCUMENT.c.batch_id, DOCUMENT.c.sha256, DOCUMENT.c.size_bytes, DOCUMENT.c.media_type,
        DOCUMENT.c.pages, DOCUMENT.c.plan_json, DOCUMENT.c.folder, DOCUMENT.c.options_digest,
        INPUT.c.name, INPUT.c.path, INPUT.c.member,
    )
    .select_from(DOCUMENT)
    .outerjoin(INPUT, INPUT.c.id == _FIRST_INPUT.scalar_subquery())
    .where(DOCUMENT.c.id.in_(bindparam("ids", expanding=True)))
)  # fmt: skip


def _claimed_documents(session: Session, ids: Collection[str]) -> dict[str, ClaimedDocument]:
    return {
        row.id: ClaimedDocument(
            row.id, row.batch_id, row.sha256, row.size_bytes, row.media_type, row.pages, row.plan_json, row.folder,
            row.options_digest, Source(row.name or "", row.path or "", row.member or ""),
        )
        for row in session.execute(_DOCUMENTS, {"ids": list(ids)})
    }  # fmt: skip


_BEAT = (
    update(SLICE)
    .where(
        SLICE.c.worker == bindparam("beating"),
        SLICE.c.state == SliceState.RUNNING,
        # by token too: a claim the worker does not know it holds must run out
        tuple_(SLICE.c.id, SLICE.c.token).in_(bindparam("held", expanding=True)),
    )
    .values(lease_until=database_now() + bindparam("lease_seconds", type_=Double()))
    .returning(SLICE.c.id, SLICE.c.token)
)


def beat(session: Session, worker: str, held: Collection[Claim], lease_seconds: float) -> frozenset[int]:
    """Renews the leases of all claims the worker holds, in one statement; returns the slices it has lost.

    A lost slice belongs to somebody else, or to nobody: stop working on it. A lease that has run out but that nobody
    has noticed yet is renewed.
    """
    if not held:
        return frozenset()
    tokens = [(item.slice_id, item.token) for item in held]
    kept = session.execute(_BEAT, {"beating": worker, "held": tokens, "lease_seconds": lease_seconds})
    # by slice: an old claim beside a new one of the same slice must not take the new one down (its finish is fenced)
    return frozenset(item.slice_id for item in held) - {row.id for row in kept}
