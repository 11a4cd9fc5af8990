"""What whoever oversees the workers of one machine needs: who is stuck, and taking back what a dead run held."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from docfleet.domain.retry import FailureKind, RetryPolicy
from docfleet.domain.work import DOCUMENT_ENDS, DocumentState, SliceState
from docfleet.ledger.dialect import database_now
from docfleet.ledger.ending import Ended, take_back_slice
from docfleet.ledger.moves import cancel_open_slices, lock_document, move_document
from docfleet.ledger.rows import DocumentRow, SliceRow
from docfleet.ledger.workers import supervisor_of


def overdue_workers(session: Session, seconds: float) -> list[str]:
    """Workers that have been at one slice for longer than `seconds`, whether or not they still beat."""
    rows = session.execute(
        select(SliceRow.worker)
        .where(SliceRow.state == SliceState.RUNNING, SliceRow.started_at < database_now() - seconds)
        .distinct()
    )
    return list(rows.scalars())


def slices_by_worker(session: Session) -> Mapping[str, int]:
    """How many slices each worker (supervisor) is at, by its name; those at none are not in it."""
    rows = session.execute(
        select(SliceRow.worker, func.count()).where(SliceRow.state == SliceState.RUNNING).group_by(SliceRow.worker)
    )
    counts: Counter[str] = Counter()
    for slot, running in rows:
        counts[supervisor_of(slot or "")] += running
    return counts


def cancel_other_options(session: Session, batch_id: str, options_digest: str) -> int:
    """Cancels open documents that were registered under other options than those now in force; returns how many.

    Whoever submits them again gets them read under the new ones.
    """
    others = session.execute(
        select(DocumentRow.id)
        .where(
            DocumentRow.batch_id == batch_id,
            DocumentRow.options_digest != options_digest,
            DocumentRow.state.not_in(sorted(DOCUMENT_ENDS)),
        )
        .order_by(DocumentRow.id)
    )
    ids = list(others.scalars())
    for document_id in ids:
        document = lock_document(session, document_id)
        cancel_open_slices(session, document, "other options")
        move_document(session, document, DocumentState.CANCELLED, "other options", finished_at=database_now())
    return len(ids)


def supersede(session: Session, document_ids: Sequence[str]) -> None:
    """Lets go of documents whose results are gone: submitted again, they are read again, into the same folder."""
    for document_id in document_ids:
        session.execute(
            update(DocumentRow)
            .where(DocumentRow.id == document_id, DocumentRow.state.in_(sorted(DOCUMENT_ENDS)))
            .values(folder=None, folder_key=None, options_digest=f"superseded {document_id}")
            .execution_options(synchronize_session=False)
        )


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
