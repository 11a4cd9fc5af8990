"""Counting and measuring, cheaply and in this process: what `telemetry.exposition` shows, or a parent process is told.

    metrics.count(catalog.SLICES, 1, "pdf", "local", "done")
    metrics.observe(catalog.STAGE_DURATION, 0.12, "pdf", "read", trace_id="4bf9…")
    with metrics.timing(catalog.STAGE_DURATION, "pdf", "read"): …

Labels go by position, in the order of the catalogue. All of it does nothing until `enable` was called, and needs no
library; a call costs about a microsecond. Threads may share it. A process that is recycled (a slot) hands over what it
has measured with `take`, and whoever outlives it adds that to its own with `add`: so counters survive it.
"""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache

import msgspec

from docfleet.telemetry import logger
from docfleet.telemetry.catalog import METRICS
from docfleet.telemetry.kinds import Kind, Metric
from docfleet.telemetry.labels import OTHER, values_of

MOST_SERIES = 2000
"""Of one metric: beyond that, labels as configured count as `other` too."""

Labels = tuple[str, ...]


class Exemplar(msgspec.Struct, frozen=True, array_like=True):
    """A measured value and the trace it was measured in."""

    trace_id: str
    value: float
    at: float
    """Seconds since 1970."""


class Measured(msgspec.Struct, array_like=True):
    """One series: what was counted, or of a histogram the sum and how many values lie in each bucket."""

    metric: str
    labels: Labels
    value: float = 0.0
    counts: dict[int, int] = {}
    """Index of the bucket (that after the last bound is +Inf) to how many lie in it, lower buckets not included."""
    exemplars: dict[int, Exemplar] = {}
    """The latest of each bucket."""


Source = Callable[[], Iterable[Measured]]
"""Gives gauges, and whatever else is kept elsewhere, at the moment of a scrape; it does not wait for anything."""


def reading(metric: Metric, value: float, *labels: str) -> Measured:
    """A gauge as it is now, of a `Source`."""
    return Measured(metric.name, labels, float(value))


