"""Alarms of the objectives: how fast the budget of errors burns."""

from __future__ import annotations

from collections.abc import Iterator

from .alarm import CRITICAL, WARNING, Alarm
from .objectives import API, AVAILABILITY, FAST, LATENCY, SLOW, STEADY, Burn, Objective, budget_hours, burning
from .pace import Pace

LEAST_BROKEN = 5
LEAST_ERRORS = 10
LEAST_LATE = 10
"""So many things have to have gone wrong in the long window: below that a share says nothing, and nobody is woken."""
MAY_WAIT = "bulk"
"""The priority whose lateness wakes nobody."""


def objective_alarms(pace: Pace) -> Iterator[Alarm]:
    for burn in (FAST, STEADY, SLOW):
        yield from _of_availability(burn, pace)
        yield from _of_api(burn, pace)
        yield from _of_latency(burn, pace)


def _kind(burn: Burn) -> tuple[str, str]:
    """(how the alarm's name ends, its severity)."""
    return ("Budget", WARNING) if burn is SLOW else ("Burn", CRITICAL)


def _told(objective: Objective, burn: Burn) -> str:
    """The sentence that every one of them ends with."""
    goal = f"{objective.target * 100:g} %"
    return (
        f"The objective is {goal} over 30 days; at {burn.rate:g} times the rate that this allows, the budget of a "
        f"month "
        f"is gone in {budget_hours(burn):.0f} hours."
    )


def _of_availability(burn: Burn, pace: Pace) -> Iterator[Alarm]:
    end, severity = _kind(burn)
    yield Alarm(
        f"DocfleetAvailability{end}",
        severity,
        burning(AVAILABILITY, burn, LEAST_BROKEN, pace),
        "1m" if severity == CRITICAL else "30m",
        "Documents end broken in the region {{ $labels.region }}: {{ $value | humanizePercentage }} "
        f"of those of the last {burn.long}.",
        f"By a fault of the service, not of the documents. {_told(AVAILABILITY, burn)}",
        "objectives",
        ("region",),
        (("burn", burn.name),),
    )


def _of_api(burn: Burn, pace: Pace) -> Iterator[Alarm]:
    end, severity = _kind(burn)
    yield Alarm(
        f"DocfleetApi{end}",
        severity,
        burning(API, burn, LEAST_ERRORS, pace),
        "1m" if severity == CRITICAL else "30m",
        f"The API answers {{{{ $value | humanizePercentage }}}} of the requests of the last {burn.long} with 5xx.",
        f"{_told(API, burn)}",
        "objectives",
        (),
        (("burn", burn.name),),
    )


def _of_latency(burn: Burn, pace: Pace) -> Iterator[Alarm]:
    end, severity = _kind(burn)
    # what nobody waits for may be late until the morning
    only = f'{{priority!="{MAY_WAIT}"}}' if severity == CRITICAL else ""
    yield Alarm(
        f"DocfleetLatency{end}",
        severity,
        burning(LATENCY, burn, LEAST_LATE, pace, only),
        "1m" if severity == CRITICAL else "30m",
        "Documents of priority {{ $labels.priority }} are late in the region {{ $labels.region }}: "
        f"{{{{ $value | humanizePercentage }}}} of those of the last {burn.long}.",
        f"Later than the target of their kind and priority. {_told(LATENCY, burn)}",
        "objectives",
        ("region", "priority"),
        (("burn", burn.name),),
    )
