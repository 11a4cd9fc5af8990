"""The facts of a monthly report, gathered from the ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import inf

import msgspec

from docfleet import __version__
from docfleet.domain.access import SYSTEM_TENANT
from docfleet.domain.budgeting import ALL
from docfleet.domain.months import month_bounds, month_of
from docfleet.domain.pricing import usd_of
from docfleet.domain.tallying import Sums
from docfleet.ledger import Ledger, troubles
from docfleet.ledger.budgets import Budgets
from docfleet.ledger.money_values import BudgetView
from docfleet.ledger.tallies import ALL_TENANTS, DAY, HOUR, Statistics, Tallies
from docfleet.ledger.tally_counting import KEPT_SECONDS
from docfleet.reports.account import account_of, account_of_all
from docfleet.reports.month_facts import (
    Assumptions,
    Deaths,
    EnginePages,
    Exhaustion,
    Gap,
    MonthFacts,
    Objectives,
    PoolOutlook,
    PoolSums,
    Step,
    Troubles,
    WeekAhead,
)
from docfleet.reports.own_outlook import LOOK_BACK_SECONDS, weeks_ahead


@dataclass(frozen=True)
class MonthSources:
    """Where the figures are."""

    ledger: Ledger
    tallies: Tallies
    budgets: Budgets


class MonthTerms(msgspec.Struct, frozen=True):
    """What they are seen against."""

    objectives: Objectives = Objectives()
    assumptions: Assumptions = Assumptions()
    organisation: str = ""


def month_facts(
    sources: MonthSources,
    tenant: str,
    month: str,
    terms: MonthTerms,
    outlook: Callable[[], Sequence[PoolOutlook]],
    now: float,
) -> MonthFacts:
    """All that is known of a tenant's month; for `SYSTEM_TENANT`, of all tenants together.

    `outlook`: what is forecast for the fleet, asked only where the report is of it: where the tenant is the only one,
    or all are meant. `now`: the database's time. Raises ValueError for what is no month.
    """
    begin, end = month_bounds(month)
    is_all = tenant == SYSTEM_TENANT
    whose = ALL_TENANTS if is_all else tenant
    with sources.ledger.reading() as session:
        of_fleet = is_all or not troubles.has_others(session, tenant)
    account = account_of_all(sources.budgets, month) if is_all else account_of(sources.budgets, tenant, month)
    counts = _counts(sources.tallies, whose, begin, end, now)
    return MonthFacts(
        tenant="all tenants" if is_all else tenant,
        month=month,
        made_at=now,
        begin=begin,
        end=end,
        counted_since=counts.since,
        counted_until=counts.until,
        kept_since=counts.kept_since,
        days=counts.days,
        hours=counts.hours,
        total=counts.told.total,
        before=counts.before,
        before_is_whole=counts.before_is_whole,
        pools=tuple(PoolSums(one.pool, one.urgency, one.sums) for one in counts.told.classes),
        engines=_engines(counts.told),
        codes=counts.told.codes,
        money=account.money,
        objectives=terms.objectives,
        assumptions=terms.assumptions,
        troubles=_troubles(sources.ledger, None if of_fleet else tenant, account.budgets, begin, end, now),
        of_fleet=of_fleet,
        outlook=tuple(outlook()) if of_fleet else (),
        ahead=() if of_fleet else _ahead(sources.tallies, whose, now),
        organisation=terms.organisation,
        version=__version__,
    )


class _Counts(msgspec.Struct, frozen=True):
    """What the tallies know of a month."""

    told: Statistics
    since: float | None
    until: float
    kept_since: float
    days: tuple[Step, ...]
    hours: tuple[Step, ...]
    before: Sums | None
    before_is_whole: bool


def _counts(tallies: Tallies, whose: str, begin: float, end: float, now: float) -> _Counts:
    told = tallies.series(whose, begin, end, DAY)
    until = told.counted_until or begin
    since = told.counted_since if told.counted_until else None
    before_begin = month_bounds(month_of(begin - 1))[0]
    kept_since = now - KEPT_SECONDS[DAY]
    begun = inf if since is None else max(since, kept_since)
    before = tallies.series(whose, before_begin, begin, DAY).total if begun < begin else None
    hours: tuple[tuple[float, Sums], ...] = ()
    if begin >= now - KEPT_SECONDS[HOUR]:
        hours = tallies.series(whose, begin, end, HOUR).steps

    def counted(steps: Iterable[tuple[float, Sums]], seconds: float) -> tuple[Step, ...]:
        return tuple(Step(at, sums) for at, sums in steps if at + seconds > begun and at < until)

    return _Counts(
        told, since, until, kept_since, counted(told.steps, DAY), counted(hours, HOUR), before, begun <= before_begin
    )


def _ahead(tallies: Tallies, whose: str, now: float) -> tuple[WeekAhead, ...]:
    told = tallies.series(whose, now - LOOK_BACK_SECONDS, now, DAY)
    since = told.counted_since if told.counted_until else None
    return weeks_ahead([Step(at, sums) for at, sums in told.steps], since, now)


def _engines(told: Statistics) -> dict[str, EnginePages]:
    return {name: EnginePages(pages, usd) for name, (pages, usd) in told.engines.items()}


def _troubles(
    ledger: Ledger, tenant: str | None, budgets: Sequence[BudgetView], begin: float, end: float, now: float
) -> Troubles:
    """Deaths of workers at the documents of a tenant, or all of them."""
    with ledger.reading() as session:
        since = troubles.present_since(session, now)
        gaps = troubles.absences(session, begin, end, now)
        died = troubles.deaths(session, begin, end, tenant)
    kept = now - troubles.DEATHS_KEPT_SECONDS
    return Troubles(
        gaps=tuple(Gap(one.region, one.begin, one.end, one.step_seconds) for one in gaps),
        deaths=tuple(Deaths(one.at, troubles.DEATH_STEP, one.count, one.workers) for one in died),
        exhausted=tuple(
            Exhaustion(
                one.exhausted_at,
                "*" if one.budget.scope.engine == ALL else one.budget.scope.engine,
                usd_of(one.budget.limit_micros),
                one.budget.policy.value,
            )
            for one in budgets
            if one.exhausted_at is not None and begin <= one.exhausted_at < end
        ),
        gaps_since=None if since is None or since >= end else max(since, begin),
        deaths_since=None if kept >= end else max(kept, begin),
    )
