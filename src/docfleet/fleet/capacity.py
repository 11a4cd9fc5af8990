"""What is forecast for the coming days, for reports: demand, and what a document takes of a slot."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from docfleet.domain.urgency import Pool
from docfleet.fleet.forecast.base import Forecast
from docfleet.fleet.forecast.reading import at_level
from docfleet.fleet.outlook import Kept
from docfleet.ledger.fleet_book import FleetBook
from docfleet.ledger.fleet_history import HOUR
from docfleet.ledger.fleet_values import Demand, HistoryStep
from docfleet.reports.month_facts import PoolOutlook

LATELY_SECONDS = 7 * 86_400.0
FULLEST_LEVEL = 0.95


def pool_outlooks(book: FleetBook, pools: Sequence[Pool]) -> tuple[PoolOutlook, ...]:
    """Of these pools in the book's region, from the forecast by the hour. What is not known is told as such."""
    now = book.now()
    demands = {one.pool: one for one in book.demands()}
    return tuple(
        outlook_of(
            pool, book.forecast(pool, HOUR), book.history(pool, HOUR, now - LATELY_SECONDS, now), demands.get(pool), now
        )
        for pool in pools
    )


def outlook_of(
    pool: Pool, kept: tuple[float, str] | None, lately: Sequence[HistoryStep], demand: Demand | None, now: float
) -> PoolOutlook:
    """`kept`: when the forecast was made, and its JSON. `now`: seconds since 1970. Pure."""
    unit = "page" if pool is Pool.CLOUD else "document"
    if kept is None:
        return PoolOutlook(pool, unit, missing="there is no forecast yet: it needs some days of history")
    made_at, forecast = kept[0], msgspec.json.decode(kept[1], type=Kept).forecast
    steps = _coming(forecast, now)
    if not steps:
        return PoolOutlook(pool, unit, missing="the forecast is older than the time it reaches to: nobody renews it")
    fullest_at, fullest = max(
        ((at, at_level(forecast.levels, column, FULLEST_LEVEL)) for at, column in steps), key=lambda pair: pair[1]
    )
    done, seconds = sum(step.done for step in lately), sum(step.seconds_done for step in lately)
    load = demand.detail.load if demand is not None else None
    per_hour = HOUR / forecast.step_seconds
    return PoolOutlook(
        pool=pool,
        unit=unit,
        model=forecast.model,
        made_at=made_at,
        trusted=forecast.trust.trusted,
        trust=forecast.trust.reason,
        begin=steps[0][0],
        end=steps[-1][0] + forecast.step_seconds,
        expected=sum(at_level(forecast.levels, column, 0.5) for _, column in steps),
        fullest=fullest * per_hour,
        fullest_at=fullest_at,
        unit_seconds=seconds / done if done else None,
        slots=None if load is None else load.workers * load.slots_per_worker,
    )


def _coming(forecast: Forecast, now: float) -> list[tuple[float, tuple[float, ...]]]:
    """(begin of the step, its value at each level) of the steps that are not over yet."""
    columns = enumerate(zip(*forecast.values, strict=True))
    steps = [(forecast.start + number * forecast.step_seconds, column) for number, column in columns]
    return [(at, column) for at, column in steps if at + forecast.step_seconds > now]
