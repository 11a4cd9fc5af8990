"""How long after its turn a request is on its way, and whether that is longer than it is as a rule."""

from __future__ import annotations

import threading

SMALLEST = 0.02
"""Seconds; less than this changes nothing, and would only be told."""
_WEIGHT = 0.1


class Delays:
    """A delay that is always the same keeps the distance between calls; one that is not brings the next call too near.
    Threads may share one."""

    def __init__(self) -> None:
        self._usual: float | None = None
        self._lock = threading.Lock()

    def late_by(self, delay: float) -> float:
        """Seconds beyond the usual delay; 0.0 when that is next to nothing."""
        with self._lock:
            usual = delay if self._usual is None else self._usual
            # an outlier moves what is usual by no more than any other
            step = max(-SMALLEST, min(SMALLEST, delay - usual))
            self._usual = usual + _WEIGHT * step
        beyond = delay - usual
        return beyond if beyond > SMALLEST else 0.0
