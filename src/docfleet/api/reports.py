"""Reports as PDF: of a document, of a batch, of a month; made when asked for, the monthly ones also kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Path, Query
from msgspec.structs import replace
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from starlette.responses import Response, StreamingResponse

from docfleet.api.inputs import BatchId, Cursor, DocumentId, Limit, Parts, Who, known_form
from docfleet.api.parts import office_of
from docfleet.api.ranges import content_disposition
from docfleet.api.resource import Resource
from docfleet.api.schemas import example, moment
from docfleet.domain.access import Permission
from docfleet.errors import BadRequest, Gone, NotFound, ReportFailed, ServiceUnavailable
from docfleet.ledger.report_values import ReportView
from docfleet.reports.gathering import MonthTerms

reports = Resource("Reports")
_REPORT: dict[str, Any] = {
    "id": "0197c6a2d3417b4c9d5e6f7081920a1b",
    "kind": "month",
    "period": "2026-02",
    "complete": True,
    "state": "ready",
    "made_at": "2026-03-01T06:00:21.589000Z",
    "made_by": None,
    "size_bytes": 119052,
    "sha256": "5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef",
    "failures": 0,
    "next_try_at": None,
    "message": None,
    "url": "/v1/reports/0197c6a2d3417b4c9d5e6f7081920a1b/file",
}
PDF = "application/pdf"
_PDF: dict[int | str, dict[str, Any]] = {
    200: {"description": "The PDF.", "content": {PDF: {"schema": {"type": "string", "format": "binary"}}}}
}
_MADE = (ReportFailed, ServiceUnavailable)
ReportId = Annotated[str, Path(description="Id of a report."), AfterValidator(known_form)]
Month = Annotated[str, Field(pattern=r"^\d{4}-\d{2}$")]
MOST_USD = 1e12
MOST_MINUTES = 10_000.0
Dollars = Annotated[float | None, Query(ge=0, le=MOST_USD, allow_inf_nan=False)]


class ReportOut(BaseModel):
    """A report that is kept, or could not be made yet."""

    model_config = example(**_REPORT)

    id: str
    kind: Literal["month"]
    period: str
    complete: bool = Field(description="The period was over when it was made.")
    state: Literal["ready", "failed"] = Field(description="`failed`: never made yet; it is tried again.")
    made_at: datetime | None
    made_by: str | None = Field(description="Id of the key; null: by the schedule.")
    size_bytes: int
    sha256: str | None = Field(description="Of the PDF.")
    failures: int = Field(description="Tries that failed since it was last made.")
    next_try_at: datetime | None
    message: str | None = Field(description="Why the last try failed.")
    url: str | None = Field(description="Of the PDF.")

    @classmethod
    def of(cls, view: ReportView, base: str) -> ReportOut:
        is_made = view.made_at is not None
        return cls(
            id=view.id, kind=view.kind.value, period=view.period, complete=view.complete,
            state="ready" if is_made else "failed", made_at=moment(view.made_at), made_by=view.made_by or None,
            size_bytes=view.size_bytes, sha256=view.sha256 or None, failures=view.failures,
            next_try_at=moment(view.next_try_at), message=view.message or None,
            url=f"{base}/v1/reports/{view.id}/file" if is_made else None,
        )  # fmt: skip


class ReportsOut(BaseModel):
    model_config = example(items=[_REPORT], next_cursor=None)

    items: list[ReportOut]
    next_cursor: str | None = None


class AssumptionsIn(BaseModel):
    """What the ledger cannot know. What is left out is assumed as the service is set."""

    model_config = ConfigDict(extra="forbid")

    by_hand_usd_per_document: float | None = Field(None, ge=0, le=MOST_USD, allow_inf_nan=False)
    by_hand_minutes_per_page: float | None = Field(None, ge=0, le=MOST_MINUTES, allow_inf_nan=False)
    by_hand_usd_per_hour: float | None = Field(None, ge=0, le=MOST_USD, allow_inf_nan=False)
    investment_usd: float | None = Field(None, ge=0, le=MOST_USD, allow_inf_nan=False)


class ReportIn(BaseModel):
    """What to report on. It takes the place of the one that was made before."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"kind": "month", "period": "2026-02"}]})

    kind: Literal["month"] = "month"
    period: Month = Field(description="As in 2026-11, UTC; a month under way is marked as such.")
    assumptions: AssumptionsIn = Field(
        default_factory=AssumptionsIn, description="For this report; each that is given is named in it."
    )


@reports.route(
    "GET",
    "/v1/reports/month",
    Permission.READ_COSTS,
    problems=_MADE,
    responses=_PDF,
    description="Without an assumption the service's setting holds; each that is given is named in the report.",
)
def read_month_report(
    parts: Parts,
    caller: Who,
    month: Annotated[Month, Query(description="As in 2026-11, UTC; one under way is marked as such.")],
    by_hand_usd_per_document: Annotated[
        Dollars, Query(description="What a document costs by hand; 0: no comparison.")
    ] = None,
    by_hand_minutes_per_page: Annotated[
        float | None, Query(ge=0, le=MOST_MINUTES, allow_inf_nan=False, description="Time to type a page by hand.")
    ] = None,
    by_hand_usd_per_hour: Annotated[Dollars, Query(description="What an hour of that costs.")] = None,
    investment_usd: Annotated[Dollars, Query(description="Spent once, to be earned back.")] = None,
) -> Response:
    """Make the monthly report for management, as a PDF.

    Volume, availability and latency against the objectives, cost against the target and against work by hand, savings,
    capacity, incidents. It is not kept.
    """
    asked = {
        "by_hand_usd_per_document": by_hand_usd_per_document,
        "by_hand_minutes_per_page": by_hand_minutes_per_page,
        "by_hand_usd_per_hour": by_hand_usd_per_hour,
        "investment_usd": investment_usd,
    }
    office = office_of(parts)
    terms = _assuming(office.terms, asked)
    return _pdf(office.month(caller.tenant, month, terms), f"docfleet-{month}.pdf")


