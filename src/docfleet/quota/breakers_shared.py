"""Breakers of all processes together: one value for each endpoint in Redis, changed only if nobody else did meanwhile.

The decisions are made here, by `breaker.py`, on the server's clock. Every process keeps breakers of its own as well,
which decide while Redis is away.
"""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
import redis

from docfleet.domain.quota import BreakerState, Passage
from docfleet.quota.away import Reach
from docfleet.quota.breaker import Breaker, BreakerPolicy
from docfleet.quota.breakers_local import LocalBreakers, tell_of
from docfleet.quota.keys import breaker_key

Said = TypeVar("Said")

_AWAY = (redis.RedisError, OSError)
_TRIES = 20
_KEPT_SECONDS = 3600
"""Longer than a breaker stays open; what an idle endpoint did is forgotten then."""
_SWAP = """
local found = redis.call('GET', KEYS[1])
if (found or '') ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
return 1
"""
_LOOK = "local time = redis.call('TIME') return {redis.call('GET', KEYS[1]) or '', time[1], time[2]}"


class SharedBreakers:
    """`Breakers` for all processes that use the same Redis. `client` gives up soon and never tries again by itself."""

    def __init__(self, client: Any, policy: BreakerPolicy, clock: Callable[[], float] = time.monotonic) -> None:
        self._look = client.register_script(_LOOK)
        self._swap = client.register_script(_SWAP)
        self._policy = policy
        self._reach = Reach("breakers", clock)
        self._local = LocalBreakers(policy, clock, tells=False)
        self._decoder = msgspec.json.Decoder(Breaker)

    def may_call(self, endpoint: str) -> Passage:
        probe = secrets.token_hex(8)
        passage = self._change(endpoint, lambda breaker, now: breaker.may_call(self._policy, now, probe))
        return passage if passage is not None else self._local.may_call(endpoint)

    def record(self, endpoint: str, passage: Passage, ok: bool, seconds: float) -> None:
        # what this process sees it also keeps for itself; a probe of Redis means nothing to its own breaker
        self._local.record(endpoint, passage, ok, seconds)
        self._change(
            endpoint, lambda breaker, now: (breaker.recorded(self._policy, passage, ok, seconds, now), passage)
        )

    def cancel(self, endpoint: str, passage: Passage) -> None:
        self._local.cancel(endpoint, passage)
        if passage.probe:
            self._change(endpoint, lambda breaker, now: (breaker.cancelled(passage), passage))

    def state(self, endpoint: str) -> BreakerState:
        found = self._guarded(lambda: self._read(endpoint))
        if found is None:
            return self._local.state(endpoint)
        breaker, _, now = found
        return breaker.state(now)

    def _change(self, endpoint: str, change: Callable[[Breaker, float], tuple[Breaker, Passage]]) -> Passage | None:
        """None: Redis is away, or too many others changed it at the same time."""
        return self._guarded(lambda: self._swapped(endpoint, change))

    def _swapped(self, endpoint: str, change: Callable[[Breaker, float], tuple[Breaker, Passage]]) -> Passage | None:
        for again in range(_TRIES):
            if again:
                # many at once: whoever waits a little meets fewer
                time.sleep(random.uniform(0.0, 0.001 * again))
            before, raw, now = self._read(endpoint)
            after, said = change(before, now)
            if after is before:
                return said
            arguments = [raw, msgspec.json.encode(after), _KEPT_SECONDS]
            if self._swap(keys=[breaker_key(endpoint)], args=arguments):
                tell_of(endpoint, before, after)
                return said
        return None

    def _read(self, endpoint: str) -> tuple[Breaker, bytes, float]:
        raw, seconds, micros = self._look(keys=[breaker_key(endpoint)])
        now = int(seconds) + int(micros) / 1e6
        try:
            return self._decoder.decode(raw or b"{}"), raw, now
        except msgspec.MsgspecError:
            # of another version: begins anew
            return Breaker(), raw, now

    def _guarded(self, ask: Callable[[], Said | None]) -> Said | None:
        """What `ask` says; None: Redis is away."""
        if not self._reach.may_try():
            return None
        try:
            said = self._again_if_cut(ask)
        except _AWAY as error:
            self._reach.failed(error)
            return None
        self._reach.worked()
        return said

    @staticmethod
    def _again_if_cut(ask: Callable[[], Said]) -> Said:
        try:
            return ask()
        except redis.TimeoutError:
            raise
        except redis.ConnectionError:
            # an idle connection that was cut is no outage
            return ask()
