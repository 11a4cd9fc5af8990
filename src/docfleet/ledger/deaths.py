"""Whose fault a worker's death is: every attempt that died is kept, and cleared when its slice ends well.

A slot's name is new with every process, so one name dies once, however many slices inherit the suspicion.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import bindparam, case, func, insert, select, update
from sqlalchemy.orm import Session

from docfleet.domain.retry import Failure, FailureKind, Hazard, evidence_of
from docfleet.ledger.dialect import database_now
from docfleet.ledger.rows import SliceRow
from docfleet.ledger.service_rows import DEATH, WORKER

SPANS = (30.0, 120.0, 600.0)
"""Seconds before now in which innocent deaths are counted."""
UNKNOWN_REASONS = frozenset({"worker_died", "worker_lost"})
"""Causes that do not tell what killed the worker; any other was seen to."""
SILENT_SECONDS = 10.0
"""Who was not seen for this long lives no more, as far as the hazard is concerned."""

_NOW = select(database_now())
_NEW = ("at", "worker", "slice_id", "document_id", "seconds", "cause")
_ADD = insert(DEATH).values({name: bindparam(f"new_{name}") for name in _NEW})
_AGAINST = select(DEATH.c.seconds, DEATH.c.cause).where(
    DEATH.c.slice_id == bindparam("slice_id"), DEATH.c.innocent.is_(False)
)
_CLEAR = (
    update(DEATH).where(DEATH.c.slice_id == bindparam("cleared"), DEATH.c.innocent.is_(False)).values(innocent=True)
)
# Heirs of one slice have copies of the same death: a worker dies once, and innocently when it was none of them.
_INNOCENT = (
    select(func.max(DEATH.c.at).label("at"))
    .where(DEATH.c.at > bindparam("since"))
    .group_by(DEATH.c.worker)
    .having(func.min(case((DEATH.c.innocent.is_(True), 1), else_=0)) == 1)
)
_ALIVE = select(WORKER.c.slots, WORKER.c.started_at, WORKER.c.seen_at, WORKER.c.ended_at).where(
    WORKER.c.seen_at > bindparam("since")
)


def weigh(session: Session, row: SliceRow, failure: Failure) -> float | None:
    """Keeps the death of the attempt `row` is at; returns the evidence against the slice, this death included.

    None for what is no death, and for slices of no pool, where every crash counts in full.
    """
    if failure.kind not in (FailureKind.CRASH, FailureKind.LOSS) or not row.pool:
        return None
    now = session.execute(_NOW).scalar_one()
    # a lost one lived until its last beat at least, and until its lease ran out at most
    until = min(now, row.lease_until) if row.lease_until is not None else now
    session.execute(
        _ADD,
        {
            "new_at": until, "new_worker": row.worker, "new_slice_id": row.id, "new_document_id": row.document_id,
            "new_seconds": max(0.0, until - (row.started_at or until)), "new_cause": failure.code,
        },
    )  # fmt: skip
    deaths = session.execute(_AGAINST, {"slice_id": row.id}).all()
    unknown = [death.seconds for death in deaths if death.cause in UNKNOWN_REASONS]
    return evidence_of(unknown, _hazards(session, now), len(deaths) - len(unknown))


def _hazards(session: Session, now: float) -> list[Hazard]:
    since = {"since": now - max(SPANS)}
    died_at = session.execute(_INNOCENT, since).scalars().all()
    alive: list[tuple[int, float, float]] = []
    for slots, started_at, seen_at, ended_at in session.execute(_ALIVE, since):
        lives = now if ended_at is None and seen_at > now - SILENT_SECONDS else seen_at
        alive.append((slots, started_at, lives if ended_at is None else ended_at))
    return [
        Hazard(
            sum(at > now - span for at in died_at),
            sum(slots * max(0.0, end - max(start, now - span)) for slots, start, end in alive),
        )
        for span in SPANS
    ]


def clear(session: Session, slice_id: int) -> None:
    """The slice ended well: what its workers died of was not it."""
    session.execute(_CLEAR, {"cleared": slice_id})


def inherit(session: Session, slice_id: int, heirs: Sequence[int]) -> None:
    """The slices that were cut from this one are as suspect as it is."""
    known = session.execute(select(DEATH).where(DEATH.c.slice_id == slice_id)).mappings().all()
    copies = [{**row, "slice_id": heir} for row in known for heir in heirs]
    for copy in copies:
        del copy["id"]
    if copies:
        session.execute(insert(DEATH), copies)
