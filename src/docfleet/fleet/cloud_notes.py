"""What a cloud worker pins up about itself every few seconds, for the page of quotas."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from docfleet.domain.quota import BreakerNow, QuotaKey, QuotaLimits, QuotaNow
from docfleet.engines.documentai.calls import Endpoint
from docfleet.engines.documentai.use import EndpointUse
from docfleet.quota.looking import Looks


class EndpointNote(msgspec.Struct, frozen=True):
    use: EndpointUse
    limits: QuotaLimits
    barred: str = ""
    """Code of why this worker leaves it out for a while: it is not set up there."""
    quota: QuotaNow | None = None
    """As this worker counts by itself; None: all count together in Redis."""
    breaker: BreakerNow | None = None


class WorkerNote(msgspec.Struct, frozen=True):
    engine: str
    region: str
    calls: int
    """Calls it may have under way at a time."""
    waiting_pages: int
    """Claimed and ready, waiting for company, quota or an endpoint."""
    preparing_pages: int
    in_flight_pages: int
    endpoints: tuple[EndpointNote, ...]


def endpoint_notes(
    known: Sequence[tuple[Endpoint, QuotaLimits]],
    used: Sequence[EndpointUse],
    barred: dict[str, str],
    looks: Looks | None,
) -> tuple[EndpointNote, ...]:
    """Of every endpoint there is, called or not. `looks`: None where the state is shared, and everybody sees it."""
    uses = {one.endpoint.name: one for one in used}
    keys: list[QuotaKey] = [endpoint.quota for endpoint, _ in known]
    look = looks.look(keys, [endpoint.breaker for endpoint, _ in known]) if looks is not None else None
    return tuple(
        EndpointNote(
            uses.get(endpoint.name, EndpointUse(endpoint)),
            limits,
            barred.get(endpoint.name, ""),
            look.quotas[endpoint.quota] if look is not None else None,
            look.breakers[endpoint.breaker] if look is not None else None,
        )
        for endpoint, limits in known
    )
