"""What the ledger tells and is told about reports: plain values."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class ReportKind(StrEnum):
    MONTH = "month"
    """For management: a calendar month (UTC) of one tenant."""


class ReportView(msgspec.Struct, frozen=True):
    """See `report_rows.ReportRow`."""

    id: str
    tenant: str
    kind: ReportKind
    period: str
    complete: bool
    made_at: float | None
    made_by: str
    size_bytes: int
    sha256: str
    failures: int
    next_try_at: float | None
    code: str
    message: str


class ReportListing(msgspec.Struct, frozen=True):
    """One page of a listing: the newest period first."""

    items: tuple[ReportView, ...]
    next_cursor: str | None


class StoredReport(msgspec.Struct, frozen=True):
    """A report whose bytes are in the store."""

    store_key: str
    wrapped_key: bytes
    sha256: str
    size_bytes: int


class KeptReport(msgspec.Struct, frozen=True):
    """What became of a report that was handed in."""

    view: ReportView
    """As it is in the ledger now: perhaps another's."""
    is_mine: bool
    """False: somebody else's was there already and stays; the bytes handed in are not needed."""
    replaced_key: str = ""
    """Bytes that no row names any more."""
