"""Live use of the quotas of cloud engines: what is free, what was refused, what is not called at present."""

from __future__ import annotations

from datetime import UTC, datetime

from pydantic import BaseModel, Field

from docfleet.api.inputs import Parts
from docfleet.api.resource import Resource
from docfleet.api.schemas import example
from docfleet.domain.access import Permission
from docfleet.domain.quota import BreakerNow
from docfleet.engines.documentai.use import Sums
from docfleet.fleet.cloud_quotas import (
    NOTHING_SET_UP,
    BatchPicture,
    EndpointPicture,
    Picture,
    WorkerPicture,
)

quotas = Resource("Fleet")
_SUMS = {
    "requests": 118,
    "pages": 2904,
    "answered": 112,
    "throttled": 3,
    "errors": 1,
    "timeouts": 0,
    "hedges": 2,
    "sent_away": 14,
    "mean_seconds": 4.2,
}
_BREAKER = {"state": "closed", "reason": None, "open_seconds": None, "left_seconds": 0.0, "calls": 116, "failures": 1}
_USE = {"quota": "requests", "limit": 120.0, "used": 118.0, "share": 0.983, "allowed": 117.6, "learnt": None}
_ENDPOINT = {
    "location": "eu",
    "processor": "9f3c1ab2",
    "version": None,
    "type": "OCR_PROCESSOR",
    "project": "acme-documents",
    "host": "eu-documentai.googleapis.com",
    "quotas": [_USE],
    "under_way": 6,
    "paused_seconds": 0.0,
    "slowdowns": 1,
    "minute": _SUMS,
    "hour": _SUMS,
    "waits_for": "requests",
    "breaker": _BREAKER,
    "away": None,
}
_WORKER = {
    "name": "host-1-4711-a1b2c3",
    "region": "local",
    "age_seconds": 1.2,
    "calls": 16,
    "waiting_pages": 45,
    "preparing_pages": 12,
    "in_flight_pages": 90,
}
_BATCH = {
    "location": "eu",
    "asking": 0,
    "running": 2,
    "limit": 5,
    "oldest_seconds": 812.0,
    "sent_pages": 9400,
    "waiting_files": 120,
    "waiting_pages": 1100,
    "waiting_seconds": 31.5,
}


class CallsOut(BaseModel):
    """Calls that workers made in a span of time that ends now."""

    model_config = example(**_SUMS)

    requests: int = Field(description="Sent, hedges among them.")
    pages: int
    answered: int = Field(description="With a document, or with what is wrong with it.")
    throttled: int = Field(description="Answered 429.")
    errors: int
    timeouts: int
    hedges: int = Field(description="Second calls beside one that was late.")
    sent_away: int = Field(description="Times a worker had no leave to call: no quota was left, or the breaker open.")
    mean_seconds: float | None = Field(description="Of one call; null: none ended.")

    @classmethod
    def of(cls, sums: Sums) -> CallsOut:
        return cls(
            requests=sums.requests, pages=sums.pages, answered=sums.answered, throttled=sums.throttled,
            errors=sums.errors, timeouts=sums.timeouts, hedges=sums.hedges, sent_away=sums.sent_away,
            mean_seconds=round(sums.seconds / sums.ended, 3) if sums.ended else None,
        )  # fmt: skip


class QuotaUseOut(BaseModel):
    """One limit of an endpoint: requests or pages a minute, or calls at a time."""

    model_config = example(**_USE)

    quota: str = Field(description="`requests` or `pages` of a minute, or `calls` under way.")
    limit: float | None = Field(description="As it is set; null: none.")
    used: float | None = Field(description="In the last minute, or now; null: nobody tells.")
    share: float | None = Field(description="Of the limit.")
    allowed: float | None = Field(description="What workers let themselves use of it now; null: nobody tells.")
    learnt: float | None = Field(description="Where the service was seen to refuse; null: never below the limit.")


