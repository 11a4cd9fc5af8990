"""Breakers of one process alone."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from docfleet.domain.quota import BreakerNow, BreakerState, Passage
from docfleet.quota.breaker import Breaker, BreakerPolicy
from docfleet.telemetry import logger

Said = TypeVar("Said")
_log = logger(__name__)


class LocalBreakers:
    """`Breakers` for the threads of one process. `clock`: seconds of a steady clock. `tells`: what opens and closes is
    logged."""

    def __init__(
        self, policy: BreakerPolicy, clock: Callable[[], float] = time.monotonic, *, tells: bool = True
    ) -> None:
        self._policy = policy
        self._tells = tells
        self._clock = clock
        self._lock = threading.Lock()
        self._breakers: dict[str, Breaker] = {}

    def may_call(self, endpoint: str) -> Passage:
        def ask(breaker: Breaker, now: float) -> tuple[Breaker, Passage]:
            return breaker.may_call(self._policy, now, secrets.token_hex(8))

        return self._change(endpoint, ask)

    def record(self, endpoint: str, passage: Passage, ok: bool, seconds: float) -> None:
        def tell(breaker: Breaker, now: float) -> tuple[Breaker, None]:
            return breaker.recorded(self._policy, passage, ok, seconds, now), None

        self._change(endpoint, tell)

    def cancel(self, endpoint: str, passage: Passage) -> None:
        self._change(endpoint, lambda breaker, _: (breaker.cancelled(passage), None))

    def state(self, endpoint: str) -> BreakerState:
        with self._lock:
            return self._breakers.get(endpoint, Breaker()).state(self._clock())

    def look(self, endpoint: str) -> BreakerNow:
        """As it is now, with its reasons; changes nothing."""
        with self._lock:
            return self._breakers.get(endpoint, Breaker()).now(self._policy, self._clock())

    def _change(self, endpoint: str, change: Callable[[Breaker, float], tuple[Breaker, Said]]) -> Said:
        with self._lock:
            before = self._breakers.get(endpoint, Breaker())
            after, said = change(before, self._clock())
            self._breakers[endpoint] = after
        if self._tells:
            tell_of(endpoint, before, after)
        return said


def tell_of(endpoint: str, before: Breaker, after: Breaker) -> None:
    """Logs that an endpoint is not called any more, or again."""
    if after.opened_at is not None and before.opened_at != after.opened_at:
        _log.warning("breaker_open", endpoint=endpoint, seconds=after.open_for, reason=after.why)
    elif before.opened_at is not None and after.opened_at is None:
        _log.warning("breaker_closed", endpoint=endpoint)
