"""How quotas and breakers stand, for people to look at: nothing is asked for, taken or changed by it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Protocol

import msgspec

from docfleet.domain.quota import BreakerNow, QuotaKey, QuotaNow
from docfleet.quota.breaker import Breaker, BreakerPolicy
from docfleet.quota.breakers_local import LocalBreakers
from docfleet.quota.keys import allowance_key, breaker_key, calls_key
from docfleet.quota.local import LocalQuota


class Look(msgspec.Struct, frozen=True):
    """Of those that were asked about."""

    quotas: dict[QuotaKey, QuotaNow]
    breakers: dict[str, BreakerNow]


class Looks(Protocol):
    def look(self, keys: Collection[QuotaKey], endpoints: Collection[str]) -> Look:
        """What nobody has used yet is as new. `endpoints`: names of breakers."""
        ...


class LocalLooks:
    """At those of this process alone."""

    def __init__(self, quota: LocalQuota, breakers: LocalBreakers) -> None:
        self._quota = quota
        self._breakers = breakers

    def look(self, keys: Collection[QuotaKey], endpoints: Collection[str]) -> Look:
        return Look(
            {key: self._quota.look(key) for key in keys}, {name: self._breakers.look(name) for name in endpoints}
        )


class SharedLooks:
    """At those of all processes, in one round trip that only reads. `look` raises the errors of the client."""

    def __init__(self, client: Any, policy: BreakerPolicy | None = None) -> None:
        self._client = client
        self._policy = policy or BreakerPolicy()
        self._decoder = msgspec.json.Decoder(Breaker)

    def look(self, keys: Collection[QuotaKey], endpoints: Collection[str]) -> Look:
        asked, named = list(dict.fromkeys(keys)), list(dict.fromkeys(endpoints))
        with self._client.pipeline(transaction=False) as pipeline:
            pipeline.time()
            for key in asked:
                pipeline.hmget(allowance_key(key), "factor", "ceiling", "generation", "paused_until")
                pipeline.zrange(calls_key(key), 0, -1, withscores=True)
            for name in named:
                pipeline.get(breaker_key(name))
            (seconds, micros), *found = pipeline.execute()
        now = int(seconds) + int(micros) / 1e6
        quotas = {key: _quota(found[2 * place], found[2 * place + 1], now) for place, key in enumerate(asked)}
        breakers = found[2 * len(asked) :]
        return Look(quotas, {name: self._breaker(raw, now) for name, raw in zip(named, breakers, strict=True)})

    def _breaker(self, raw: bytes | None, now: float) -> BreakerNow:
        try:
            return self._decoder.decode(raw or b"{}").now(self._policy, now)
        except msgspec.MsgspecError:
            # of another version: whoever calls next begins anew
            return BreakerNow()


def _quota(fields: list[bytes | None], calls: list[tuple[bytes, float]], now: float) -> QuotaNow:
    under_way = sum(until > now for _, until in calls)
    if any(field is None for field in fields):
        return QuotaNow(under_way=under_way)
    factor, ceiling, slowdowns, paused_until = (float(field or 0) for field in fields)
    return QuotaNow(factor, ceiling, int(slowdowns), max(0.0, paused_until - now), under_way)
