"""Messages that leave because something ended, written in its transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy.orm import Session

if TYPE_CHECKING:
    from docfleet.ledger.moves import LockedDocument


def enqueue_document_end(session: Session, document: LockedDocument) -> None:
    """One delivery for each webhook of the tenant that wants to know of this end."""


def enqueue_finished_batch(session: Session, batch_id: str) -> None:
    """When the batch is sealed and its last document has ended: marks it finished, once, and tells the webhooks."""
