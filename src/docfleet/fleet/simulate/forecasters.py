"""Forecasters for simulated fleets: they are told what arrives, as time goes by, and look ahead from there."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from docfleet.domain.load import Outlook
from docfleet.fleet.forecast.base import Series
from docfleet.fleet.simulate.demand import bridged

DAY, WEEK = 86400.0, 7 * 86400.0
KEPT_ERRORS = 336

Bands = Sequence[tuple[float, float]]
"""(expected, upper) documents of the coming steps, the first of which has just begun."""


class Observed:
    """Documents step by step: those of the history, then those that arrive in the run."""

    def __init__(self, history: Series, start: float, seconds_per_document: float) -> None:
        self.start, self.step = history.start, history.step_seconds
        self.values: list[float | None] = list(history.values)
        missing = round((start - self.start) / self.step) - len(self.values)
        self.values += [None] * max(0, missing)
        self._sum = 0.0
        # what a document takes is learned; until then it is what the world says, as if of a hundred documents
        self._documents, self._work = 100.0, 100.0 * seconds_per_document

    @property
    def seconds_per_document(self) -> float:
        return self._work / self._documents

    def add(self, until: float, documents: float, work: float) -> bool:
        """What arrived up to `until`. Says whether a step ended with it."""
        self._documents += documents
        self._work += work
        self._sum += documents
        if until < self.start + (len(self.values) + 1) * self.step - 1e-6:
            return False
        self.values.append(self._sum)
        self._sum = 0.0
        return True

    def series(self, timezone: str) -> Series:
        return Series(self.start, self.step, tuple(self.values), timezone)


class Rolling:
    """Asks for a new forecast whenever a step ends, and reads the time of a start-up off it."""

    def __init__(
        self,
        history: Series,
        start: float,
        seconds_per_document: float,
        ahead: Callable[[Series], tuple[Bands, str] | None],
        timezone: str = "UTC",
    ) -> None:
        """`ahead` gives the coming two steps at least, and what they come from; None: no trust."""
        self._observed = Observed(history, start, seconds_per_document)
        self._ahead, self._timezone = ahead, timezone
        self._found: tuple[Bands, str] | None = None
        self._refresh()

    def arrived(self, at: float, seconds: float, documents: float, work: float) -> None:
        if self._observed.add(at + seconds, documents, work):
            self._refresh()

    def _refresh(self) -> None:
        self._found = self._ahead(self._observed.series(self._timezone))

    def outlook(self, now: float, lead: float) -> Outlook | None:
        """The fullest moment in the coming `lead` seconds; rates run straight from the middle of a step to the next."""
        if self._found is None:
            return Outlook(0.0, 0.0, False, "too little history")
        bands, reason = self._found
        observed = self._observed
        last = observed.values[-1] if observed.values else None
        known = bands[0][0] if last is None else last
        points = [(known, known), *bands]
        begin = observed.start + (len(observed.values) - 0.5) * observed.step
        edges = [(now - begin) / observed.step, (now + lead - begin) / observed.step]
        places = [*edges, *(float(place) for place in range(len(points)) if edges[0] < place < edges[1])]
        expected = max(_between(points, place, 0) for place in places)
        upper = max(_between(points, place, 1) for place in places)
        scale = observed.seconds_per_document / observed.step
        return Outlook(expected * scale, upper * scale, True, reason)


def _between(points: Sequence[tuple[float, float]], place: float, row: int) -> float:
    """The value at a place between points that lie at 0, 1, 2 …"""
    left = min(max(int(place), 0), len(points) - 1)
    right = min(left + 1, len(points) - 1)
    share = min(max(place - left, 0.0), 1.0)
    return points[left][row] * (1 - share) + points[right][row] * share


class Seasonal:
    """The plainest forecast there is: as a week ago (or a day), at the level of the last steps; see `Rolling`."""

    def __init__(self, level: float = 0.9) -> None:
        """`level`: the quantile of its own past errors that the upper value stands at."""
        self._level = level
        self._errors: list[float] = []
        self._said: float | None = None

    def __call__(self, series: Series) -> tuple[Bands, str] | None:
        week, day = round(WEEK / series.step_seconds), round(DAY / series.step_seconds)
        season = week if len(series.values) >= 2 * week else day
        if len(series.values) < 2 * season or season < 1:
            return None
        values = bridged(series.values[-2 * season :])
        if self._said is not None and self._said > 0:
            self._errors = [*self._errors[1 - KEPT_ERRORS :], values[-1] / self._said]
        before = sum(values[-season - 3 : -season])
        level = min(2.0, max(0.5, sum(values[-3:]) / before)) if before > 0 else 1.0
        ahead = [values[-season + number] * level for number in range(3)]
        self._said = ahead[0]
        errors = sorted(self._errors)
        ratio = errors[min(len(errors) - 1, int(self._level * len(errors)))] if len(errors) >= 20 else 1.3
        name = "a week ago" if season == week else "a day ago"
        return [(one, one * max(1.0, ratio)) for one in ahead], f"as {name}, at the level of the last steps"
