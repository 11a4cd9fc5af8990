"""Quotas and breakers of Document AI as this process sees them, as gauges."""

from __future__ import annotations

from collections.abc import Callable

from docfleet.domain.quota import Breakers, BreakerState
from docfleet.engines.documentai.calls import Endpoint
from docfleet.engines.documentai.endpoints import endpoints_of
from docfleet.engines.documentai.facts import Facts
from docfleet.engines.documentai.options import DocumentAIOptions
from docfleet.engines.documentai.use import ENGINE, Usage
from docfleet.telemetry.catalog import BREAKER_STATE, ENGINE_REQUESTS, QUOTA_LIMIT, QUOTA_USED
from docfleet.telemetry.labels import values_of
from docfleet.telemetry.metrics import Measured, reading

_STATES = {BreakerState.CLOSED: 0.0, BreakerState.HALF_OPEN: 1.0, BreakerState.OPEN: 2.0}


def gauges_of(
    options: DocumentAIOptions, facts: Facts, breakers: Breakers, usage: Usage
) -> Callable[[], list[Measured]]:
    """A source of metrics: limits, use and breakers of every endpoint that is set up."""
    endpoints = [
        one
        for kind in dict.fromkeys(one.type for one in options.processors)
        for one in endpoints_of(options, facts, kind)
    ]
    limits = {(one.breaker, kind_of(one)): facts.quota_limits(one.quota) for one in endpoints}
    names = tuple(dict.fromkeys(one.breaker for one in endpoints))
    outcomes = values_of(ENGINE_REQUESTS, "outcome")

    def read() -> list[Measured]:
        shown = [reading(BREAKER_STATE, _STATES[breakers.state(name)], name) for name in names]
        # the first of its kind is an increase then, and not a series that was not there before
        shown += [reading(ENGINE_REQUESTS, 0.0, ENGINE, name, outcome) for name in names for outcome in outcomes]
        used = _used(usage)
        for (name, kind), limit in limits.items():
            calls, sheets = used.get((name, kind), (0, 0))
            for what, most, use in (
                ("requests", limit.requests_per_minute, calls),
                ("pages", limit.pages_per_minute, sheets),
            ):
                if most is not None:
                    shown += [
                        reading(QUOTA_LIMIT, most, name, f"{kind}/{what}"),
                        reading(QUOTA_USED, use, name, f"{kind}/{what}"),
                    ]
        return shown

    return read


def _used(usage: Usage) -> dict[tuple[str, str], tuple[int, int]]:
    """(requests, pages) of the last minute, of all processors of a kind at an endpoint together."""
    used: dict[tuple[str, str], tuple[int, int]] = {}
    for one in usage.told():
        key = (one.endpoint.breaker, kind_of(one.endpoint))
        calls, pages = used.get(key, (0, 0))
        used[key] = (calls + one.minute.requests, pages + one.minute.pages)
    return used


def kind_of(endpoint: Endpoint) -> str:
    """What its quota is counted by, in lower case."""
    return endpoint.quota.kind.lower()
