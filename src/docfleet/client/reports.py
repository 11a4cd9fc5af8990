"""Reports as PDF."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any
from urllib.parse import quote

import msgspec

from docfleet.client.connection import Connection, decoded
from docfleet.client.listing import listed

_PATH = "/v1/reports"


class Report(msgspec.Struct, frozen=True):
    """A report that is kept, or could not be made yet."""

    id: str
    kind: str
    period: str
    complete: bool
    """The period was over when it was made."""
    state: str
    """"ready", or "failed": it is tried again."""
    made_at: datetime | None = None
    made_by: str | None = None
    """Id of the key; None: by the schedule."""
    size_bytes: int = 0
    sha256: str | None = None
    failures: int = 0
    next_try_at: datetime | None = None
    message: str | None = None
    """Why the last try failed."""


class Reports:
    """Every PDF comes whole, in memory: a report has some hundred kilobytes, however much it is about."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def month(
        self,
        month: str,
        *,
        by_hand_usd_per_document: float | None = None,
        by_hand_minutes_per_page: float | None = None,
        by_hand_usd_per_hour: float | None = None,
        investment_usd: float | None = None,
    ) -> bytes:
        """The monthly report for management on a month ("2026-11", UTC), made now and not kept.

        What is not given is assumed as the service's settings say. Raises `BadRequest` for a month that has not begun.
        """
        params = {
            "month": month,
            **_assumed(by_hand_usd_per_document, by_hand_minutes_per_page, by_hand_usd_per_hour, investment_usd),
        }
        return self._connection.request("GET", f"{_PATH}/month", params=params).content

    def batch(self, batch_id: str) -> bytes:
        """The report on a batch, as it stands. Raises `NotFound`."""
        return self._connection.request("GET", f"/v1/batches/{quote(batch_id, safe='')}/report").content

    def document(self, document_id: str) -> bytes:
        """The report on a document, as it stands. Raises `NotFound`, `Gone`."""
        return self._connection.request("GET", f"/v1/documents/{quote(document_id, safe='')}/report").content

    def list(self, **filters: Any) -> Iterator[Report]:
        """Those that are kept, the newest month first. Filter: `limit` (of one page of the listing)."""
        return listed(self._connection, _PATH, Report, filters)

    def make(
        self,
        month: str,
        *,
        by_hand_usd_per_document: float | None = None,
        by_hand_minutes_per_page: float | None = None,
        by_hand_usd_per_hour: float | None = None,
        investment_usd: float | None = None,
    ) -> Report:
        """Makes the report on a month and keeps it, in place of the one that was made before. Assumptions as those of
        `month`."""
        assumed = _assumed(by_hand_usd_per_document, by_hand_minutes_per_page, by_hand_usd_per_hour, investment_usd)
        said = {"kind": "month", "period": month, **({"assumptions": assumed} if assumed else {})}
        response = self._connection.request("POST", _PATH, body=lambda: {"json": said}, repeatable=True)
        return decoded(response, Report)

    def get(self, report_id: str) -> Report:
        """Raises `NotFound`."""
        return decoded(self._connection.request("GET", f"{_PATH}/{quote(report_id, safe='')}"), Report)

    def fetch(self, report_id: str) -> bytes:
        """The PDF of a report that is kept. Raises `NotFound`."""
        return self._connection.request("GET", f"{_PATH}/{quote(report_id, safe='')}/file").content


def _assumed(
    document: float | None, minutes: float | None, hour: float | None, investment: float | None
) -> dict[str, float]:
    """Those that are given, by the names of the API."""
    told = {
        "by_hand_usd_per_document": document, "by_hand_minutes_per_page": minutes, "by_hand_usd_per_hour": hour,
        "investment_usd": investment,
    }  # fmt: skip
    return {name: value for name, value in told.items() if value is not None}
