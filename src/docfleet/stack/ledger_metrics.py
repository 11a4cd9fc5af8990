"""What only the ledger knows, as metrics: told by the dispatcher that leads, so that each is one series for the fleet.

A thread of its own asks the ledger every few seconds and keeps the answer. A scrape takes what is kept: it never waits
for the database, and the dispatcher's loop for neither. A ledger that fails leaves what was known last and says
`docfleet_ledger_up 0`; a dispatcher that leads no more says nothing of the fleet.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import product

from docfleet.domain.budgeting import ALL
from docfleet.domain.pricing import usd_of
from docfleet.domain.tallying import LATENCY_BOUNDS, Measure, Outcome, bound_name
from docfleet.domain.urgency import Pool, Urgency
from docfleet.errors import LedgerError, document_error_codes
from docfleet.fleet.forecast.base import Forecast
from docfleet.fleet.forecast.reading import at_level
from docfleet.fleet.gauges import measured as gauges_of
from docfleet.fleet.outlook import Forecasts
from docfleet.ledger import standing
from docfleet.ledger.fleet_history import HOUR
from docfleet.ledger.standing import Moment
from docfleet.ledger.tallies import TallyRow
from docfleet.runtime import Runtime
from docfleet.stack.metrics import is_wanted
from docfleet.telemetry import catalog, logger, metrics
from docfleet.telemetry.kinds import Metric
from docfleet.telemetry.labels import LABELS, values_of
from docfleet.telemetry.metrics import Labels, Measured

REFRESH_SECONDS = 5.0
_JOIN_SECONDS = 2.0
_SILENT_SECONDS = 30.0
_AHEAD = {"1h": 3600.0, "24h": 86400.0}
_PLAIN = {
    Measure.ACCEPTED: catalog.ACCEPTED,
    Measure.IN_TIME: catalog.IN_TIME,
    Measure.LATE: catalog.LATE,
    Measure.DUPLICATES: catalog.DUPLICATES,
}
"""By region, pool and priority."""
_LATENCY = {
    Measure.DURATION: catalog.DOCUMENT_DURATION,
    Measure.DURATION_SUM: catalog.DOCUMENT_DURATION,
    Measure.WAIT: catalog.DOCUMENT_WAIT,
    Measure.WAIT_SUM: catalog.DOCUMENT_WAIT,
}
_BY_DETAIL = {
    Measure.PAGES: catalog.PAGES_READ,
    Measure.PAGES_FAILED: catalog.PAGES_FAILED,
    Measure.COST_USD: catalog.COST,
    Measure.RETRIES: catalog.RETRIES,
    Measure.DEAD_LETTERS: catalog.DEAD_LETTERS_MADE,
}
"""By region, pool and what the measure's detail says."""
_BUCKETS = {bound_name(bound): index for index, bound in enumerate(LATENCY_BOUNDS)}

_log = logger(__name__)


def of_tallies(rows: Iterable[TallyRow], region: str) -> list[Measured]:
    """Sums since ever as counters and histograms. Pure.

    Of this region, and of the documents of tenants that belong to none; those of another one its own dispatcher tells.
    What has not happened yet is told as 0, as far as it is known what may: the first of its kind is an increase then,
    and not a series that was not there before.
    """
    sums: defaultdict[tuple[Metric, Labels], float] = defaultdict(float)
    counts: defaultdict[tuple[Metric, Labels], dict[int, int]] = defaultdict(dict)
    for metric, labels in _expected(region):
        sums[metric, labels] += 0.0
    for row in rows:
        if row.region not in ("", region):
            continue
        measure, of_class = Measure(row.measure), (region, row.pool, row.urgency)
        if measure in _LATENCY:
            key = (_LATENCY[measure], of_class)
            if measure in (Measure.DURATION_SUM, Measure.WAIT_SUM):
                sums[key] += row.amount
            else:
                bucket = counts[key]
                index = _BUCKETS[row.detail]
                bucket[index] = bucket.get(index, 0) + round(row.amount)
        elif measure is Measure.ENDED:
            sums[catalog.ENDED, (*of_class, row.detail)] += row.amount
        elif measure is Measure.LEASES_LOST:
            sums[catalog.LEASES_LOST, (region, row.pool)] += row.amount
        elif measure in _PLAIN:
            sums[_PLAIN[measure], of_class] += row.amount
        else:
            metric = _BY_DETAIL[measure]
            labels = metrics.bounded(metric, (region, row.pool, row.detail))
            sums[metric, labels] += row.amount
            if measure is Measure.PAGES:
                # an engine that costs nothing has cost nothing, which is known
                sums[catalog.COST, labels] += 0.0
    return [
        Measured(metric.name, labels, sums[metric, labels], counts.get((metric, labels), {}))
        for metric, labels in {**sums, **counts}
    ]


