"""When a call that is late gets a second one beside it. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from math import ceil

import msgspec

_BOUNDS = (1, 3, 8, 15)
"""Calls of about as many pages are compared with one another: up to 1, 3, 8, 15, more."""


class HedgePolicy(msgspec.Struct, frozen=True):
    percentile: float = 0.95
    min_calls: int = 20
    """Fewer say nothing of what is late."""
    min_seconds: float = 1.0
    min_free: float = 2.0
    """Requests the other endpoint's quota must have left: a hedge takes nobody's turn."""
    remembered: int = 200


class Hedge(msgspec.Struct, frozen=True):
    after_seconds: float | None
    """When to send the second call; None: never."""
    reason: str


def decide(seconds: Sequence[float], urgent: bool, wanted: bool, policy: HedgePolicy = HedgePolicy()) -> Hedge:  # noqa: B008
    """`seconds`: how long calls of this size took lately. `wanted`: the settings and the caller allow it."""
    if not wanted:
        return Hedge(None, "not allowed")
    if not urgent:
        return Hedge(None, "not urgent")
    if len(seconds) < policy.min_calls:
        return Hedge(None, "too few calls to know what is late")
    late = percentile(seconds, policy.percentile)
    return Hedge(max(late, policy.min_seconds), f"p{policy.percentile * 100:.0f} of {len(seconds)} calls")


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest of `values` that a `share` of them does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, min(len(ordered), ceil(share * len(ordered))) - 1)]


class Latencies:
    """How long the last calls took, by endpoint and size. Appending to and copying a deque is safe among threads."""

    def __init__(self, policy: HedgePolicy = HedgePolicy()) -> None:  # noqa: B008
        self._policy = policy
        self._kept: dict[tuple[str, int], deque[float]] = {}

    def add(self, endpoint: str, pages: int, seconds: float) -> None:
        kept = self._kept.setdefault((endpoint, _size(pages)), deque(maxlen=self._policy.remembered))
        kept.append(seconds)

    def of(self, endpoint: str, pages: int) -> list[float]:
        return list(self._kept.get((endpoint, _size(pages)), ()))

    def typical(self, endpoint: str, pages: int) -> float | None:
        """Median of the last calls of this size; None: not known."""
        known = self.of(endpoint, pages)[-20:]
        return percentile(known, 0.5) if known else None


def _size(pages: int) -> int:
    return next((n for n, bound in enumerate(_BOUNDS) if pages <= bound), len(_BOUNDS))
