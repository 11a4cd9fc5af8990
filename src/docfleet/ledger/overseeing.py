"""What whoever oversees the workers of one machine needs: who is stuck, and taking back what a dead run held."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import select
from sqlalchemy.orm import Session

from docfleet.domain.retry import FailureKind, RetryPolicy
from docfleet.domain.work import SliceState
from docfleet.ledger.dialect import database_now
from docfleet.ledger.ending import Ended, take_back_slice
from docfleet.ledger.rows import SliceRow


def overdue_workers(session: Session, seconds: float) -> list[str]:
    """Workers that have been at one slice for longer than `seconds`, whether or not they still beat."""
    rows = session.execute(
        select(SliceRow.worker)
        .where(SliceRow.state == SliceState.RUNNING, SliceRow.started_at < database_now() - seconds)
        .distinct()
    )
    return list(rows.scalars())


def take_back(session: Session, kind: FailureKind, policy: RetryPolicy, jitter: Callable[[], float]) -> list[Ended]:
    """Takes back every running slice: LOSS after a run that was killed as a whole, WAIT after one that was stopped."""
    rows = session.execute(
        select(SliceRow.id, SliceRow.document_id, SliceRow.token, SliceRow.worker)
        .where(SliceRow.state == SliceState.RUNNING)
        .order_by(SliceRow.document_id, SliceRow.id)
    ).all()
    ended = [
        take_back_slice(session, row.document_id, row.id, row.token, kind, row.worker, policy, jitter()) for row in rows
    ]
    return [one for one in ended if one is not None]
