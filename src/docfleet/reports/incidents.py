"""What went wrong in a month, found in what the ledger counted: when, how long, with what effect. Pure.

Nobody has to have written anything down: an hour in which an objective was missed, a burst of dead letters, a time
without a dispatcher, workers that died one after the other, a budget without room.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum

import msgspec

from docfleet.domain.tallying import Sums
from docfleet.reports import quantities as say
from docfleet.reports.month_facts import Deaths, Exhaustion, Gap, MonthFacts, Objectives, Step

HOUR = 3600.0
DAY = 86_400.0
LATE_DOCUMENTS = 5
"""Fewer that are late in an hour say nothing about a share of 95 %."""
JOINED_SECONDS = 3 * HOUR
"""What is no further apart is one incident."""
BROKEN_DOCUMENTS = 3
"""Fewer that fail close together through the service are no incident in a month that keeps its objective all the same:
the error budget is there for them."""
BURST_LETTERS = 5
"""Dead letters in an hour."""
STORM_DEATHS = 5
"""Attempts whose worker died, within a quarter of an hour."""


class IncidentKind(StrEnum):
    AVAILABILITY = "availability"
    LATENCY = "latency"
    DEAD_LETTERS = "dead_letters"
    NOT_DISPATCHED = "not_dispatched"
    WORKER_DEATHS = "worker_deaths"
    BUDGET = "budget"


class Incident(msgspec.Struct, frozen=True):
    kind: IncidentKind
    begin: float
    end: float
    what: str
    effect: str
    weight: float
    """Documents that it cost or may have cost something: the heaviest are shown first where not all are."""

    @property
    def seconds(self) -> float:
        return self.end - self.begin


def incidents(facts: MonthFacts) -> tuple[Incident, ...]:
    """All of a month, by their beginning."""
    steps, seconds = steps_of(facts)
    goal = facts.objectives
    least = 1 if _misses_availability(facts.total, goal) else BROKEN_DOCUMENTS
    gaps = [_gap(gap, steps, seconds) for gap in facts.troubles.gaps]
    failures = _runs(steps, seconds, lambda sums: _misses_availability(sums, goal), _broken)
    found = [
        *(one for one in failures if one.weight >= least),
        *_runs(steps, seconds, lambda sums: _misses_in_time(sums, goal), _late),
        *_runs(steps, seconds, lambda sums: sums.dead_letters >= BURST_LETTERS, _letters),
        *(one for one in gaps if facts.of_fleet or one.weight),
        *_storms(facts.troubles.deaths),
        *(_exhausted(one, facts.until) for one in facts.troubles.exhausted),
    ]
    return tuple(sorted(found, key=lambda one: (one.begin, one.kind, one.what)))


def steps_of(facts: MonthFacts) -> tuple[Sequence[Step], float]:
    """Hours, or days where the hours are forgotten; and how many seconds one has."""
    return (facts.hours, HOUR) if facts.hours else (facts.days, DAY)


def misses(sums: Sums, goal: Objectives) -> bool:
    """Whether a time missed one of the objectives."""
    return _misses_availability(sums, goal) or _misses_in_time(sums, goal)


def _misses_availability(sums: Sums, goal: Objectives) -> bool:
    return sums.broken > (1 - goal.availability) * sums.ended


def _misses_in_time(sums: Sums, goal: Objectives) -> bool:
    return sums.late >= LATE_DOCUMENTS and sums.late > (1 - goal.in_time) * sums.timed


class _Run(msgspec.Struct):
    """Bad steps of time with little between them."""

    begin: float
    end: float
    sums: list[Sums]

    def of(self, name: str) -> int:
        return sum(getattr(one, name) for one in self.sums)


def _runs(
    steps: Sequence[Step], seconds: float, is_bad: Callable[[Sums], bool], tell: Callable[[_Run], Incident]
) -> Iterable[Incident]:
    run: _Run | None = None
    for step in steps:
        if not is_bad(step.sums):
            continue
        if run is not None and step.at - run.end < JOINED_SECONDS:
            run.sums.append(step.sums)
            run.end = step.at + seconds
            continue
        if run is not None:
            yield tell(run)
        run = _Run(step.at, step.at + seconds, [step.sums])
    if run is not None:
        yield tell(run)


def _broken(run: _Run) -> Incident:
    broken, ended = run.of("broken"), sum(sums.ended for sums in run.sums)
    said = f"{say.count(broken)} of {say.counted(ended, 'document')} failed through the service"
    return Incident(IncidentKind.AVAILABILITY, run.begin, run.end, "Availability objective missed", said, broken)


def _late(run: _Run) -> Incident:
    whole, in_time = sum(sums.timed for sums in run.sums), run.of("in_time")
    said = f"{say.share(in_time, whole)} of {say.counted(whole, 'document')} in time"
    return Incident(IncidentKind.LATENCY, run.begin, run.end, "Latency objective missed", said, whole - in_time)


def _letters(run: _Run) -> Incident:
    letters = run.of("dead_letters")
    said = f"{say.counted(letters, 'dead letter')}: given up after all tries"
    return Incident(IncidentKind.DEAD_LETTERS, run.begin, run.end, "Burst of dead letters", said, letters)


def _gap(gap: Gap, steps: Sequence[Step], seconds: float) -> Incident:
    meanwhile = sum(step.sums.accepted for step in steps if step.at + seconds > gap.begin and step.at < gap.end)
    about = f", to within {say.duration(gap.step_seconds)}"
    these = "hours" if seconds == HOUR else "days"
    effect = (
        f"up to {say.counted(meanwhile, 'document')} accepted in these {these} waited"
        if meanwhile
        else f"no documents were accepted in these {these}"
    )
    what = f"Nobody dispatched in the region {gap.region or 'local'}"
    return Incident(IncidentKind.NOT_DISPATCHED, gap.begin, gap.end, what, effect + about, meanwhile)


def _storms(deaths: Sequence[Deaths]) -> Iterable[Incident]:
    """Stretches of `Deaths` that follow one another, each with enough of them."""
    run: list[Deaths] = []
    for one in [*(one for one in deaths if one.count >= STORM_DEATHS), None]:
        if run and (one is None or one.at > run[-1].at + run[-1].seconds):
            count, workers = sum(x.count for x in run), max(x.workers for x in run)
            said = (
                f"{say.counted(count, 'attempt')} ended with the process, of {say.counted(workers, 'worker')} or more"
            )
            end = run[-1].at + run[-1].seconds
            yield Incident(
                IncidentKind.WORKER_DEATHS, run[0].at, end, "Worker processes died one after the other", said, count
            )
            run = []
        if one is not None:
            run.append(one)


def _exhausted(one: Exhaustion, until: float) -> Incident:
    what = "all engines" if one.engine == "*" else one.engine
    becomes = {
        "stop": "further pages ended as budget_exhausted",
        "degrade": "further pages stayed as they were read locally",
        "queue": "further pages waited",
    }.get(one.policy, "further calls were refused")
    said = f"the limit of {say.dollars(one.limit_usd)} was reached; {becomes}"
    return Incident(IncidentKind.BUDGET, one.at, until, f"Budget for {what} exhausted", said, 0.0)
