"""The workers (supervisors) that present themselves, and who of them is still there."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import bindparam, delete, select, update
from sqlalchemy.orm import Session

from docfleet.ledger.dialect import database_now, upserts
from docfleet.ledger.service_rows import DEATH, WORKER
from docfleet.ledger.service_values import WorkerFacts, WorkerView

SHOWN_SECONDS = 600.0
"""Workers seen within this are shown, ended or not."""
KEPT_SECONDS = 30 * 86400.0

_FACTS = WorkerFacts.__struct_fields__
_ANNOUNCE = {
    name: insert.values(
        **{fact: bindparam(f"new_{fact}") for fact in _FACTS},
        mode="",
        started_at=database_now(),
        seen_at=database_now(),
        ended_at=None,
        cause="",
    ).on_conflict_do_update(
        index_elements=["name"], set_={"slots": insert.excluded.slots, "seen_at": database_now(), "ended_at": None}
    )
    for name, insert in upserts(WORKER).items()
}
_SEE = (
    update(WORKER)
    .where(WORKER.c.name == bindparam("seen_name"), WORKER.c.ended_at.is_(None))
    .values(seen_at=database_now(), mode=bindparam("new_mode"))
)
_END = (
    update(WORKER)
    .where(WORKER.c.name == bindparam("ended_name"), WORKER.c.ended_at.is_(None))
    .values(ended_at=database_now(), cause=bindparam("new_cause"))
)


def announce(session: Session, facts: WorkerFacts) -> None:
    """A worker has started. What is known of those of a month ago is forgotten."""
    session.execute(delete(WORKER).where(WORKER.c.seen_at < database_now() - KEPT_SECONDS))
    session.execute(delete(DEATH).where(DEATH.c.at < database_now() - KEPT_SECONDS))
    session.execute(
        _ANNOUNCE[session.get_bind().dialect.name], {f"new_{fact}": getattr(facts, fact) for fact in _FACTS}
    )


def see(session: Session, name: str, mode: str) -> None:
    session.execute(_SEE, {"seen_name": name, "new_mode": mode})


def end(session: Session, name: str, cause: str) -> None:
    session.execute(_END, {"ended_name": name, "new_cause": cause})


def listing(session: Session, pool: str | None) -> list[WorkerView]:
    """Those seen lately, the longest running first; of one pool when given."""
    rows = session.execute(
        select(*(WORKER.c[name] for name in WorkerView.__struct_fields__))
        .where(WORKER.c.seen_at > database_now() - SHOWN_SECONDS)
        .order_by(WORKER.c.started_at, WORKER.c.name)
    )
    views = [WorkerView(*row) for row in rows]
    return [view for view in views if pool is None or pool in view.pool.split(",")]


def supervisor_of(slot: str) -> str:
    """`host-1-pdf-4711/0-3` -> `host-1-pdf-4711`"""
    return slot.partition("/")[0]


def silent(session: Session, names: Collection[str], seconds: float) -> set[str]:
    """Those that have ended, or were not seen for so long, or never."""
    if not names:
        return set()
    alive = select(WORKER.c.name).where(
        WORKER.c.name.in_(sorted(names)),
        WORKER.c.ended_at.is_(None),
        WORKER.c.seen_at > database_now() - seconds,
    )
    return set(names) - set(session.execute(alive).scalars())
