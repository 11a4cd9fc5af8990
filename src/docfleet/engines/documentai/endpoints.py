"""Which endpoint a call goes to: where it may go first of all, then what works, has quota left and is fast. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from docfleet.domain.quota import BreakerState
from docfleet.engines.documentai.calls import Endpoint
from docfleet.engines.documentai.facts import Facts
from docfleet.engines.documentai.options import DocumentAIOptions


class Candidate(msgspec.Struct, frozen=True):
    """An endpoint as it is now."""

    endpoint: Endpoint
    breaker: BreakerState = BreakerState.CLOSED
    free: float = 1.0
    """Requests its quota grants now."""
    seconds: float | None = None
    """How long a call takes there; None: not known yet."""
    barred: str = ""
    """Why it is not to be asked at present, beside its breaker."""


class Ranked(msgspec.Struct, frozen=True):
    endpoint: Endpoint
    reason: str


class Ranking(msgspec.Struct, frozen=True):
    """In which order to ask, and who is left out."""

    order: tuple[Ranked, ...]
    left_out: tuple[tuple[str, str], ...]
    """(location, why)."""
    resident: int = 0
    """How many may be asked by the rule of residency, in order or not."""


def endpoints_of(options: DocumentAIOptions, facts: Facts, kind: str) -> tuple[Endpoint, ...]:
    """Every processor of a type, in the order of the options."""
    found = []
    for one in options.of_type(kind):
        project = options.project_of(one)
        name = f"projects/{project}/locations/{one.location}/processors/{one.id}"
        host = options.endpoint.format(location=one.location) if options.endpoint else facts.host(one.location)
        found.append(
            Endpoint(
                host,
                one.location,
                f"{name}/processorVersions/{one.version}" if one.version else name,
                one.type,
                facts.quota_key(project, one.location, one.type, one.version),
                facts.leaves_region(one.version),
            )
        )
    return tuple(found)


def rank(candidates: Sequence[Candidate], allowed: frozenset[str] | None, urgent: bool = False) -> Ranking:
    """The endpoints a call may go to, best first. `allowed`: locations of the rule of residency; None: no rule.

    Residency comes before everything: nothing that breaks it is in the order, whatever else fails. A half-open
    endpoint comes first, so that it is tried again while others work, but for an urgent call last.
    """
    left_out: list[tuple[str, str]] = []
    able: list[tuple[int, Candidate]] = []
    resident = 0
    for position, one in enumerate(candidates):
        if why := _not_allowed(one.endpoint, allowed):
            left_out.append((one.endpoint.location, why))
            continue
        resident += 1
        if one.barred:
            left_out.append((one.endpoint.location, one.barred))
        elif one.breaker is BreakerState.OPEN:
            left_out.append((one.endpoint.location, "its breaker is open"))
        else:
            able.append((position, one))
    fastest = min((one.seconds for _, one in able if one.seconds is not None), default=0.0)
    able.sort(key=lambda pair: _place(pair[1], pair[0], urgent, fastest))
    return Ranking(tuple([Ranked(one.endpoint, _reason(one, able)) for _, one in able]), tuple(left_out), resident)


def _not_allowed(endpoint: Endpoint, allowed: frozenset[str] | None) -> str:
    if allowed is None:
        return ""
    if endpoint.location not in allowed:
        return "the documents may not go there"
    return "its version sends pages out of the location" if endpoint.leaves_region else ""


def _place(one: Candidate, position: int, urgent: bool, fastest: float) -> tuple[int, int, float, int]:
    probing = one.breaker is BreakerState.HALF_OPEN
    first = int(probing) if urgent else int(not probing)
    # one nobody knows yet is given a chance as if it were the fastest
    seconds = fastest if one.seconds is None else one.seconds
    return first, int(one.free < 1.0), seconds, position


def _reason(one: Candidate, able: Sequence[tuple[int, Candidate]]) -> str:
    place = one.endpoint.location
    if one.breaker is BreakerState.HALF_OPEN:
        return f"{place} is tried again after an outage."
    if len(able) == 1:
        return f"{place} is the only location that may be asked now."
    if one.free < 1.0:
        return f"{place} is allowed and works; its quota is used up just now."
    speed = f" and takes {one.seconds:.1f} s" if one.seconds is not None else ""
    return f"{place} is allowed, works, has quota left{speed}."
