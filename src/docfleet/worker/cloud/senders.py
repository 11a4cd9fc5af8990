"""Threads that make requests: started as they are needed, as many as may be under way at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Senders:
    """Daemon threads: a call that hangs does not keep the process from ending."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._busy = 0
        self._lock = threading.Lock()
        self._idle = threading.Condition(self._lock)

    def free(self) -> int:
        with self._lock:
            return self._count - self._busy

    def start(self, work: Callable[[], None]) -> None:
        """Begins at once. More than `count` are started, but then `free` says how far it is over."""
        with self._lock:
            self._busy += 1
        threading.Thread(target=self._run, args=(work,), name="request", daemon=True).start()

    def wait_idle(self, seconds: float) -> bool:
        """Until none is busy, at most so long; whether none is."""
        with self._idle:
            return self._idle.wait_for(lambda: self._busy == 0, seconds)

    def _run(self, work: Callable[[], None]) -> None:
        try:
            work()
        finally:
            with self._idle:
                self._busy -= 1
                self._idle.notify_all()
