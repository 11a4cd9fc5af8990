"""How many requests one key may make: a token bucket in this process, or a window shared through Redis.

Redis is a convenience here and never a condition: when it does not answer, each process counts for itself for a
while and then asks again.

Nor is it asked for every request. A process may let a few through before it tells of them: at most a `PART` of what
was free when it last asked, `MOST_UNTOLD` of them, and for `UNTOLD_SECONDS`. So the count is exact where it matters,
near the limit, and a limit shared by n processes is passed by n times `MOST_UNTOLD` requests at the very most, and
that only when others used all of it up within a quarter of a second.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from docfleet.telemetry import logger

_log = logger("api")
_RETRY_SHARED_SECONDS = 5.0
_KEYS_KEPT = 10_000
PART = 64
"""What a process may let through untold, as a part of what is free: so many processes together do not pass a limit."""
MOST_UNTOLD = 16
UNTOLD_SECONDS = 0.25
_WINDOW_SECONDS = 60.0


class Bucket(msgspec.Struct, frozen=True):
    """Tokens at a moment; they grow back with time."""

    tokens: float
    at: float


class Taken(msgspec.Struct, frozen=True):
    bucket: Bucket
    wait_seconds: float
    """0: the token was there."""


def take_token(bucket: Bucket | None, now: float, per_minute: int) -> Taken:
    """One token from a bucket that holds a minute's worth and fills evenly; a new one is full."""
    rate = per_minute / 60.0
    tokens = float(per_minute)
    if bucket is not None:
        tokens = min(tokens, bucket.tokens + max(0.0, now - bucket.at) * rate)
    if tokens >= 1.0:
        return Taken(Bucket(tokens - 1.0, now), 0.0)
    return Taken(Bucket(tokens, now), (1.0 - tokens) / rate)


class RequestLimits(Protocol):
    async def take(self, key: str) -> float:
        """Counts a request of `key`; seconds until it would be allowed, 0 when it is."""
        ...

    async def close(self) -> None: ...


class LocalLimits:
    """Buckets in the memory of this process; the keys idle longest are forgotten (their buckets are full again)."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_minute = per_minute
        self._clock = clock
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()

    async def take(self, key: str) -> float:
        taken = take_token(self._buckets.get(key), self._clock(), self._per_minute)
        self._buckets[key] = taken.bucket
        self._buckets.move_to_end(key)
        if len(self._buckets) > _KEYS_KEPT:
            self._buckets.popitem(last=False)
        return taken.wait_seconds

    async def close(self) -> None: ...


class Share(msgspec.Struct):
    """What this process knows of a key: how many requests it let through untold, of how many it may."""

    free: int = 0
    untold: int = 0
    asked_at: float = float("-inf")

    def let_through(self, now: float) -> bool:
        """Whether one more may pass without asking; counts it."""
        if self.untold >= self.free or now - self.asked_at > UNTOLD_SECONDS:
            return False
        self.untold += 1
        return True

    def take_untold(self, now: float) -> int:
        """What is to be told now; whoever comes meanwhile asks for himself."""
        untold = self.untold if now - self.asked_at < _WINDOW_SECONDS else 0
        self.free = self.untold = 0
        return untold


class TlsFiles(msgspec.Struct, frozen=True):
    """Paths of PEM files; empty: the usual authorities, and no certificate of our own."""

    ca: str = ""
    certificate: str = ""
    key: str = ""


class SharedLimits:
    """A sliding window in Redis for all processes; falls back to `LocalLimits` while Redis does not answer."""

    def __init__(
        self,
        url: str,
        per_minute: int,
        tls_files: TlsFiles = TlsFiles(),  # noqa: B008 - frozen
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        from limits import RateLimitItemPerMinute
        from limits.aio.storage import RedisStorage
        from limits.aio.strategies import SlidingWindowCounterRateLimiter

        files = {"ssl_ca_certs": tls_files.ca, "ssl_certfile": tls_files.certificate, "ssl_keyfile": tls_files.key}
        tls: dict[str, Any] = {name: file for name, file in files.items() if file}
        self._storage = RedisStorage(
            f"async+{url}",
            implementation="redispy",
            # like every key of docfleet, so that one rule of an ACL allows them all
            key_prefix="docfleet:limits",
            socket_timeout=0.5,
            socket_connect_timeout=0.5,
            **tls,
        )
        self._strategy = SlidingWindowCounterRateLimiter(self._storage)
        self._item = RateLimitItemPerMinute(per_minute)
        self._may_share = per_minute >= PART
        self._shares: OrderedDict[str, Share] = OrderedDict()
        self._local = LocalLimits(per_minute, clock)
        self._clock = clock
        self._shared_again_at = 0.0

    async def take(self, key: str) -> float:
        now = self._clock()
        if now < self._shared_again_at:
            return await self._local.take(key)
        share = self._share(key)
        if share.let_through(now):
            return 0.0
        try:
            return await self._ask(key, share, now)
        except Exception as error:
            # whatever a Redis client may raise, a request must not fail because it could not be counted
            _log.warning("shared_limits_unreachable", error=error)
            self._shared_again_at = self._clock() + _RETRY_SHARED_SECONDS
            return await self._local.take(key)

    def _share(self, key: str) -> Share:
        share = self._shares.get(key)
        if share is None:
            share = self._shares[key] = Share()
            if len(self._shares) > _KEYS_KEPT:
                self._shares.popitem(last=False)
        return share

    async def _ask(self, key: str, share: Share, now: float) -> float:
        """Tells what was let through, together with this request."""
        untold = share.take_untold(now)
        allowed = await self._strategy.hit(self._item, key, cost=untold + 1)
        if allowed and not self._may_share:
            return 0.0
        stats = await self._strategy.get_window_stats(self._item, key)
        if not allowed:
            share.untold += untold
            share.asked_at = now
            return max(0.1, min(60.0, stats.reset_time - time.time()))
        share.free, share.asked_at = min(MOST_UNTOLD, stats.remaining // PART), self._clock()
        return 0.0

    async def close(self) -> None:
        self._shared_again_at = float("inf")
        bridge: Any = self._storage.bridge
        await bridge.get_connection().aclose()


def make_limits(url: str, per_minute: int, tls_files: TlsFiles = TlsFiles()) -> RequestLimits:  # noqa: B008 - frozen
    """Shared where `url` is one of a single Redis; local otherwise. `tls_files`: for `rediss://`."""
    if url.startswith("rediss://"):
        return SharedLimits(url, per_minute, tls_files)
    if url.startswith("redis://"):
        return SharedLimits(url, per_minute)
    return LocalLimits(per_minute)
