"""What somebody should look at, from what is known of the fleet and of a tenant's documents: a pure function."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Literal

import msgspec

from docfleet.domain.tallying import Sums
from docfleet.domain.urgency import TARGET_SECONDS, Pool, Urgency

AWAY_SECONDS = 60.0
"""A dispatcher that decided nothing for this long is away."""
ERROR_SHARE = 0.001
"""1 - the objective of availability: documents that end through our fault."""
FEWEST_BROKEN = 3
"""Below this a share says nothing."""
DEAD_LETTERS_AT_ONCE = 10
"""New dead letters within the hour that are no accident any more."""


class Severity(StrEnum):
    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"


_ORDER = tuple(Severity)


class Notice(msgspec.Struct, frozen=True):
    """One thing to look at, and where. A budget that has an end says so before it is reached."""

    code: str
    severity: Severity
    title: str
    text: str
    subject: str
    """Pool, engine or cause it is about; may be empty."""
    page: str
    """Page of the console that shows more."""


class WaitingClass(msgspec.Struct, frozen=True):
    """The work of one pool and priority."""

    pool: str
    urgency: str
    documents: int
    oldest_seconds: float


class PoolState(msgspec.Struct, frozen=True):
    pool: str
    wanted: int
    alive: int
    slots: int
    changed_seconds: float
    """Since the number wanted changed."""


class BudgetState(msgspec.Struct, frozen=True):
    engine: str
    limit_usd: float
    spent_usd: float
    warn_percent: int

    @property
    def percent(self) -> float:
        """Of the limit; a limit of nothing is reached."""
        return 100.0 * self.spent_usd / self.limit_usd if self.limit_usd > 0 else 100.0

    @property
    def state(self) -> Literal["ok", "warned", "exhausted"]:
        if self.percent >= 100.0:
            return "exhausted"
        return "warned" if self.percent >= self.warn_percent else "ok"


class Facts(msgspec.Struct, frozen=True):
    """What is known; None: the one who asks may not know it, or nobody does."""

    last_hour: Sums
    lately: Sums
    """Of the last minutes: what drains."""
    open_dead_letters: int | None = None
    waiting: Sequence[WaitingClass] | None = None
    pools: Sequence[PoolState] | None = None
    decided_seconds: float | None = None
    """Since the last decision about the fleet; None: there was none."""
    budgets: Sequence[BudgetState] = ()
    disabled_webhooks: Sequence[str] = ()
    """Ids of those that were switched off because their receiver failed."""


def notices(facts: Facts) -> list[Notice]:
    """The worst first."""
    found = [
        *_of_dispatcher(facts),
        *_of_queues(facts),
        *_of_failures(facts.last_hour),
        *_of_dead_letters(facts),
        *_of_budgets(facts.budgets),
        *_of_webhooks(facts.disabled_webhooks),
    ]
    return sorted(found, key=lambda notice: _ORDER.index(notice.severity))


def _of_dispatcher(facts: Facts) -> list[Notice]:
    if facts.pools is None or (facts.decided_seconds is not None and facts.decided_seconds <= AWAY_SECONDS):
        return []
    said = (
        "has never been seen" if facts.decided_seconds is None else f"was last seen {facts.decided_seconds:.0f} s ago"
    )
    text = (
        f"The dispatcher {said}. Workers go on from the ledger, but leases, retries and sizes are looked after by it."
    )
    return [Notice("dispatcher_away", Severity.CRITICAL, "No dispatcher", text, "", "fleet")]


def _of_queues(facts: Facts) -> list[Notice]:
    alive = {one.pool: one.alive for one in facts.pools or ()}
    found = []
    for one in facts.waiting or ():
        target = TARGET_SECONDS.get((Pool(one.pool), Urgency(one.urgency)), 60.0)
        what = f"{one.documents:,} documents of {one.pool}/{one.urgency}"
        if one.documents and alive.get(one.pool) == 0:
            text = f"{what} wait and no worker of the pool {one.pool} lives."
            found.append(Notice("no_workers", Severity.CRITICAL, f"No workers: {one.pool}", text, one.pool, "fleet"))
        elif one.documents and one.oldest_seconds > max(target, 60.0) and facts.lately.ended == 0:
            text = f"{what} wait, the oldest for {_span(one.oldest_seconds)}, and nothing was read in the last minutes."
            found.append(Notice("queue_stuck", Severity.CRITICAL, f"Stuck: {one.pool}", text, one.pool, "fleet"))
        elif one.documents and one.oldest_seconds > target:
            text = f"{what} wait, the oldest for {_span(one.oldest_seconds)}; they are to be read in {_span(target)}."
            found.append(Notice("late", Severity.WARNING, f"Late: {one.pool}", text, one.pool, "fleet"))
    for pool in facts.pools or ():
        if 0 < pool.alive < pool.wanted and pool.changed_seconds > 300:
            text = f"{pool.wanted} workers of {pool.pool} have been wanted for {_span(pool.changed_seconds)}; "
            text += f"{pool.alive} live."
            found.append(Notice("workers_missing", Severity.WARNING, f"Too few: {pool.pool}", text, pool.pool, "fleet"))
    return found


def _of_failures(hour: Sums) -> list[Notice]:
    if hour.broken < FEWEST_BROKEN or hour.broken <= ERROR_SHARE * hour.ended:
        return []
    share = hour.broken / hour.ended
    text = f"{hour.broken:,} of {hour.ended:,} documents of the last hour failed through no fault of theirs"
    severity = Severity.CRITICAL if share >= 0.05 else Severity.WARNING
    return [Notice("failing", severity, "Documents fail", f"{text} ({share:.1%}).", "", "dead-letters")]


def _of_dead_letters(facts: Facts) -> list[Notice]:
    if not facts.open_dead_letters:
        return []
    new = facts.last_hour.dead_letters
    severity = Severity.CRITICAL if new >= DEAD_LETTERS_AT_ONCE else Severity.WARNING
    text = "Work that was given up waits for somebody to try it again or to discard it: "
    text += f"{facts.open_dead_letters:,} in all, {new:,} new in the last hour."
    return [Notice("dead_letters", severity, "Dead letters", text, "", "dead-letters")]


def _of_budgets(budgets: Sequence[BudgetState]) -> list[Notice]:
    found = []
    for one in budgets:
        if one.state == "ok":
            continue
        text = f"${one.spent_usd:,.2f} of ${one.limit_usd:,.2f} ({one.percent:.0f} %) are spent on {one.engine}."
        spent = one.state == "exhausted"
        found.append(
            Notice(
                "budget_exhausted" if spent else "budget_warned",
                Severity.CRITICAL if spent else Severity.WARNING,
                "Budget used up" if spent else "Budget nearly used up",
                text,
                one.engine,
                "quotas",
            )
        )
    return found


def _of_webhooks(disabled: Sequence[str]) -> list[Notice]:
    if not disabled:
        return []
    text = f"{len(disabled)} webhooks were switched off because their receivers failed: {', '.join(disabled[:5])}."
    return [Notice("webhooks_disabled", Severity.WARNING, "Webhooks are off", text, "", "overview")]


def _span(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h" if seconds < 172800 else f"{seconds / 86400:.0f} days"
