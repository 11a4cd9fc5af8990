"""The account is kept: closed reservations are added up, those of dead workers written off."""

from __future__ import annotations

from docfleet.ledger import Ledger
from docfleet.ledger.settling import fold, is_anything_closed, is_anything_open, repair
from docfleet.telemetry import logger

_log = logger(__name__)
GRACE_SECONDS = 30.0
"""A reservation whose claim is gone may still be released or settled by its holder for so long."""
MOST_AT_ONCE = 1000


def keep_accounts(ledger: Ledger) -> int:
    """How many reservations were added up or written off; one look, and no write, where there is nothing to do."""
    with ledger.reading() as session:
        closed, open_ = is_anything_closed(session), is_anything_open(session, GRACE_SECONDS)
    lost: list[int] = []
    if open_:
        with ledger.unit_of_work() as session:
            lost = repair(session, GRACE_SECONDS)
    if lost:
        _log.warning("reservations_written_off", reservations=len(lost))
    added = 0
    while closed or lost:
        with ledger.unit_of_work() as session:
            folded = fold(session, most=MOST_AT_ONCE)
        added += folded
        if folded < MOST_AT_ONCE:
            break
    return len(lost) + added
