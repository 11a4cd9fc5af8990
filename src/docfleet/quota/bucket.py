"""A token bucket: so many a second on average, never more than a burst ahead. Pure; any clock, a virtual one as well.

In any span of t seconds at most `per_second * t + max(capacity, largest amount)` is taken. An amount above the capacity
is granted when the bucket is full and leaves it in debt, so that a small burst never blocks a large request for ever.
"""

from __future__ import annotations

from math import inf

import msgspec

TINY = 1e-9
"""What rounding may take from a token; who has waited as long as told must not be sent away again."""


class TokenBucket(msgspec.Struct, frozen=True):
    """As it was at `at` (seconds of any clock). `level` below 0: a debt."""

    per_second: float
    capacity: float
    level: float
    at: float

    @classmethod
    def full(cls, per_second: float, capacity: float, now: float) -> TokenBucket:
        return cls(per_second, capacity, capacity, now)

    def refilled(self, now: float) -> TokenBucket:
        """As it is at `now`. A clock that went back starts anew from there: nothing is gained, nothing is stuck."""
        level = min(self.capacity, self.level + max(0.0, now - self.at) * self.per_second)
        return TokenBucket(self.per_second, self.capacity, level, now)

    def wait_for(self, amount: float, now: float, keep: float = 0.0) -> float:
        """Seconds until `amount` may be taken and `keep` is left, if nobody else takes any; 0.0: now, inf: never."""
        missing = min(amount + keep, self.capacity) - self.refilled(now).level
        if missing <= TINY:
            return 0.0
        return missing / self.per_second if self.per_second > 0.0 else inf

    def take(self, amount: float, now: float) -> TokenBucket:
        """With `amount` taken, whether or not it was there: ask `wait_for` first."""
        bucket = self.refilled(now)
        return msgspec.structs.replace(bucket, level=bucket.level - amount)

    def give_back(self, amount: float, now: float) -> TokenBucket:
        """With `amount` put back, up to the capacity."""
        bucket = self.refilled(now)
        return msgspec.structs.replace(bucket, level=min(self.capacity, bucket.level + amount))

    def at_rate(self, per_second: float, capacity: float, now: float) -> TokenBucket:
        """With another rate from `now` on; what is in it stays, up to the new capacity."""
        bucket = self.refilled(now)
        return TokenBucket(per_second, capacity, min(capacity, bucket.level), now)
