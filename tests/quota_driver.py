"""What the tests of quotas share: a Redis, a clock that is turned by hand, and a service that refuses."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from docfleet.domain.quota import QuotaKey, QuotaLimits
from docfleet.quota.allowance import Allowance
from docfleet.quota.bucket import TokenBucket
from docfleet.stack.servers import RedisServer, start_redis

KEY = QuotaKey("project", "eu", "OCR_PROCESSOR")


class Clock:
    """Seconds that pass when told to."""

    def __init__(self, now: float = 1_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def redis_client(url: str, timeout: float = 1.0) -> Any:
    """As the service makes them: gives up soon, never tries again by itself."""
    return redis.Redis.from_url(
        url, socket_timeout=timeout, socket_connect_timeout=timeout, retry=Retry(NoBackoff(), 0)
    )


@contextmanager
def redis_server(folder: Path) -> Iterator[RedisServer]:
    with start_redis(folder) as server:
        yield server


class Service:
    """A service with a token bucket of its own, which nobody is told of."""

    def __init__(self, per_minute: float, burst_seconds: float, now: float) -> None:
        per_second = per_minute / 60
        self._bucket = TokenBucket.full(per_second, max(1.0, per_second * burst_seconds), now)
        self.taken: list[float] = []
        self.refused: list[float] = []

    def call(self, now: float) -> bool:
        if self._bucket.wait_for(1, now) > 0.0:
            self.refused.append(now)
            return False
        self._bucket = self._bucket.take(1, now)
        self.taken.append(now)
        return True


class MinuteService(Service):
    """One that counts by the minute of the clock."""

    def __init__(self, per_minute: float) -> None:
        super().__init__(per_minute, 1.0, 0.0)
        self._per_minute = per_minute
        self._minute, self._count = -1, 0

    def call(self, now: float) -> bool:
        if now // 60 != self._minute:
            self._minute, self._count = int(now // 60), 0
        is_taken = self._count + 1 <= self._per_minute
        self._count += is_taken
        (self.taken if is_taken else self.refused).append(now)
        return is_taken


def most_in(times: list[float], span: float) -> int:
    """The most that came within any `span` seconds."""
    most, first = 0, 0
    times = sorted(times)
    for last, time in enumerate(times):
        while times[first] <= time - span:
            first += 1
        most = max(most, last - first + 1)
    return most


def fresh(limits: QuotaLimits, now: float = 1_000.0, *, full: bool = True) -> Allowance:
    return Allowance.fresh(limits, now, full=full)
