"""Leases that lapsed go back into the queue, or end where a slice has failed too often."""

from __future__ import annotations

from docfleet.ledger import Ledger
from docfleet.telemetry import logger

_log = logger(__name__)


def expire_leases(ledger: Ledger) -> int:
    """How many lapsed. See `Ledger.expire_leases` for who is blamed."""
    ended = ledger.expire_leases()
    if ended:
        shown = ended[:50]
        _log.warning(
            "leases_expired", slices=[one.slice_id for one in shown], documents=[one.document_id for one in shown],
            count=len(ended),
        )  # fmt: skip
    return len(ended)