class Book:
    """What one process has counted and measured."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._series: dict[tuple[str, Labels], Measured] = {}
        self._sizes: dict[str, int] = {}

    def count(self, metric: Metric, amount: float, labels: Labels) -> None:
        with self._lock:
            self._of(metric, labels).value += amount

    def set(self, metric: Metric, value: float, labels: Labels) -> None:
        with self._lock:
            # a condition is told as 1 or 0, also between processes
            self._of(metric, labels).value = float(value)

    def observe(self, metric: Metric, value: float, labels: Labels, trace_id: str = "") -> None:
        index = bisect_left(metric.buckets, value)
        with self._lock:
            found = self._of(metric, labels)
            found.value += value
            found.counts[index] = found.counts.get(index, 0) + 1
            if trace_id:
                found.exemplars[index] = Exemplar(trace_id, value, time.time())

    def add(self, measured: Iterable[Measured]) -> None:
        """Counters and histograms that another process has taken out of its own book. What this version does not know
        is left out."""
        with self._lock:
            for one in measured:
                metric = METRICS.get(one.metric)
                if metric is None or metric.kind is Kind.GAUGE or len(one.labels) != len(metric.labels):
                    continue
                if one.value < 0 or not all(0 <= index <= len(metric.buckets) for index in one.counts):
                    continue
                _put_together(self._of(metric, one.labels), one)

    def forget(self, metric: Metric) -> None:
        """All series of it."""
        with self._lock:
            for key in [key for key in self._series if key[0] == metric.name]:
                del self._series[key]
            self._sizes.pop(metric.name, None)

    def take(self) -> list[Measured]:
        """All there is since the last time; the book is empty then."""
        with self._lock:
            series, self._series, self._sizes = self._series, {}, {}
        return list(series.values())

    def read(self) -> list[Measured]:
        """A copy of all series, in the order in which they came up."""
        with self._lock:
            return [
                Measured(one.metric, one.labels, one.value, dict(one.counts), dict(one.exemplars))
                for one in self._series.values()
            ]

    def _of(self, metric: Metric, labels: Labels) -> Measured:
        found = self._series.get((metric.name, labels))
        return found if found is not None else self._bounded(metric, labels)

    def _bounded(self, metric: Metric, labels: Labels) -> Measured:
        """The series of these labels, or that of `other` for those that are not to have one of their own."""
        kept = bounded(metric, labels)
        number = self._sizes.get(metric.name, 0)
        if number >= MOST_SERIES and (metric.name, kept) not in self._series:
            kept = (OTHER,) * len(labels)
        found = self._series.get((metric.name, kept))
        if found is None:
            found = self._series[metric.name, kept] = Measured(metric.name, kept, 0.0, {}, {})
            self._sizes[metric.name] = number + 1
        return found


def _put_together(into: Measured, one: Measured) -> None:
    into.value += one.value
    for index, number in one.counts.items():
        into.counts[index] = into.counts.get(index, 0) + number
    into.exemplars.update(one.exemplars)


@lru_cache(maxsize=4096)
def bounded(metric: Metric, labels: Labels) -> Labels:
    """The same labels, with `other` for values the catalogue does not know."""
    assert len(labels) == len(metric.labels), metric.name
    known = [values_of(metric, name) for name in metric.labels]
    return tuple(value if not values or value in values else OTHER for value, values in zip(labels, known, strict=True))


_log = logger("metrics")
BOOK = Book()
"""Of this process."""
_sources: list[Source] = []
_enabled = False


def enable() -> None:
    """From now on this process counts."""
    global _enabled
    _enabled = True


def is_enabled() -> bool:
    return _enabled


def count(metric: Metric, amount: float = 1.0, *labels: str) -> None:
    """Adds to a counter."""
    if _enabled:
        BOOK.count(metric, amount, labels)


def gauge(metric: Metric, value: float, *labels: str) -> None:
    """Says how something is now."""
    if _enabled:
        BOOK.set(metric, value, labels)


def forget(metric: Metric) -> None:
    """This process does not know any more how it is."""
    BOOK.forget(metric)


def observe(metric: Metric, value: float, *labels: str, trace_id: str = "") -> None:
    """Puts a value into a histogram. `trace_id`: 32 hexadecimal digits of a sampled trace, for an exemplar; empty:
    that of `trace_source`, if there is any."""
    if _enabled:
        BOOK.observe(metric, value, labels, trace_id or _trace_source())


def _untraced() -> str:
    return ""


_trace_source: Callable[[], str] = _untraced


def trace_source(current: Callable[[], str]) -> None:
    """`current()`: the id of the sampled trace that this thread works in, empty for none; asked with each value."""
    global _trace_source
    _trace_source = current


class timing:
    """Puts the seconds of the block into a histogram; not those of one that raised."""

    __slots__ = ("_labels", "_metric", "_started")

    def __init__(self, metric: Metric, *labels: str) -> None:
        self._metric = metric
        self._labels = labels

    def __enter__(self) -> None:
        self._started = time.perf_counter()

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        if kind is None:
            observe(self._metric, time.perf_counter() - self._started, *self._labels)


def add(measured: Sequence[Measured]) -> None:
    """What a process that works for this one has measured; see `Book.add`."""
    if _enabled and measured:
        BOOK.add(measured)


def take() -> list[Measured]:
    """What is to be handed over; see `Book.take`."""
    return BOOK.take() if _enabled else []


def watch(source: Source) -> None:
    """`source` is asked with every scrape."""
    _sources.append(source)


def unwatch(source: Source) -> None:
    if source in _sources:
        _sources.remove(source)


def read() -> list[Measured]:
    """Everything that is known now: the book, and what the sources say; of the latter, series of the same labels are
    summed."""
    live: dict[tuple[str, Labels], Measured] = {}
    for source in tuple(_sources):
        try:
            for one in source():
                empty = Measured(one.metric, one.labels, 0.0, {}, {})
                _put_together(live.setdefault((one.metric, one.labels), empty), one)
        except Exception:
            # a defect in one must not take all others from those who watch
            _log.exception("metrics_source_failed")
    return [*BOOK.read(), *live.values()]