def _assuming(terms: MonthTerms, given: Mapping[str, float | None]) -> MonthTerms:
    """A price of a document that is asked for comes before minutes that are set. Raises BadRequest for minutes of work
    by hand without a price of an hour, or the other way round, where none is set: the comparison would leave them out.
    """
    asked = {name: value for name, value in given.items() if value is not None}
    if "by_hand_usd_per_document" in asked and not asked.keys() & {"by_hand_minutes_per_page", "by_hand_usd_per_hour"}:
        asked = asked | {"by_hand_minutes_per_page": 0.0, "by_hand_usd_per_hour": 0.0}
    made = replace(terms.assumptions, asked=tuple(asked), **asked)
    by_page = (made.by_hand_minutes_per_page, made.by_hand_usd_per_hour)
    if any(by_page) and not all(by_page) and asked.keys() & {"by_hand_minutes_per_page", "by_hand_usd_per_hour"}:
        raise BadRequest("Work by hand by the page needs both: minutes a page, and what an hour costs.")
    return replace(terms, assumptions=made)


@reports.route("GET", "/v1/reports", Permission.READ_COSTS, out=ReportsOut)
def list_reports(parts: Parts, caller: Who, cursor: Cursor = None, limit: Limit = 100) -> ReportsOut:
    """List the reports that are kept, the newest month first."""
    found = office_of(parts).reports.listing(caller.tenant, cursor, limit)
    base = parts.options.public_url
    return ReportsOut(items=[ReportOut.of(view, base) for view in found.items], next_cursor=found.next_cursor)


@reports.route("POST", "/v1/reports", Permission.READ_COSTS, out=ReportOut, status=201, problems=_MADE)
def make_report(body: ReportIn, parts: Parts, caller: Who) -> ReportOut:
    """Make a report and keep it, in place of the one that was made before; webhooks get `report.ready`."""
    office = office_of(parts)
    terms = _assuming(office.terms, body.assumptions.model_dump())
    view = office.make_month(caller.tenant, body.period, caller.key_id, terms=terms)
    return ReportOut.of(view, parts.options.public_url)


@reports.route("GET", "/v1/reports/{report_id}", Permission.READ_COSTS, out=ReportOut, problems=(NotFound,))
def read_report(report_id: ReportId, parts: Parts, caller: Who) -> ReportOut:
    """One report that is kept."""
    return ReportOut.of(office_of(parts).reports.report(caller.tenant, report_id), parts.options.public_url)


@reports.route(
    "GET",
    "/v1/reports/{report_id}/file",
    Permission.READ_COSTS,
    problems=(NotFound, ServiceUnavailable),
    responses=_PDF,
)
def read_report_file(report_id: ReportId, parts: Parts, caller: Who) -> Response:
    """The PDF of a report that is kept."""
    view, chunks = office_of(parts).read(caller.tenant, report_id)
    headers = _headers(f"docfleet-{view.period}.pdf") | {
        "content-length": str(view.size_bytes),
        "etag": f'"{view.sha256}"',
    }
    first = next(chunks, b"")
    return StreamingResponse(_then(first, chunks), 200, headers, PDF)


def _then(first: bytes, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """What fails in the store at once is told with a status, and not with a broken answer."""
    yield first
    yield from chunks


@reports.route(
    "GET",
    "/v1/batches/{batch_id}/report",
    Permission.LIST_DOCUMENTS,
    problems=(NotFound, Gone, *_MADE),
    responses=_PDF,
)
def read_batch_report(batch_id: BatchId, parts: Parts, caller: Who) -> Response:
    """Make the report on a batch, as a PDF; of one that has not ended, as it stands."""
    return _pdf(office_of(parts).batch(caller.tenant, batch_id), f"batch-{batch_id[:12]}.pdf")


@reports.route(
    "GET",
    "/v1/documents/{document_id}/report",
    Permission.LIST_DOCUMENTS,
    problems=(NotFound, Gone, *_MADE),
    responses=_PDF,
)
def read_document_report(document_id: DocumentId, parts: Parts, caller: Who) -> Response:
    """Make the report on a document, as a PDF: outcome, pages, history, hashes. One that has not ended, as it stands.

    The fields that were found are in it for keys that may read results.
    """
    pdf = office_of(parts).document(caller.tenant, document_id, with_content=caller.may(Permission.READ_RESULTS))
    return _pdf(pdf, f"document-{document_id[:12]}.pdf")


def _pdf(content: bytes, name: str) -> Response:
    return Response(content, headers=_headers(name), media_type=PDF)


def _headers(name: str) -> dict[str, str]:
    return {
        "content-disposition": content_disposition(name),
        "cache-control": "private, no-store",
        "x-content-type-options": "nosniff",
        "content-security-policy": "default-src 'none'; sandbox",
    }
