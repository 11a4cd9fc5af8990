"""Documents that wait for the results of another with the same bytes and options."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy.orm import Session

if TYPE_CHECKING:
    from docfleet.ledger.moves import LockedDocument


def release_followers(session: Session, document: LockedDocument) -> None:
    """`document` has ended: its followers take its results, or, when there are none, are read themselves."""
