"""Whose fault a worker's death is: every attempt that died is kept, and cleared when its slice ends well.

A slot's name is new with every process, so one name dies once, however many slices inherit the suspicion. A slot that
died free has nothing to blame it on: its death is of slice 0, and innocent from the start.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import bindparam, case, func, insert, select, update
from sqlalchemy.orm import Session

from docfleet.domain.retry import Evidence, Failure, FailureKind, Hazard, evidence_of
from docfleet.domain.work import OPEN_SLICES
from docfleet.ledger.dialect import database_now
from docfleet.ledger.rows import SLICE, SliceRow
from docfleet.ledger.service_rows import DEATH, WORKER

SPANS = (30.0, 120.0, 600.0)
"""Seconds before now in which innocent deaths are counted."""
FREE_SECONDS = 120.0
"""How long the death of a free slot counts: it warns of a storm that begins. Later, deaths under slices tell more."""
UNKNOWN_REASONS = frozenset({"worker_died", "worker_lost"})
"""Causes that do not tell what killed the worker; any other was seen to."""
SILENT_SECONDS = 10.0
"""Who was not seen for this long lives no more, as far as the hazard is concerned."""

_NOW = select(database_now())
_NEW = ("at", "worker", "slice_id", "document_id", "seconds", "cause", "innocent")
_ADD = insert(DEATH).values({name: bindparam(f"new_{name}") for name in _NEW})
_AGAINST = select(DEATH.c.at, DEATH.c.worker, DEATH.c.seconds, DEATH.c.cause).where(
    DEATH.c.slice_id == bindparam("slice_id"), DEATH.c.innocent.is_(False)
)
_CLEAR = (
    update(DEATH).where(DEATH.c.slice_id == bindparam("cleared"), DEATH.c.innocent.is_(False)).values(innocent=True)
)
# Heirs of one slice have copies of the same death: a worker dies once, and innocently when it was none of them.
_INNOCENT = (
    select(func.max(DEATH.c.at).label("at"))
    .where(DEATH.c.at > bindparam("since"), (DEATH.c.slice_id != 0) | (DEATH.c.at > bindparam("free_since")))
    .group_by(DEATH.c.worker)
    .having(func.min(case((DEATH.c.innocent.is_(True), 1), else_=0)) == 1)
)
# Of slices that may still end well, or die for good. A suspicion that was inherited is not another's death.
_OPEN = (
    select(func.max(DEATH.c.at).label("at"), DEATH.c.worker)
    .join(SLICE, SLICE.c.id == DEATH.c.slice_id)
    .where(
        DEATH.c.at > bindparam("since"),
        DEATH.c.innocent.is_(False),
        DEATH.c.cause.in_(sorted(UNKNOWN_REASONS)),
        SLICE.c.state.in_(sorted(OPEN_SLICES)),
    )
    .group_by(DEATH.c.worker)
)
_ALIVE = select(WORKER.c.slots, WORKER.c.started_at, WORKER.c.seen_at, WORKER.c.ended_at).where(
    WORKER.c.seen_at > bindparam("since")
)


def weigh(session: Session, row: SliceRow, failure: Failure) -> Evidence | None:
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
            "new_innocent": False,
        },
    )  # fmt: skip
    deaths = session.execute(_AGAINST, {"slice_id": row.id}).all()
    unknown = [death.seconds for death in deaths if death.cause in UNKNOWN_REASONS]
    certain = len(deaths) - len(unknown)
    since = {"since": now - max(SPANS)}
    innocent = session.execute(_INNOCENT, since | {"free_since": now - FREE_SECONDS}).scalars().all()
    mine = {death.worker for death in deaths}
    undecided = [death.at for death in session.execute(_OPEN, since) if death.worker not in mine]
    lives = _lives(session, now)
    return Evidence(
        evidence_of(unknown, _hazards(innocent, lives, now), certain),
        evidence_of(unknown, _hazards([*innocent, *undecided], lives, now), certain),
        now - min(death.at for death in deaths),
    )


def note_idle(session: Session, worker: str) -> None:
    """A slot died that was free: nothing it read can have been to blame."""
    now = session.execute(_NOW).scalar_one()
    session.execute(
        _ADD,
        {
            "new_at": now, "new_worker": worker, "new_slice_id": 0, "new_document_id": "", "new_seconds": 0.0,
            "new_cause": "worker_died", "new_innocent": True,
        },
    )  # fmt: skip


def _lives(session: Session, now: float) -> list[tuple[int, float, float]]:
    """(slots, from, until) of every worker that was there in the longest span."""
    found = []
    for slots, started_at, seen_at, ended_at in session.execute(_ALIVE, {"since": now - max(SPANS)}):
        lives = now if ended_at is None and seen_at > now - SILENT_SECONDS else seen_at
        found.append((slots, started_at, lives if ended_at is None else ended_at))
    return found


def _hazards(died_at: Sequence[float], lives: Sequence[tuple[int, float, float]], now: float) -> list[Hazard]:
    return [
        Hazard(
            sum(at > now - span for at in died_at),
            sum(slots * max(0.0, end - max(start, now - span)) for slots, start, end in lives),
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
