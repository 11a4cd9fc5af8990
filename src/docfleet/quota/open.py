"""Which quota and which breakers: shared through Redis where there is one, of this process alone where not."""

from __future__ import annotations

from typing import Any

from docfleet.domain.quota import Breakers, Quota
from docfleet.quota.breaker import BreakerPolicy
from docfleet.quota.breakers_local import LocalBreakers
from docfleet.quota.local import LimitsOf, LocalQuota


def open_quota(limits_of: LimitsOf, client: Any | None = None, sharers: int = 4) -> Quota:
    """`limits_of`: the limits of each key, now (asked at every call, so they may change).

    `client`: a `redis.Redis` that gives up within a second or two and never tries again by itself, or None; it need not
    be connected, nor Redis be there. `sharers`: into how many parts the quota is divided while Redis is away, at least.
    """
    if client is None:
        return LocalQuota(limits_of)
    # loaded where it is used: one machine without Redis has no client for it either
    from docfleet.quota.shared import SharedQuota

    return SharedQuota(client, limits_of, sharers)


def open_breakers(client: Any | None = None, policy: BreakerPolicy | None = None) -> Breakers:
    """`client` as in `open_quota`."""
    if client is None:
        return LocalBreakers(policy or BreakerPolicy())
    from docfleet.quota.breakers_shared import SharedBreakers

    return SharedBreakers(client, policy or BreakerPolicy())
