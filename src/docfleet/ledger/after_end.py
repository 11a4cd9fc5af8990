"""What follows, in the same transaction, when a document ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy.orm import Session

from docfleet.ledger.followers import release_followers
from docfleet.ledger.outbox import enqueue_document_end, enqueue_finished_batch

if TYPE_CHECKING:
    from docfleet.ledger.moves import LockedDocument


def after_end(session: Session, document: LockedDocument) -> None:
    """`document` has just ended: whoever waits for its results is served, whoever wants to be told is told."""
    release_followers(session, document)
    enqueue_document_end(session, document)
    enqueue_finished_batch(session, document.batch_id)
