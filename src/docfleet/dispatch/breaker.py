"""Whether a part that failed may be asked again; says once when it fails and once when it is back."""

from __future__ import annotations

from docfleet.telemetry import logger

_log = logger(__name__)
_FIRST_SECONDS = 0.5
_LONGEST_SECONDS = 4.0


class Breaker:
    """Of one part, for one thread. `now` is in seconds of any steady clock."""

    def __init__(self, part: str) -> None:
        self._part = part
        self._pause = 0.0
        self._closed_at = 0.0

    @property
    def is_open(self) -> bool:
        """Whether the part was failing when it was last asked."""
        return self._pause > 0.0

    def allows(self, now: float) -> bool:
        return now >= self._closed_at

    def failed(self, now: float, error: Exception) -> None:
        if not self._pause:
            _log.warning("part_failing", name=self._part, error=error)
        self._pause = min(_LONGEST_SECONDS, self._pause * 2 or _FIRST_SECONDS)
        self._closed_at = now + self._pause

    def worked(self) -> None:
        if self._pause:
            _log.warning("part_back", name=self._part)
        self._pause = self._closed_at = 0.0
