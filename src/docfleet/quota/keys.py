"""Names of everything in Redis. All begin with `docfleet:`, so that an ACL can keep the fleet to that."""

from __future__ import annotations

from docfleet.domain.quota import QuotaKey

PREFIX = "docfleet:quota:"
MEMBERS = f"{PREFIX}members"
"""Sorted set: who has asked lately, by when that is forgotten."""
BREAKER_PREFIX = "docfleet:breaker:"


def allowance_key(key: QuotaKey) -> str:
    """Hash: the buckets and the pace of one quota."""
    return PREFIX + "/".join(_plain(part) for part in (key.project, key.location, key.kind))


def calls_key(key: QuotaKey) -> str:
    """Sorted set: the calls under way of one quota, by when each counts as ended."""
    return f"{allowance_key(key)}:calls"


def breaker_key(endpoint: str) -> str:
    return f"{BREAKER_PREFIX}{endpoint}"


def _plain(part: str) -> str:
    """So that two different keys never share a name."""
    return part.replace("%", "%25").replace("/", "%2F").replace(":", "%3A")
