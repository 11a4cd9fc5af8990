"""When a Redis that did not answer is asked again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from docfleet.telemetry import logger

_log = logger(__name__)
FIRST_SECONDS = 0.5
LONGEST_SECONDS = 4.0


class Reach:
    """Of one Redis, for the threads of one process. While it is away one thread at a time looks whether it is back, and
    the others do not wait for that."""

    def __init__(self, part: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._part = part
        self._clock = clock
        self._lock = threading.Lock()
        self._pause = 0.0
        self._next_at = 0.0
        self._looking = False

    @property
    def is_away(self) -> bool:
        return self._pause > 0.0

    def may_try(self) -> bool:
        """Whether to ask it now; if so, `failed` or `worked` has to follow."""
        with self._lock:
            if not self._pause:
                return True
            if self._looking or self._clock() < self._next_at:
                return False
            self._looking = True
            return True

    def failed(self, error: Exception) -> None:
        with self._lock:
            if not self._pause:
                _log.warning("redis_away", name=self._part, error=error)
            elif not self._looking:
                return  # a call from before the first failure
            self._pause = min(LONGEST_SECONDS, self._pause * 2 or FIRST_SECONDS)
            self._next_at = self._clock() + self._pause
            self._looking = False

    def worked(self) -> bool:
        """Whether it had been away until now."""
        with self._lock:
            was_away = self._pause > 0.0
            if was_away:
                _log.warning("redis_back", name=self._part)
            self._pause = self._next_at = 0.0
            self._looking = False
            return was_away
