"""Chance that is the same each time: the n-th call of a location always draws the same numbers under one seed."""

from __future__ import annotations

from hashlib import blake2b
from math import exp
from statistics import NormalDist

from docfleet.documentai_server.emulation.plan import LatencyRule

_NORMAL = NormalDist()


def draw(seed: int, location: str, number: int, purpose: str) -> float:
    """Evenly in [0, 1)."""
    digest = blake2b(f"{seed}/{location}/{number}/{purpose}".encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 11) / float(1 << 53)


def latency(rule: LatencyRule, pages: int, seed: int, location: str, number: int) -> float:
    """Seconds the answer to this call takes."""
    seconds = rule.fixed_seconds + rule.page_seconds * pages
    if rule.jitter:
        seconds *= 1.0 + rule.jitter * (2.0 * draw(seed, location, number, "jitter") - 1.0)
    if rule.sigma:
        # inv_cdf takes neither 0 nor 1
        chance = min(max(draw(seed, location, number, "tail"), 1e-12), 1.0 - 1e-12)
        seconds *= exp(rule.sigma * _NORMAL.inv_cdf(chance))
    return seconds