def _expected(region: str) -> Iterator[tuple[Metric, Labels]]:
    """Series that are told from the beginning."""
    pools, urgencies = tuple(map(str, Pool)), tuple(map(str, Urgency))
    # documents are accepted for workers of slots alone; the cloud's is a step of theirs
    for pool, urgency in product(pools, urgencies):
        if pool == Pool.CLOUD:
            continue
        for metric in (*_PLAIN.values(), catalog.DOCUMENT_DURATION, catalog.DOCUMENT_WAIT):
            yield metric, (region, pool, urgency)
        for outcome in Outcome:
            yield catalog.ENDED, (region, pool, urgency, str(outcome))
    ours = [code for code, error in document_error_codes().items() if error.is_ours]
    for pool in pools:
        yield catalog.LEASES_LOST, (region, pool)
        for cause in values_of(catalog.RETRIES, "cause"):
            yield catalog.RETRIES, (region, pool, cause)
        for code in ours:
            yield catalog.DEAD_LETTERS_MADE, (region, pool, code)
            yield catalog.PAGES_FAILED, (region, pool, code)


def of_moment(moment: Moment) -> list[Measured]:
    """Gauges of what stands at a moment. Pure."""
    told = [
        Measured(catalog.DEAD_LETTERS.name, (), float(moment.dead_letters)),
        Measured(catalog.DELIVERIES_WAITING.name, (), float(moment.deliveries_waiting)),
        Measured(catalog.REPORTS_FAILING.name, (), float(moment.reports_failing)),
    ]
    told += [Measured(catalog.REGION_SEEN.name, (region,), at) for region, at in moment.regions]
    for one in moment.budgets:
        tenant, engine = ("all" if name == ALL else name for name in (one.tenant, one.engine))
        label = (f"{tenant}/{engine}/{'monthly' if one.month == ALL else one.month}",)
        told.append(Measured(catalog.BUDGET_LIMIT.name, label, usd_of(one.limit_micros)))
        told.append(Measured(catalog.BUDGET_SPENT.name, label, usd_of(one.spent_micros)))
        told.append(Measured(catalog.BUDGET_REFUSING.name, label, float(one.is_refusing)))
    return told


