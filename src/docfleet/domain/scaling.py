"""How many workers a pool needs, and why: a function from values to values. Pure."""

from __future__ import annotations

import msgspec


class ClockFloor(msgspec.Struct, frozen=True):
    """At least so many workers in these hours of local time."""

    workers: int
    days: frozenset[int] = frozenset(range(7))
    """0 is Monday."""
    from_minute: int = 0
    to_minute: int = 24 * 60
    """Minutes of the day; before `from_minute`: it goes on past midnight."""
    on_holidays: bool = True


class ScalingPolicy(msgspec.Struct, frozen=True):
    """What is wanted of a pool; `decide` says what that takes."""

    min_workers: int = 1
    max_workers: int = 10
    scale_to_zero: bool = False
    start_seconds: float = 60.0
    """From asking for a worker to its first slice."""
    floors: tuple[ClockFloor, ...] = ()
    timezone: str = "UTC"
    holidays: frozenset[str] = frozenset()
    """Dates, "2026-12-25"."""


class Need(msgspec.Struct, frozen=True):
    """What one rule asks for."""

    rule: str
    workers: int
    why: str


class ScalingMemory(msgspec.Struct, frozen=True):
    """What a decision has to know of those before it; forgetting it costs only smoothness."""

    workers: int = 0
    """Decided last."""
    asked: tuple[tuple[float, int], ...] = ()
    """(when, workers that the rules asked for), within the window that slows the way down."""
    idle_since: float | None = None


class Decision(msgspec.Struct, frozen=True):
    pool: str
    at: float
    workers: int
    before: int
    reason: str
    """One line: "12 → 19 pdf workers: 4,210 pages waiting, forecast +38 % in 20 min"."""
    needs: tuple[Need, ...]
    """What each rule asked for, the one that decided first."""
    limits: tuple[Need, ...]
    """What held it down or slowed it, if anything did."""
    memory: ScalingMemory
