"""Documents whose next slice is missing, since whoever should have made it died in between, get it."""

from __future__ import annotations

from docfleet.ledger import Ledger
from docfleet.telemetry import logger

_log = logger(__name__)


def finish_stranded(ledger: Ledger) -> int:
    found = ledger.stranded()
    if found:
        _log.warning("documents_stranded", count=found)
    return found