class BreakerOut(BaseModel):
    """Whether an endpoint is called."""

    model_config = example(**_BREAKER)

    state: str = Field(description="`closed` (works), `open` (not called), `half_open` (a few calls try it).")
    reason: str | None = Field(description="Why it opened.")
    open_seconds: float | None = Field(description="Since it opened.")
    left_seconds: float = Field(description="Until it is tried again.")
    calls: int = Field(description="That ended in the last minute.")
    failures: int

    @classmethod
    def of(cls, one: BreakerNow) -> BreakerOut:
        return cls(
            state=one.state, reason=one.reason or None,
            open_seconds=None if one.open_seconds is None else round(one.open_seconds, 1),
            left_seconds=round(one.left_seconds, 1), calls=one.calls, failures=one.failures,
        )  # fmt: skip


class EndpointQuotaOut(BaseModel):
    """A processor in its location, and what it may be asked."""

    model_config = example(**_ENDPOINT)

    location: str
    processor: str
    version: str | None
    type: str
    project: str
    host: str
    quotas: list[QuotaUseOut] = Field(description="Processors of a type share them in a location.")
    under_way: int | None = Field(description="Calls that have not ended; null: nobody tells.")
    paused_seconds: float | None = Field(description="The service asked to be left alone for so long yet.")
    slowdowns: int | None = Field(description="Times a 429 slowed the calls down.")
    minute: CallsOut | None = Field(description="By all cloud workers that tell; null: none does.")
    hour: CallsOut | None = Field(description="The same for the last hour, as far as those workers have run.")
    waits_for: str | None = Field(
        description="Why a worker just had no leave: `requests`, `pages`, `concurrent`, `paused`, `urgent`, `away`."
    )
    breaker: BreakerOut | None
    away: str | None = Field(description="Why nothing is sent there now; null: it is.")

    @classmethod
    def of(cls, one: EndpointPicture) -> EndpointQuotaOut:
        name, _, rest = one.endpoint.name.partition("/processors/")
        processor, _, version = rest.partition("/processorVersions/")
        quota = one.quota
        return cls(
            location=one.endpoint.location, processor=processor, version=version or None, type=one.endpoint.kind,
            project=name.removeprefix("projects/").partition("/")[0], host=one.endpoint.host, quotas=_uses(one),
            under_way=quota.under_way if quota else None,
            paused_seconds=round(quota.paused_seconds, 1) if quota else None,
            slowdowns=quota.slowdowns if quota else None,
            minute=CallsOut.of(one.minute) if one.minute else None, hour=CallsOut.of(one.hour) if one.hour else None,
            waits_for=one.waits_for or None, breaker=BreakerOut.of(one.breaker) if one.breaker else None,
            away=_away(one),
        )  # fmt: skip


def _uses(one: EndpointPicture) -> list[QuotaUseOut]:
    limits, minute, quota = one.limits, one.minute, one.quota
    uses = []
    for name, limit, used in (
        ("requests", limits.requests_per_minute, minute.requests if minute else None),
        ("pages", limits.pages_per_minute, minute.pages if minute else None),
    ):
        if limit is None and name == "pages":
            continue  # only some versions are metered by pages
        known = limit is not None and quota is not None
        learnt = quota is not None and limit is not None and quota.ceiling < 1.0
        uses.append(
            QuotaUseOut(
                quota=name, limit=limit, used=used,
                share=round(used / limit, 4) if used is not None and limit else None,
                allowed=round(limit * quota.factor * (1 - limits.headroom), 2) if known and quota and limit else None,
                learnt=round(limit * quota.ceiling, 2) if learnt and quota and limit else None,
            )
        )  # fmt: skip
    if limits.concurrent is not None:
        used = quota.under_way if quota else None
        uses.append(
            QuotaUseOut(
                quota="calls", limit=limits.concurrent, used=used,
                share=None if used is None else round(used / limits.concurrent, 4), allowed=limits.concurrent,
                learnt=None,
            )
        )  # fmt: skip
    return uses


