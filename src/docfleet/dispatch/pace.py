"""How many hints a pool may have in the broker, and how soon the dispatcher looks at it again: pure functions."""

from __future__ import annotations

import math

UNMANNED_WINDOW = 2
"""Hints for a pool without workers: the first that comes finds work at once."""
SHORTEST_PAUSE = 0.02
ACTIVE_PAUSE = 0.1
"""While a pool works, its slices make new ones (pages after the plan, the assembly after the pages)."""
_NEARLY_EMPTY = 0.3
_STILL_FULL = 0.6


def window_size(slots: int, per_slot: float) -> int:
    """Hints that may wait in the broker for a pool with so many slots."""
    return max(UNMANNED_WINDOW, math.ceil(slots * per_slot))


def next_pause(before: float, left: int, size: int, is_full: bool, is_active: bool, tick_seconds: float) -> float:
    """Seconds until the next look at a pool, if nothing wakes the dispatcher sooner.

    `left`: hints of its window of `size` that nobody had claimed; `is_full`: it is full again now, so that more waits.
    A window is two to three times the slots, and slots that need milliseconds for a slice would stand idle for most of
    a tick: the pause follows how fast they drain it.
    """
    longest = min(ACTIVE_PAUSE, tick_seconds) if is_active else tick_seconds
    if not is_full:
        return longest
    if left < size * _NEARLY_EMPTY:
        return max(SHORTEST_PAUSE, min(longest, before / 2))
    if left > size * _STILL_FULL:
        return min(tick_seconds, before * 1.5)
    return min(tick_seconds, before)
