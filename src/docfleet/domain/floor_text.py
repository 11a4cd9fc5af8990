"""Floors by the clock as people write them: "mon-fri 08:00-18:00 6". Pure."""

from __future__ import annotations

import re

from docfleet.domain.business_hours import DAY_MINUTES, ClockFloor
from docfleet.errors import UsageError

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_FLOOR = re.compile(
    r"(?P<days>\*|[a-z]{3}(?:-[a-z]{3})?(?:\+[a-z]{3}(?:-[a-z]{3})?)*) +"
    r"(?P<from>\d{1,2}:\d{2}) *- *(?P<to>\d{1,2}:\d{2}) +(?P<workers>\d{1,6})(?P<workdays> +workdays)?"
)
_FORM = "a floor is written `mon-fri 08:00-18:00 6`, `sat+sun 00:00-24:00 1`, `* 22:00-06:00 2`"


def read_floor(text: str) -> ClockFloor:
    """Days (`*`: all), local hours, workers; `workdays` behind it: not on holidays.

    Hours that end before they begin go on past midnight. Raises UsageError for what is none.
    """
    found = _FLOOR.fullmatch(text.strip().lower())
    if found is None:
        raise UsageError(f"{text!r} is no floor of workers: {_FORM}.")
    begin, end = _minute(found["from"], text), _minute(found["to"], text)
    if begin >= DAY_MINUTES or begin == end:
        raise UsageError(f"{text!r} holds for no time at all: {_FORM}.")
    return ClockFloor(int(found["workers"]), _days(found["days"], text), begin, end, found["workdays"] is None)


def _minute(clock: str, text: str) -> int:
    hours, minutes = map(int, clock.split(":"))
    if minutes > 59 or hours * 60 + minutes > DAY_MINUTES:
        raise UsageError(f"{clock} in {text!r} is no time of day.")
    return hours * 60 + minutes


def _days(named: str, text: str) -> frozenset[int]:
    if named == "*":
        return frozenset(range(7))
    days: set[int] = set()
    for part in named.split("+"):
        first, _, last = part.partition("-")
        if first not in _DAYS or (last and last not in _DAYS):
            raise UsageError(f"{part} in {text!r} is no day: they are {', '.join(_DAYS)}.")
        begin, end = _DAYS.index(first), _DAYS.index(last or first)
        days |= {day % 7 for day in range(begin, end + 1 if end >= begin else end + 8)}
    return frozenset(days)
