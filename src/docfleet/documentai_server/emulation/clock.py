"""The time an emulation goes by: the machine's, or one that tests turn by hand."""

from __future__ import annotations

import threading
import time
from typing import Protocol


class Clock(Protocol):
    """Seconds that never go back. Threads may share one."""

    def now(self) -> float: ...

    def sleep(self, seconds: float, stop: threading.Event | None = None) -> bool:
        """Waits; True when `stop` was set before the time was over."""
        ...


class MachineClock:
    """The machine's monotonic clock."""

    def now(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float, stop: threading.Event | None = None) -> bool:
        if seconds <= 0.0:
            return stop is not None and stop.is_set()
        if stop is not None:
            return stop.wait(seconds)
        time.sleep(seconds)
        return False


class VirtualClock:
    """Stands still until it is turned: by `advance`, or (`turns_itself`) by whoever sleeps."""

    def __init__(self, now: float = 0.0, *, turns_itself: bool = True) -> None:
        self._now = now
        self._turns_itself = turns_itself
        self._turned = threading.Condition()

    def now(self) -> float:
        with self._turned:
            return self._now

    def advance(self, seconds: float) -> None:
        with self._turned:
            self._now += seconds
            self._turned.notify_all()

    def sleep(self, seconds: float, stop: threading.Event | None = None) -> bool:
        with self._turned:
            due = self._now + seconds
            if self._turns_itself:
                self._now = max(self._now, due)
                self._turned.notify_all()
            while self._now < due and not (stop is not None and stop.is_set()):
                # a stop is seen within this time of the real clock; it has no way to wake a condition
                self._turned.wait(0.02)
        return stop is not None and stop.is_set()