def _away(one: EndpointPicture) -> str | None:
    if one.barred:
        return f"The service does not let us in there ({one.barred}): see to processor, region and credentials."
    if one.is_away and one.breaker is not None:
        return f"Its breaker is open: {one.breaker.reason}."
    if one.quota is not None and one.quota.paused_seconds > 0:
        return "The service asked for a pause."
    return None


class CloudWorkerOut(BaseModel):
    """A cloud worker that tells."""

    model_config = example(**_WORKER)

    name: str
    region: str
    age_seconds: float = Field(description="Since it told.")
    calls: int = Field(description="It may have under way at a time.")
    waiting_pages: int = Field(description="In its hands, waiting for company in a request, quota or an endpoint.")
    preparing_pages: int
    in_flight_pages: int

    @classmethod
    def of(cls, one: WorkerPicture) -> CloudWorkerOut:
        note = one.note
        return cls(
            name=one.name, region=note.region, age_seconds=round(one.age_seconds, 1), calls=note.calls,
            waiting_pages=note.waiting_pages, preparing_pages=note.preparing_pages,
            in_flight_pages=note.in_flight_pages,
        )  # fmt: skip


class CloudBatchesOut(BaseModel):
    """Batches of one location: jobs of the service that run for hours."""

    model_config = example(**_BATCH)

    location: str
    asking: int = Field(description="To be asked for, or not heard of yet.")
    running: int
    limit: int | None = Field(description="So many may be under way at a time.")
    oldest_seconds: float
    sent_pages: int
    waiting_files: int = Field(description="That wait for a batch.")
    waiting_pages: int
    waiting_seconds: float = Field(description="How long the oldest has.")

    @classmethod
    def of(cls, one: BatchPicture) -> CloudBatchesOut:
        told = one.standing
        return cls(
            location=told.place, asking=told.asking, running=told.running, limit=one.limit,
            oldest_seconds=round(told.oldest_seconds, 1), sent_pages=told.sent_pages,
            waiting_files=told.waiting_files, waiting_pages=told.waiting_pages,
            waiting_seconds=round(told.waiting_seconds, 1),
        )  # fmt: skip


class QuotasOut(BaseModel):
    """What is free of the quotas of the cloud engine, and what became of the calls."""

    model_config = example(
        at="2026-03-14T09:26:53.589000Z", engine="documentai", counted="together", why=None, items=[_ENDPOINT],
        workers=[_WORKER], batches=[_BATCH],
    )  # fmt: skip

    at: datetime
    engine: str | None = Field(description="null: no cloud engine is set up.")
    counted: str = Field(description="`together` in Redis, or by each worker `alone`.")
    why: str | None = Field(description="What is not known and why; null: everything is.")
    items: list[EndpointQuotaOut]
    workers: list[CloudWorkerOut]
    batches: list[CloudBatchesOut]

    @classmethod
    def of(cls, picture: Picture) -> QuotasOut:
        return cls(
            at=datetime.now(UTC), engine=picture.engine or None, counted="together" if picture.shared else "alone",
            why=picture.why or None, items=[EndpointQuotaOut.of(one) for one in picture.endpoints],
            workers=[CloudWorkerOut.of(one) for one in picture.workers],
            batches=[CloudBatchesOut.of(one) for one in picture.batches],
        )  # fmt: skip


@quotas.route("GET", "/v1/quotas", Permission.READ_FLEET, out=QuotasOut)
def read_quotas(parts: Parts) -> QuotasOut:
    """The quotas of the cloud engine as they are used now, its breakers, refused calls and batches under way.

    Figures of the last minute and hour are those of the cloud workers that tell, half a minute ago at most.
    """
    if parts.quotas is None:
        return QuotasOut.of(Picture("", False, NOTHING_SET_UP))
    return QuotasOut.of(parts.quotas.look())
