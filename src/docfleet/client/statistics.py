"""What happened, and how things stand."""

from __future__ import annotations

from datetime import datetime

import msgspec

from docfleet.client.connection import Connection, decoded


class Sums(msgspec.Struct, frozen=True):
    """What happened in a time: documents, unless the name says otherwise; None where nothing ended."""

    accepted: int = 0
    succeeded: int = 0
    partial: int = 0
    failed: int = 0
    broken: int = 0
    """Through no fault of theirs."""
    cancelled: int = 0
    in_time: int = 0
    late: int = 0
    duplicates: int = 0
    pages: int = 0
    pages_failed: int = 0
    cost_usd: float = 0.0
    retries: int = 0
    leases_lost: int = 0
    dead_letters: int = 0
    seconds_p50: float | None = None
    seconds_p95: float | None = None
    wait_p50: float | None = None
    wait_p95: float | None = None
    at: datetime | None = None
    """Begin of the step; None: it is none."""
    pool: str = ""
    priority: str = ""

    @property
    def ended(self) -> int:
        """Without the cancelled."""
        return self.succeeded + self.partial + self.failed + self.broken


class EngineSums(msgspec.Struct, frozen=True):
    pages: int = 0
    cost_usd: float = 0.0


class Statistics(msgspec.Struct, frozen=True):
    """A span of time, step by step."""

    tenant: str
    step_seconds: int
    since: datetime
    until: datetime
    counted_until: datetime | None = None
    counted_since: datetime | None = None
    steps: tuple[Sums, ...] = ()
    total: Sums = Sums()
    engines: dict[str, EngineSums] = {}
    codes: dict[str, int] = {}
    dead_codes: dict[str, int] = {}
    pools: tuple[Sums, ...] = ()


class WaitingClass(msgspec.Struct, frozen=True):
    pool: str
    priority: str
    documents: int = 0
    oldest_seconds: float = 0.0


class PoolNow(msgspec.Struct, frozen=True):
    pool: str
    wanted: int = 0
    alive: int = 0
    slots: int = 0
    reason: str = ""


class BudgetNow(msgspec.Struct, frozen=True):
    engine: str
    limit_usd: float = 0.0
    spent_usd: float = 0.0
    percent: float = 0.0
    state: str = "ok"


class SpendNow(msgspec.Struct, frozen=True):
    today_usd: float = 0.0
    month_usd: float = 0.0
    saved_usd: float | None = None
    budgets: tuple[BudgetNow, ...] = ()


class DeadLettersNow(msgspec.Struct, frozen=True):
    open: int = 0


class Notice(msgspec.Struct, frozen=True):
    """Something to look at; `severity`: "critical", "warning" or "info"."""

    code: str
    severity: str
    title: str = ""
    text: str = ""
    subject: str = ""
    page: str = ""


class Overview(msgspec.Struct, frozen=True):
    """How things stand. What the key may not know is None."""

    at: datetime
    tenant: str
    counted_until: datetime | None = None
    last_hour: Sums = Sums()
    today: Sums = Sums()
    last_day: tuple[Sums, ...] = ()
    waiting: tuple[WaitingClass, ...] | None = None
    workers: tuple[PoolNow, ...] | None = None
    spend: SpendNow | None = None
    dead_letters: DeadLettersNow | None = None
    attention: tuple[Notice, ...] = ()


def read_overview(connection: Connection, tenant: str | None) -> Overview:
    return decoded(connection.request("GET", "/v1/overview", params={"tenant": tenant}), Overview)


def read_statistics(
    connection: Connection, since: datetime | None, until: datetime | None, step: str, tenant: str | None
) -> Statistics:
    params = {
        "since": since.isoformat() if since else None, "until": until.isoformat() if until else None, "step": step,
        "tenant": tenant,
    }  # fmt: skip
    return decoded(connection.request("GET", "/v1/statistics", params=params), Statistics)
