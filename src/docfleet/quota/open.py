"""Which quota and which breakers: shared through Redis where there is one, of this process alone where not."""

from __future__ import annotations

from typing import Any

import msgspec

from docfleet.domain.quota import Breakers, Quota, QuotaKey, QuotaLimits
from docfleet.quota.breaker import BreakerPolicy
from docfleet.quota.breakers_local import LocalBreakers
from docfleet.quota.local import LimitsOf, LocalQuota


class QuotaOptions(msgspec.Struct, frozen=True):
    """How quotas are used, whatever they are. The fields of `QuotaLimits` replace those of every key."""

    sharers: int = 4
    """Into how many parts each quota is divided while Redis is away, at least."""
    burst_seconds: float = 1.0
    headroom: float = 0.02
    urgent_share: float = 0.2
    place_seconds: float = 300.0

    def applied(self, limits: QuotaLimits) -> QuotaLimits:
        return msgspec.structs.replace(
            limits,
            burst_seconds=self.burst_seconds,
            headroom=self.headroom,
            urgent_share=self.urgent_share,
            # a batch is under way for hours, whatever a call may take
            place_seconds=max(limits.place_seconds, self.place_seconds),
        )


def open_quota(limits_of: LimitsOf, client: Any | None = None, options: QuotaOptions | None = None) -> Quota:
    """`limits_of`: the limits of each key, now (asked at every call, so they may change); None for `options` takes them
    as they are.

    `client`: a `redis.Redis` that gives up within a second or two and never tries again by itself, or None; it need not
    be connected, nor Redis be there.
    """
    chosen = limits_of if options is None else _with(options, limits_of)
    if client is None:
        return LocalQuota(chosen)
    # loaded where it is used: one machine without Redis has no client for it either
    from docfleet.quota.shared import SharedQuota

    return SharedQuota(client, chosen, (options or QuotaOptions()).sharers)


def _with(options: QuotaOptions, limits_of: LimitsOf) -> LimitsOf:
    def limits(key: QuotaKey) -> QuotaLimits:
        return options.applied(limits_of(key))

    return limits


def open_breakers(client: Any | None = None, policy: BreakerPolicy | None = None) -> Breakers:
    """`client` as in `open_quota`."""
    if client is None:
        return LocalBreakers(policy or BreakerPolicy())
    from docfleet.quota.breakers_shared import SharedBreakers

    return SharedBreakers(client, policy or BreakerPolicy())