def of_forecast(forecast: Forecast, region: str, pool: str, now: float) -> list[Measured]:
    """What is forecast for the hours that lie ahead; nothing of those it does not reach to. Pure."""
    told = []
    for ahead, seconds in _AHEAD.items():
        step = int((now + seconds - forecast.start) // forecast.step_seconds)
        columns = list(zip(*forecast.values, strict=True))
        if not 0 <= step < len(columns):
            continue
        per_hour = 3600.0 / forecast.step_seconds
        for level in LABELS["level"].values:
            value = at_level(forecast.levels, columns[step], float(level)) * per_hour
            told.append(Measured(catalog.FORECAST.name, (region, pool, ahead, level), value))
    return told


class LedgerMetrics:
    """`readings` is for the scrape; `refresh` for the thread that keeps them fresh."""

    def __init__(self, runtime: Runtime, leading: threading.Event, pools: Sequence[str]) -> None:
        self._runtime = runtime
        self._region = runtime.settings.service.region
        self._leading = leading
        self._pools = tuple(pools)
        self._forecasts = Forecasts(runtime.fleet_book, runtime.settings.scaling.forecast_level, enabled=True)
        self._kept: list[Measured] = []
        self._ended: defaultdict[Labels, int] = defaultdict(int)
        self._looked_at: float | None = None
        self._answered_at: float | None = None
        self._ledger_failed = False
        self._broker_up: bool | None = None

    def readings(self) -> list[Measured]:
        leads = self._leading.is_set()
        told = [
            Measured(catalog.LEADS.name, (self._region,), float(leads)),
            Measured(catalog.LEDGER_UP.name, (), float(self._is_ledger_up())),
        ]
        if self._broker_up is not None:
            told.append(Measured(catalog.BROKER_UP.name, (), float(self._broker_up)))
        return told + (self._kept if leads else [])

    def refresh(self) -> None:
        hints = self._runtime.hints
        self._broker_up = hints.is_up() if hints is not None else None
        leads = self._leading.is_set()
        try:
            if leads:
                self._kept = self._look()
            else:
                self._runtime.tallies.now()
                self._kept, self._looked_at = [], None
                self._ended.clear()
        except LedgerError as error:
            if not self._ledger_failed:
                _log.warning("ledger_unavailable", error=error)
            self._ledger_failed = True
        else:
            self._ledger_failed = False
            self._answered_at = time.monotonic()

    def _is_ledger_up(self) -> bool:
        """One that neither answers nor fails is not up."""
        if self._ledger_failed or self._answered_at is None:
            return False
        return time.monotonic() - self._answered_at < _SILENT_SECONDS

    def _look(self) -> list[Measured]:
        runtime, region = self._runtime, self._region
        moment = standing.look(runtime.ledger, self._looked_at)
        self._looked_at = moment.at
        told = of_tallies(runtime.tallies.totals(), region) + of_moment(moment)
        counted = runtime.tallies.counted_until()
        if counted is not None:
            told.append(Measured(catalog.COUNTED_AT.name, (region,), counted))
        told += gauges_of(runtime.fleet_book.demands())
        for pool in map(Pool, self._pools):
            kept = self._forecasts.kept(pool, HOUR)
            if kept is not None:
                told += of_forecast(kept.forecast, region, pool, moment.at)
            for cause in values_of(catalog.WORKERS_ENDED, "cause"):
                self._ended[region, pool, cause] += 0
        for one in moment.ended:
            if one.region == region:
                self._ended[metrics.bounded(catalog.WORKERS_ENDED, (one.region, one.pool, one.cause))] += one.workers
        return told + [Measured(catalog.WORKERS_ENDED.name, labels, n) for labels, n in self._ended.items()]


@contextmanager
def ledger_metrics(
    runtime: Runtime, leading: threading.Event, pools: Sequence[str], seconds: float = REFRESH_SECONDS
) -> Iterator[None]:
    """Tells them during the block; nothing where nobody may read them."""
    if not is_wanted(runtime.settings):
        yield
        return
    told, stop = LedgerMetrics(runtime, leading, pools), threading.Event()

    def keep_fresh() -> None:
        while True:
            try:
                told.refresh()
            except Exception:
                _log.exception("metrics_source_failed")
            # who begins to lead tells of the fleet a second later
            if stop.wait(seconds if leading.is_set() else 1.0):
                return

    thread = threading.Thread(target=keep_fresh, name="ledger-metrics", daemon=True)
    thread.start()
    metrics.watch(told.readings)
    try:
        yield
    finally:
        metrics.unwatch(told.readings)
        stop.set()
        thread.join(_JOIN_SECONDS)
