"""What goes out about documents and batches, as JSON. Times are RFC 3339 in UTC; money is US dollars."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field

from docfleet.domain.urgency import Urgency
from docfleet.domain.work import DocumentState
from docfleet.errors import EngineUnavailable, document_error_codes
from docfleet.ledger.service_values import BatchView, DocumentView, EventView, PageView, ReadingOptions, ResultFile

DOCUMENT_ID = "0197c6a2f1e37b4c9d5e6f70"
BATCH_ID = "0197c6a2c0de7a11b2c3d4e5"
_SHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
_NOW = "2026-03-14T09:26:53.589000Z"
_REMEDIES = {code: error.remedy for code, error in document_error_codes().items()}
_REMEDIES[EngineUnavailable.code] = EngineUnavailable.remedy


def moment(seconds: float | None) -> datetime | None:
    """Seconds since 1970 as a time in UTC."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def example(**values: Any) -> ConfigDict:
    return ConfigDict(json_schema_extra={"examples": [values]}, extra="forbid")


class Problem(BaseModel):
    """RFC 9457 problem. `code` is stable; `detail` and `remedy` are sentences for a person."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "/docs/reference/outcome-codes#not_found",
                    "title": "There is nothing under this id",
                    "status": 404,
                    "detail": "There is nothing under this id.",
                    "instance": "urn:docfleet:request:5f1c0d5e8b1a4c6f",
                    "code": "not_found",
                    "remedy": "Check the id; a key sees what belongs to its own tenant only.",
                }
            ]
        }
    )

    type: str
    title: str
    status: int
    code: str
    detail: str = ""
    instance: str = ""
    remedy: str = ""
    errors: list[dict[str, str]] = Field(default=[], description="Each thing that was wrong: where, and what.")


class OptionsOut(BaseModel):
    """How the document is read."""

    model_config = example(
        formats=["json", "md", "txt", "pdf"], languages=["en"], mode="auto", engine="rapidocr", features=["tables"]
    )

    formats: list[str]
    languages: list[str]
    mode: str
    engine: str
    features: list[str] = Field(description="What is looked for beside the text.")

    @classmethod
    def of(cls, options: ReadingOptions) -> OptionsOut:
        return cls(
            formats=list(options.formats),
            languages=list(options.languages),
            mode=options.mode,
            engine=options.engine,
            features=list(options.features),
        )


class PageCounts(BaseModel):
    """`total` is known once the document is planned; while it runs the others are so far."""

    model_config = example(total=3, read=3, failed=0)

    total: int | None
    read: int
    failed: int


_RESULT = {
    "format": "json",
    "path": "document.json",
    "media_type": "application/json",
    "size_bytes": 48213,
    "sha256": _SHA256,
    "url": f"/v1/documents/{DOCUMENT_ID}/results/json/document.json",
}


class ResultOut(BaseModel):
    """One written result and where to get it."""

    model_config = example(**_RESULT)

    format: str
    path: str
    media_type: str
    size_bytes: int
    sha256: str = Field(description="Of the bytes; the ETag.")
    url: str

    @classmethod
    def of(cls, document_id: str, file: ResultFile, base: str) -> ResultOut:
        return cls(
            format=file.format, path=file.path, media_type=file.media_type, size_bytes=file.size_bytes,
            sha256=file.sha256, url=f"{base}/v1/documents/{document_id}/results/{file.format}/{quote(file.path)}",
        )  # fmt: skip


class ResultsOut(BaseModel):
    model_config = example(items=[_RESULT])

    items: list[ResultOut]


_DOCUMENT = {
    "id": DOCUMENT_ID,
    "name": "invoice-01.pdf",
    "state": "succeeded",
    "batch_id": None,
    "media_type": "application/pdf",
    "size_bytes": 82344,
    "sha256": _SHA256,
    "priority": "normal",
    "pool": "pdf",
    "labels": {"customer": "4711"},
    "options": {
        "formats": ["json", "md"],
        "languages": [],
        "mode": "auto",
        "engine": "rapidocr",
        "features": ["tables"],
    },
    "deadline": None,
    "duplicate_of": None,
    "pages": {"total": 1, "read": 1, "failed": 0},
    "engines": {"text": 1},
    "confidence": 0.98,
    "cost_usd": 0.0,
    "work_seconds": 0.21,
    "code": None,
    "message": None,
    "detail": None,
    "remedy": None,
    "round": 1,
    "created_at": _NOW,
    "started_at": _NOW,
    "finished_at": _NOW,
    "submitted_by": "k3yid",
    "results": [_RESULT],
    "url": f"/v1/documents/{DOCUMENT_ID}",
}


class DocumentOut(BaseModel):
    """A document and how it stands."""

    model_config = example(**_DOCUMENT)

    id: str
    name: str
    state: DocumentState
    batch_id: str | None
    media_type: str
    size_bytes: int
    sha256: str
    priority: Urgency
    pool: str
    labels: dict[str, str]
    options: OptionsOut
    deadline: datetime | None
    duplicate_of: str | None = Field(description="The earlier document whose results were taken, or are waited for.")
    pages: PageCounts
    engines: dict[str, int] = Field(description="Engine -> pages read by it.")
    confidence: float | None = Field(description="Mean over the pages read, 0 to 1.")
    cost_usd: float
    work_seconds: float
    code: str | None = Field(description="Why it is not `succeeded`; see the reference of outcome codes.")
    message: str | None
    detail: str | None
    remedy: str | None
    round: int = Field(description="Counts how often it was started, from 1.")
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    submitted_by: str | None = Field(description="Id of the API key.")
    results: list[ResultOut]
    url: str

    @classmethod
    def of(cls, view: DocumentView, base: str) -> DocumentOut:
        return cls(
            id=view.id, name=view.name, state=view.state, batch_id=view.batch_id, media_type=view.media_type,
            size_bytes=view.size_bytes, sha256=view.sha256, priority=view.urgency, pool=view.pool,
            labels=view.labels, options=OptionsOut.of(view.options), deadline=moment(view.deadline_at),
            duplicate_of=view.duplicate_of or None,
            pages=PageCounts(total=view.pages, read=view.pages_read, failed=view.pages_failed),
            engines=view.engines, confidence=view.confidence, cost_usd=view.cost_usd,
            work_seconds=view.work_seconds, code=view.code or None, message=view.message or None,
            detail=view.detail or None, remedy=_REMEDIES.get(view.code) or None, round=view.round,
            created_at=_moment(view.created_at), started_at=moment(view.started_at),
            finished_at=moment(view.finished_at), submitted_by=view.submitted_by or None,
            results=[ResultOut.of(view.id, file, base) for file in view.results],
            url=f"{base}/v1/documents/{view.id}",
        )  # fmt: skip


class DocumentsOut(BaseModel):
    """One page of a listing. It may hold fewer than `limit`, even none, while there is a `next_cursor`."""

    model_config = example(items=[_DOCUMENT], next_cursor=None, looked_until=None)

    items: list[DocumentOut]
    next_cursor: str | None = Field(description="Pass it as `cursor` for the next page; null at the end.")
    looked_until: datetime | None = Field(
        None,
        description="Set where the page ended before it was full: it looked through 50,000 documents, the last of them "
        "submitted then; `next_cursor` goes on from there.",
    )


_PAGE = {
    "number": 1,
    "state": "read",
    "engine": "text",
    "reason": "sound",
    "detail": None,
    "confidence": 0.98,
    "cost_usd": 0.0,
    "seconds": 0.05,
    "quality": 0.97,
}


class PageOut(BaseModel):
    """One page and how it stands."""

    model_config = example(**_PAGE)

    number: int
    state: str = Field(description='"waiting", "running", "read", or the code it failed with.')
    engine: str | None
    reason: str | None = Field(description="Why this engine.")
    detail: str | None
    confidence: float | None
    cost_usd: float
    seconds: float
    quality: float | None

    @classmethod
    def of(cls, page: PageView) -> PageOut:
        return cls(
            number=page.number, state=page.state, engine=page.engine or None, reason=page.reason or None,
            detail=page.detail or None, confidence=page.confidence, cost_usd=page.cost_usd,
            seconds=page.seconds, quality=page.quality,
        )  # fmt: skip


class PagesOut(BaseModel):
    model_config = example(items=[_PAGE])

    items: list[PageOut]


_BATCH = {
    "id": BATCH_ID,
    "name": "March invoices",
    "labels": {"month": "2026-03"},
    "created_at": _NOW,
    "sealed_at": _NOW,
    "finished_at": None,
    "documents": {"succeeded": 41, "running": 2},
    "pages": {"total": 120, "read": 117, "failed": 0},
    "url": f"/v1/batches/{BATCH_ID}",
}


class BatchOut(BaseModel):
    """Documents submitted together."""

    model_config = example(**_BATCH)

    id: str
    name: str
    labels: dict[str, str]
    created_at: datetime
    sealed_at: datetime | None = Field(description="No more documents will come.")
    finished_at: datetime | None = Field(description="Sealed, and every document has ended.")
    documents: dict[DocumentState, int] = Field(description="How many are in which state.")
    pages: PageCounts
    url: str

    @classmethod
    def of(cls, view: BatchView, base: str) -> BatchOut:
        return cls(
            id=view.id, name=view.label, labels=view.labels, created_at=_moment(view.created_at),
            sealed_at=moment(view.sealed_at), finished_at=moment(view.finished_at),
            documents={state: count for state, count in view.documents.items() if count},
            pages=PageCounts(total=view.pages, read=view.pages_read, failed=view.pages_failed),
            url=f"{base}/v1/batches/{view.id}",
        )  # fmt: skip


class BatchesOut(BaseModel):
    model_config = example(items=[_BATCH], next_cursor=None)

    items: list[BatchOut]
    next_cursor: str | None


_EVENT: dict[str, Any] = {
    "id": "4711-815",
    "type": "document.succeeded",
    "at": _NOW,
    "document_id": DOCUMENT_ID,
    "slice_id": None,
    "from": "assembling",
    "to": "succeeded",
    "cause": "all 1 pages read",
}


class EventOut(BaseModel):
    """A change of state of a document, or of one of its slices."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EVENT]}, populate_by_name=True)

    id: str = Field(description="Pass it as `Last-Event-ID` (or `after`) to go on behind it.")
    type: str = Field(description='"document." or "slice." and the new state.')
    at: datetime
    document_id: str
    slice_id: int | None
    from_: Annotated[str, Field(alias="from", description="Empty: it was made.")]
    to: str
    cause: str

    @classmethod
    def of(cls, event: EventView) -> EventOut:
        entity = "document" if event.slice_id is None else "slice"
        return cls(
            id=event.cursor, type=f"{entity}.{event.to_state}", at=_moment(event.at), document_id=event.document_id,
            slice_id=event.slice_id, from_=event.from_state, to=event.to_state, cause=event.cause,
        )  # fmt: skip


class EventsOut(BaseModel):
    model_config = example(items=[_EVENT], next_cursor="4711-815")

    items: list[EventOut]
    next_cursor: str | None = Field(description="Pass it as `after` to go on; null when there is nothing yet.")


class CountOut(BaseModel):
    """How many it touched."""

    model_config = example(count=3)

    count: int
