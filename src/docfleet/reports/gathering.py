"""The facts of a monthly report, gathered from the ledger."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import inf

import msgspec

from docfleet import __version__
from docfleet.domain.budgeting import ALL
from docfleet.domain.months import month_bounds, month_of
from docfleet.domain.pricing import usd_of
from docfleet.domain.tallying import Sums
from docfleet.ledger import Ledger, troubles
from docfleet.ledger.budgets import Budgets
from docfleet.ledger.money_values import BudgetView, Costs
from docfleet.ledger.tallies import DAY, HOUR, Statistics, Tallies
from docfleet.ledger.tally_counting import KEPT_SECONDS
from docfleet.reports.month_facts import (
    Assumptions,
    Deaths,
    EnginePages,
    Exhaustion,
    Gap,
    Money,
    MonthFacts,
    Objectives,
    PoolOutlook,
    PoolSums,
    Step,
    Troubles,
)


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
    sources: MonthSources, tenant: str, month: str, terms: MonthTerms, outlook: Sequence[PoolOutlook], now: float
) -> MonthFacts:
    """All that is known of a tenant's month. `now`: the database's time. Raises ValueError for what is no month."""
    begin, end = month_bounds(month)
    told = sources.tallies.series(tenant, begin, end, DAY)
    counted_until = told.counted_until or begin
    since = told.counted_since if told.counted_until else None
    before_begin = month_bounds(month_of(begin - 1))[0]
    kept_since = now - KEPT_SECONDS[DAY]
    begun = inf if since is None else max(since, kept_since)
    before = sources.tallies.series(tenant, before_begin, begin, DAY).total if begun < begin else None
    hours: tuple[tuple[float, Sums], ...] = ()
    if begin >= now - KEPT_SECONDS[HOUR]:
        hours = sources.tallies.series(tenant, begin, end, HOUR).steps
    costs = sources.budgets.costs(tenant, month)

    def counted(steps: Iterable[tuple[float, Sums]], seconds: float) -> tuple[Step, ...]:
        return tuple(Step(at, sums) for at, sums in steps if at + seconds > begun and at < counted_until)

    return MonthFacts(
        tenant=tenant,
        month=month,
        made_at=now,
        begin=begin,
        end=end,
        counted_since=since,
        counted_until=counted_until,
        kept_since=kept_since,
        days=counted(told.steps, DAY),
        hours=counted(hours, HOUR),
        total=told.total,
        before=before,
        before_is_whole=begun <= before_begin,
        pools=tuple(PoolSums(one.pool, one.urgency, one.sums) for one in told.classes),
        engines=_engines(told),
        codes=told.codes,
        money=_money(costs),
        objectives=terms.objectives,
        assumptions=terms.assumptions,
        troubles=_troubles(sources.ledger, costs.budgets, begin, end, now),
        outlook=tuple(outlook),
        organisation=terms.organisation,
        version=__version__,
    )


def _engines(told: Statistics) -> dict[str, EnginePages]:
    return {name: EnginePages(pages, usd) for name, (pages, usd) in told.engines.items()}


def _money(costs: Costs) -> Money:
    return Money(
        whole=costs.whole,
        cascade_micros=costs.cascade_micros,
        cascade_processor=costs.cascade_processor,
        local_pages=costs.local.pages,
        duplicate_documents=costs.deduplication.documents,
        duplicate_pages=costs.deduplication.pages,
        deduplication_micros=costs.deduplication.micros,
        requests_saved=costs.requests_saved,
        all_cloud_micros=costs.all_cloud.reference_micros if costs.all_cloud else None,
        expected_engine_micros=costs.forecast.expected_micros if costs.forecast else None,
    )


def _troubles(ledger: Ledger, budgets: Sequence[BudgetView], begin: float, end: float, now: float) -> Troubles:
    with ledger.reading() as session:
        since = troubles.present_since(session, now)
        gaps = troubles.absences(session, begin, end, now)
        died = troubles.deaths(session, begin, end)
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
