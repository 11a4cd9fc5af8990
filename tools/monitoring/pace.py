"""Lengths of time in rules. A pace below 1 shortens all of them alike: a test lives through hours in minutes.

Windows and the time an alarm has to hold go by it; ages that processes tell of themselves do not.
"""

from __future__ import annotations

from typing import NamedTuple

_UNITS = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1))
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


class Pace(NamedTuple):
    factor: float = 1.0
    """1/60: what takes an hour takes a minute."""

    def __call__(self, length: str) -> str:
        """`6h` as a duration of PromQL, at this pace."""
        return duration(self.seconds(length))

    def seconds(self, length: str) -> float:
        return seconds_of(length) * self.factor


REAL = Pace()


def seconds_of(length: str) -> float:
    """Seconds in `5m`, `6h`, `21d`."""
    return float(length[:-1]) * _SECONDS[length[-1]]


def duration(seconds: float) -> str:
    """As PromQL writes it, whole milliseconds; `1m30s`."""
    left = max(round(seconds * 1000), 1)
    text = ""
    for name, size in _UNITS:
        count, left = divmod(left, size)
        text += f"{count}{name}" if count else ""
    return text
