"""Taking work and keeping it: claims, beats.

The protocol is HOUSE's "one writer": a claim is one guarded UPDATE that moves QUEUED to RUNNING and raises the token;
whoever writes later with an older token changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import ColumnElement, exists, func, select, tuple_, update
from sqlalchemy.orm import Session, aliased

from docfleet.domain.work import SliceState, Step
from docfleet.ledger.dialect import database_now, lock_isolation_lane
from docfleet.ledger.moves import record_slices
from docfleet.ledger.rows import DocumentRow, InputRow, SliceRow
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
    conditions = [
        SliceRow.state == SliceState.QUEUED,
        SliceRow.step.in_(sorted(steps)),
        SliceRow.available_at <= database_now(),
    ]
    if batch_id is not None:
        conditions.append(SliceRow.batch_id == batch_id)
    if not _may_isolate(session, worker, lanes, conditions):
        conditions.append(SliceRow.isolated.is_(False))
    elif Lane.SHARED not in lanes:
        conditions.append(SliceRow.isolated.is_(True))
    candidates = session.execute(
        select(SliceRow.id, SliceRow.isolated)
        .where(*conditions)
        .order_by(SliceRow.priority, SliceRow.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    ).all()
    if not candidates:
        return []
    chosen = [candidates[0].id] if candidates[0].isolated else [row.id for row in candidates if not row.isolated]
    return _take(session, worker, chosen, lease_seconds)


def _holds_isolated(session: Session, worker: str) -> bool:
    return bool(
        session.execute(
            select(
                exists().where(
                    SliceRow.worker == worker, SliceRow.state == SliceState.RUNNING, SliceRow.isolated.is_(True)
                )
            )
        ).scalar()
    )


def _may_isolate(
    session: Session, worker: str, lanes: Collection[Lane], conditions: Collection[ColumnElement[bool]]
) -> bool:
    if Lane.ISOLATED not in lanes:
        return False
    if not session.execute(select(exists().where(*conditions, SliceRow.isolated.is_(True)))).scalar():
        return False
    lock_isolation_lane(session)
    running = SliceRow.state == SliceState.RUNNING
    occupied = exists().where(running, SliceRow.isolated.is_(True))
    busy = exists().where(running, SliceRow.worker == worker)
    return not session.execute(select(occupied | busy)).scalar()


def _take(session: Session, worker: str, slice_ids: list[int], lease_seconds: float) -> list[Claim]:
    taken = session.execute(
        update(SliceRow)
        .where(SliceRow.id.in_(slice_ids), SliceRow.state == SliceState.QUEUED)
        .values(
            state=SliceState.RUNNING,
            worker=worker,
            token=SliceRow.token + 1,
            attempt=SliceRow.attempt + 1,
            lease_until=database_now() + lease_seconds,
            started_at=database_now(),
        )
        .execution_options(synchronize_session=False)
        .returning(
            SliceRow.id, SliceRow.token, SliceRow.step, SliceRow.first_page, SliceRow.last_page, SliceRow.round,
            SliceRow.attempt, SliceRow.crash_count, SliceRow.error_count, SliceRow.isolated, SliceRow.payload_json,
            SliceRow.document_id, SliceRow.priority,
        )
    ).all()  # fmt: skip
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
    documents = _documents(session, {row.document_id for row in taken})
    # RETURNING promises no order
    return [
        Claim(
            row.id, row.token, worker, row.step, row.first_page, row.last_page, row.round, row.attempt,
            row.crash_count, row.error_count, row.isolated, row.payload_json, documents[row.document_id],
        )
        for row in sorted(taken, key=lambda row: (row.priority, row.id))
    ]  # fmt: skip


def _documents(session: Session, ids: Collection[str]) -> dict[str, ClaimedDocument]:
    first = aliased(InputRow)
    first_input = (
        select(func.min(first.id)).where(first.document_id == DocumentRow.id).correlate(DocumentRow).scalar_subquery()
    )
    rows = session.execute(
        select(
            DocumentRow.id, DocumentRow.batch_id, DocumentRow.sha256, DocumentRow.size_bytes, DocumentRow.media_type,
            DocumentRow.pages, DocumentRow.plan_json, DocumentRow.folder, DocumentRow.options_digest,
            InputRow.name, InputRow.path, InputRow.member,
        )
        .outerjoin(InputRow, InputRow.id == first_input)
        .where(DocumentRow.id.in_(ids))
    ).all()  # fmt: skip
    return {
        row.id: ClaimedDocument(
            row.id, row.batch_id, row.sha256, row.size_bytes, row.media_type, row.pages, row.plan_json, row.folder,
            row.options_digest, Source(row.name or "", row.path or "", row.member or ""),
        )
        for row in rows
    }  # fmt: skip


def beat(session: Session, worker: str, held: Collection[Claim], lease_seconds: float) -> frozenset[int]:
    """Renews the leases of all claims the worker holds, in one statement; returns the slices it has lost.

    A lost slice belongs to somebody else, or to nobody: stop working on it. A lease that has run out but that nobody
    has noticed yet is renewed.
    """
    if not held:
        return frozenset()
    kept = session.execute(
        update(SliceRow)
        .where(
            SliceRow.worker == worker,
            SliceRow.state == SliceState.RUNNING,
            # by token too: a claim the worker does not know it holds must run out
            tuple_(SliceRow.id, SliceRow.token).in_([(item.slice_id, item.token) for item in held]),
        )
        .values(lease_until=database_now() + lease_seconds)
        .execution_options(synchronize_session=False)
        .returning(SliceRow.id, SliceRow.token)
    ).all()
    alive = {(row.id, row.token) for row in kept}
    return frozenset(item.slice_id for item in held if (item.slice_id, item.token) not in alive)
