"""The truth about every document, slice and page, on SQLite or Postgres."""

from docfleet.ledger.ending import Ended
from docfleet.ledger.ledger import BEAT_SECONDS, LEASE_SECONDS, Ledger
from docfleet.ledger.values import (
    BOTH_LANES,
    Claim,
    ClaimedDocument,
    DeadLetter,
    DocumentSummary,
    Event,
    IndexRow,
    Lane,
    NewBatch,
    NewInput,
    NewSlice,
    PageOutcome,
    PageRecord,
    Plan,
    Progress,
    Registered,
    Source,
)

__all__ = [
    "BEAT_SECONDS",
    "BOTH_LANES",
    "LEASE_SECONDS",
    "Claim",
    "ClaimedDocument",
    "DeadLetter",
    "DocumentSummary",
    "Ended",
    "Event",
    "IndexRow",
    "Lane",
    "Ledger",
    "NewBatch",
    "NewInput",
    "NewSlice",
    "PageOutcome",
    "PageRecord",
    "Plan",
    "Progress",
    "Registered",
    "Source",
]
