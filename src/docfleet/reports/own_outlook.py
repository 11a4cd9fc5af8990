"""What the coming week will bring one tenant, from its own days alone. Pure.

Each of the coming days is taken to be like the same day of the week in the last weeks: the seasonal mean, the plainest
forecast there is. How far it can be trusted it shows by what it would have told a week ago, beside what came.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from docfleet.domain.tallying import Sums
from docfleet.reports.month_facts import Step, WeekAhead

DAY = 86_400.0
WEEK = 7
LEAST_WEEKS = 2
MOST_WEEKS = 8
LOOK_BACK_SECONDS = (MOST_WEEKS + 1) * WEEK * DAY
"""How much of the past is asked for."""
_OF: tuple[tuple[str, Callable[[Sums], int]], ...] = (
    ("documents", lambda sums: sums.accepted),
    ("pages", lambda sums: sums.pages),
)


def weeks_ahead(days: Sequence[Step], counted_since: float | None, now: float) -> tuple[WeekAhead, ...]:
    """Of documents that come and of pages that are read. `days`: of UTC, rising, none left out; that of `now` is not
    over and counts for nothing."""
    begun = now if counted_since is None else counted_since
    whole = [step for step in days if step.at >= begun and step.at + DAY <= now]
    return tuple(_week(of, [float(take(step.sums)) for step in whole], now // DAY * DAY) for of, take in _OF)


def _week(of: str, counts: Sequence[float], today: float) -> WeekAhead:
    coming = seasonal(counts)
    if coming is None:
        return WeekAhead(of, missing=f"it needs {LEAST_WEEKS * WEEK} full days of counts, and there are {len(counts)}")
    fullest = max(range(WEEK), key=lambda day: coming[day])
    before = seasonal(counts[:-WEEK])
    return WeekAhead(
        of=of,
        begin=today,
        expected=sum(coming),
        fullest=coming[fullest],
        fullest_at=today + fullest * DAY,
        foretold=None if before is None else sum(before),
        came=sum(counts[-WEEK:]),
        weeks=min(MOST_WEEKS, len(counts) // WEEK),
    )


def seasonal(counts: Sequence[float]) -> list[float] | None:
    """The seven days that follow `counts`, each the mean of those 7, 14, … days before it; None: fewer than two
    weeks."""
    weeks = min(MOST_WEEKS, len(counts) // WEEK)
    if weeks < LEAST_WEEKS:
        return None
    end = len(counts)
    return [sum(counts[end - WEEK * back + day] for back in range(1, weeks + 1)) / weeks for day in range(WEEK)]
