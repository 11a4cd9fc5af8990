"""How many hints a pool may have in the broker, and how soon the dispatcher looks again: pure functions."""

from __future__ import annotations

import math

UNMANNED_WINDOW = 2
"""Hints for a pool without workers: the first that comes finds work at once."""
SHORTEST_PAUSE = 0.02


def window_size(slots: int, per_slot: float) -> int:
    """Hints that may wait in the broker for a pool with so many slots."""
    return max(UNMANNED_WINDOW, math.ceil(slots * per_slot))


def pause(windows: list[tuple[int, float]], tick_seconds: float) -> float:
    """Seconds until the next look: before the emptiest pool has drained half of its window.

    `windows`: for each pool its size and the hints drained per second. A window is two to three times the slots, so
    slots that take milliseconds for a slice would stand idle for most of a whole tick.
    """
    soonest = min((size / 2 / drained for size, drained in windows if drained > 0), default=tick_seconds)
    return max(SHORTEST_PAUSE, min(tick_seconds, soonest))


def drain_rate(before: float, drained: int, seconds: float) -> float:
    """Hints drained per second, smoothed over about a second; `before`: the last answer."""
    if seconds <= 0:
        return before
    weight = 1 - math.exp(-seconds)
    return before + weight * (drained / seconds - before)
