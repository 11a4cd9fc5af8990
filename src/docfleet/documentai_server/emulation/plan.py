"""What an emulation plays: read from TOML or JSON, checked, and then only values.

    seed = 7
    retry_info = true                  # false: as Document AI is known to answer; a number: seconds to tell

    [[quotas]]
    location = "us"                    # "*" or left out: every one of them, each with a count of its own
    requests_per_minute = 12
    burst_seconds = 1

    [[latencies]]
    fixed_seconds = 2.0
    page_seconds = 0.8

    [[outages]]
    location = "eu"
    kind = "unavailable"               # or "refuse", "hang"
    from_seconds = 300

Of each list the first entry that fits a call counts.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Protocol, TypeVar

import msgspec

from docfleet.documentai_server.refusals import Code
from docfleet.errors import UsageError

ANY = "*"
BATCH = "batch"

Share = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
Seconds = Annotated[float, msgspec.Meta(ge=0.0, le=86_400.0)]
Positive = Annotated[float, msgspec.Meta(gt=0.0)]


class Scope(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Whose calls an entry is about; "*" is everybody."""

    project: str = ANY
    location: str = ANY
    type: str = ANY
    """Of the processor, such as `OCR_PROCESSOR`; `batch` for BatchProcessDocuments, which "*" is not about."""

    def fits(self, project: str, location: str, kind: str) -> bool:
        return self.is_about(project, location) and (self.type == kind or (self.type == ANY and kind != BATCH))

    def is_about(self, project: str, location: str) -> bool:
        """Whether calls of every kind there are meant."""
        return self.project in (ANY, project) and self.location in (ANY, location)


class QuotaRule(Scope, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Every (project, location, type) that fits has a count of its own at this rate."""

    requests_per_minute: Positive | None = None
    pages_per_minute: Positive | None = None
    burst_seconds: Seconds = 60.0
    """A minute's quota may be used up this far ahead of its time; one request always may."""


class LatencyRule(Scope, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An answer takes `fixed_seconds + page_seconds * pages`, times a draw."""

    fixed_seconds: Seconds = 0.0
    page_seconds: Seconds = 0.0
    jitter: Share = 0.0
    """The draw is even between 1 - jitter and 1 + jitter."""
    sigma: Annotated[float, msgspec.Meta(ge=0.0, le=3.0)] = 0.0
    """And lognormal with median 1 and this deviation of its logarithm: a long tail."""


class ErrorRule(Scope, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A share of the calls is answered with this status."""

    rate: Share
    code: str = "UNAVAILABLE"
    """Name of a gRPC status."""
    message: str = ""
    """Empty: what the service is known to say."""
    after_seconds: Seconds = 0.0


class OutageKind(StrEnum):
    UNAVAILABLE = "unavailable"
    """Every call is answered UNAVAILABLE at once."""
    REFUSE = "refuse"
    """The connection is closed: UNAVAILABLE to a gRPC client; REST has sent the head of an answer by then."""
    HANG = "hang"
    """No answer until the client gives up."""


class OutageRule(Scope, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A location is gone between two times, counted from when the plan came into force."""

    kind: OutageKind = OutageKind.UNAVAILABLE
    """With no type named, batches and requests that are no processing get no answer either."""
    from_seconds: Seconds = 0.0
    to_seconds: Seconds | None = None


class DripRule(Scope, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A share of the answers comes at this many bytes a second (gRPC: is late by as much, since it sends no parts)."""

    rate: Share
    bytes_per_second: Positive = 1_000.0


class CutRule(Scope, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A share of the answers breaks off after so many bytes (gRPC: the call is aborted)."""

    rate: Share
    after_bytes: Annotated[int, msgspec.Meta(ge=0)] = 1_000


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All of it; empty: nothing is played."""

    seed: int = 0
    retry_info: bool | float = False
    """Whether a 429 tells when to come back: true, the truth; a number, that many seconds."""
    concurrent_batches: Annotated[int, msgspec.Meta(ge=0)] | None = None
    """BatchProcessDocuments at work per project and location; None: as many as the service allows."""
    batch_waiting_seconds: Seconds = 0.0
    """How long a batch stays WAITING before it runs."""
    polls_per_minute: Positive | None = None
    """GetOperation and other requests that are no processing, per project."""
    quotas: tuple[QuotaRule, ...] = ()
    latencies: tuple[LatencyRule, ...] = ()
    errors: tuple[ErrorRule, ...] = ()
    outages: tuple[OutageRule, ...] = ()
    drips: tuple[DripRule, ...] = ()
    cuts: tuple[CutRule, ...] = ()


class _Scoped(Protocol):
    def fits(self, project: str, location: str, kind: str) -> bool: ...


R = TypeVar("R", bound=_Scoped)


def fitting(rules: Iterable[R], project: str, location: str, kind: str) -> R | None:
    """The first of the rules that is about such a call."""
    return next((rule for rule in rules if rule.fits(project, location, kind)), None)


def plan_from_toml(text: str) -> Plan:
    """Raises `UsageError` that says what is wrong, and where."""
    try:
        return _checked(msgspec.convert(tomllib.loads(text), Plan, strict=True))
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise UsageError(f"The emulation plan cannot be read: {error}") from error


def plan_from_json(data: bytes) -> Plan:
    """Raises `UsageError` that says what is wrong, and where."""
    try:
        return _checked(msgspec.json.decode(data, type=Plan))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"The emulation plan cannot be read: {error}") from error


def plan_from_file(path: Path) -> Plan:
    """TOML, or JSON by its name. Raises `UsageError`."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"The emulation plan {path} cannot be read: {error.strerror}") from error
    try:
        return plan_from_json(data) if path.suffix == ".json" else plan_from_toml(data.decode())
    except UnicodeDecodeError as error:
        raise UsageError(f"The emulation plan {path} is not UTF-8.") from error


def _checked(plan: Plan) -> Plan:
    for rule in plan.errors:
        if rule.code not in Code.__members__ or rule.code == Code.OK.name:
            raise UsageError(f"The emulation plan names a status that gRPC does not have: {rule.code}")
    for outage in plan.outages:
        if outage.to_seconds is not None and outage.to_seconds <= outage.from_seconds:
            raise UsageError("The emulation plan has an outage that ends before it begins.")
    if not isinstance(plan.retry_info, bool) and plan.retry_info < 0.0:
        raise UsageError("The emulation plan tells a retry_info below 0.")
    return plan
