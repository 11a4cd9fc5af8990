"""What follows, in the same transaction, when a document ends."""

from __future__ import annotations

from sqlalchemy.orm import Session

from docfleet.ledger.followers import release_followers
from docfleet.ledger.outbox import note_end
from docfleet.ledger.recording import LockedDocument


def after_end(session: Session, document: LockedDocument) -> None:
    """`document` has just ended: whoever waits for its results is served, whoever wants to be told is told."""
    for ended in [document, *release_followers(session, document)]:
        note_end(session, ended)
