"""Documents: submit, look at, wait for, list, cancel, retry, reprioritise, delete."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

import anyio
from fastapi import Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from docfleet.api.inputs import (
    Cursor,
    DocumentId,
    IdempotencyKey,
    LabelChanges,
    Limit,
    Moment,
    Parts,
    Passwords,
    Text,
    Who,
    optional_seconds,
    seconds_of,
)
from docfleet.api.parts import ApiParts
from docfleet.api.resource import Resource
from docfleet.api.schemas import DocumentOut, DocumentsOut, PageOut, PagesOut, moment
from docfleet.api.submitting import SUBMIT_BODY, SUBMIT_PARAMETERS, Answer, submit
from docfleet.domain.access import Permission
from docfleet.domain.urgency import Urgency
from docfleet.domain.work import DOCUMENT_ENDS, DocumentState
from docfleet.errors import (
    BadRequest,
    Conflict,
    Empty,
    Gone,
    IdempotencyMismatch,
    NotFound,
    Overloaded,
    ServiceUnavailable,
    SourceNotAllowed,
    UnsupportedType,
)
from docfleet.ledger.service_values import DocumentFilter, DocumentView
from docfleet.store.passwords import seal_passwords

documents = Resource("Documents")
MAX_WAIT_SECONDS = 60.0


@documents.route(
    "POST",
    "/v1/documents",
    Permission.SUBMIT,
    out=DocumentOut,
    status=202,
    upload=True,
    problems=(
        NotFound, Gone, Conflict, IdempotencyMismatch, Empty, UnsupportedType, SourceNotAllowed, Overloaded,
        ServiceUnavailable,
    ),
    body=SUBMIT_BODY,
    responses={
        202: {
            "headers": {
                "Location": {"description": "Of the document.", "schema": {"type": "string"}},
                "Idempotent-Replayed": {
                    "description": "`true`: this Idempotency-Key was answered before; nothing new was made.",
                    "schema": {"type": "string", "enum": ["true"]},
                },
            }
        }
    },
    parameters=SUBMIT_PARAMETERS,
)  # fmt: skip
async def submit_document(
    request: Request, response: Response, parts: Parts, caller: Who, idempotency_key: IdempotencyKey = None
) -> DocumentOut:
    """Submit a document.

    Three ways: a form with the part `file` and any of the fields; the bytes themselves as the body, with the fields in
    the query; or JSON with a `source_url`. The type is found from the content, whatever the Content-Type says.

    The answer leaves when the bytes are stored and the document is in the ledger: from then on it is not lost. Where
    the same bytes were read before with the same options, `duplicate_of` names that document and its results are
    taken, at once or when they are ready; `reuse=false` refuses this. An archive is refused: unpack it first.
    """
    answer: Answer = await submit(request, parts, caller, idempotency_key or "")
    shown = DocumentOut.of(answer.view, parts.options.public_url)
    response.headers["location"] = shown.url
    if answer.replayed:
        response.headers["idempotent-replayed"] = "true"
    return shown


@documents.route("GET", "/v1/documents", Permission.LIST_DOCUMENTS, out=DocumentsOut, problems=(NotFound,))
def list_documents(
    parts: Parts,
    caller: Who,
    state: Annotated[list[DocumentState] | None, Query(description="May be repeated: any of them.")] = None,
    batch: Annotated[Text | None, Query(description="Id of a batch.")] = None,
    label: Annotated[list[Text] | None, Query(description="`k=v`, repeated: all of them.", max_length=32)] = None,
    name: Annotated[Text, Query(description="Part of the name, in any case.", max_length=500)] = "",
    priority: Annotated[Urgency | None, Query(description="Only of this priority.")] = None,
    code: Annotated[Text, Query(description="Outcome code.", max_length=64)] = "",
    created_after: Annotated[Moment | None, Query(description="Submitted then or later.")] = None,
    created_before: Annotated[Moment | None, Query(description="Submitted before then.")] = None,
    order: Annotated[Literal["newest", "oldest"], Query(description="Which come first.")] = "newest",
    cursor: Cursor = None,
    limit: Limit = 100,
) -> DocumentsOut:
    """List documents, the newest first.

    Pages stay quick however many documents there are: one that filters by more than state, batch or a label looks
    through 50,000 documents at most, and may then be short or empty with a `next_cursor` that goes on.
    """
    chosen = DocumentFilter(
        states=tuple(state or ()),
        batch_id=batch,
        labels=labels_of(label or ()),
        name_contains=name,
        urgency=priority,
        code=code,
        created_after=optional_seconds(created_after),
        created_before=optional_seconds(created_before),
        oldest_first=order == "oldest",
    )
    return listed(parts, caller.tenant, chosen, cursor, limit)


def listed(parts: ApiParts, tenant: str, chosen: DocumentFilter, cursor: str | None, limit: int) -> DocumentsOut:
    found = parts.desk.documents(tenant, chosen, cursor, limit)
    base = parts.options.public_url
    items = [DocumentOut.of(view, base) for view in found.items]
    return DocumentsOut(items=items, next_cursor=found.next_cursor, looked_until=moment(found.looked_until))


def labels_of(pairs: Iterable[str]) -> dict[str, str]:
    """From `k=v` to a filter; raises `BadRequest`."""
    labels: dict[str, str] = {}
    for pair in pairs:
        name, divider, value = pair.partition("=")
        if not divider or not name:
            raise BadRequest("A label is written k=v.")
        labels[name] = value
    return labels


@documents.route(
    "GET",
    "/v1/documents/{document_id}",
    Permission.LIST_DOCUMENTS,
    out=DocumentOut,
    problems=(NotFound, Gone, Overloaded),
)
async def read_document(
    request: Request,
    document_id: DocumentId,
    parts: Parts,
    caller: Who,
    wait: Annotated[
        float, Query(ge=0, le=MAX_WAIT_SECONDS, description="Seconds to wait for its end before answering.")
    ] = 0,
) -> DocumentOut:
    """One document; with `wait`, as soon as it has ended."""
    view = await run_in_threadpool(parts.desk.document, caller.tenant, document_id)
    if wait and view.state not in DOCUMENT_ENDS:
        with request.app.state.admission.streaming(caller.tenant):
            view = await _await_end(request, parts, view, wait)
    return DocumentOut.of(view, parts.options.public_url)


async def _await_end(request: Request, parts: ApiParts, view: DocumentView, wait: float) -> DocumentView:
    until = anyio.current_time() + wait
    pause = 0.05
    while view.state not in DOCUMENT_ENDS and (left := until - anyio.current_time()) > 0:
        await anyio.sleep(min(pause, left))
        # quick at first, for short documents; then as often as a stream looks
        pause = min(pause * 1.5, parts.options.poll_seconds)
        if await request.is_disconnected():
            break
        view = await run_in_threadpool(parts.desk.document, view.tenant, view.id)
    return view


@documents.route(
    "GET", "/v1/documents/{document_id}/pages", Permission.LIST_DOCUMENTS, out=PagesOut, problems=(NotFound, Gone)
)
def list_pages(document_id: DocumentId, parts: Parts, caller: Who) -> PagesOut:
    """Its pages, and how each stands: by which engine, why that one, its confidence and price."""
    return PagesOut(items=[PageOut.of(page) for page in parts.desk.pages(caller.tenant, document_id)])


@documents.route(
    "POST",
    "/v1/documents/{document_id}/cancel",
    Permission.CONTROL,
    out=DocumentOut,
    problems=(NotFound, Gone, Conflict),
)
def cancel_document(document_id: DocumentId, parts: Parts, caller: Who) -> DocumentOut:
    """Give a document up. One that has ended stays as it is (409)."""
    view = parts.desk.cancel(caller.tenant, document_id)
    return DocumentOut.of(view, parts.options.public_url)


class RetryIn(BaseModel):
    """Which pages to read again; all that failed when left out."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"pages": [2, 3]}, {}]})

    pages: list[Annotated[int, Field(ge=1, le=10_000_000)]] | None = Field(None, min_length=1, max_length=100_000)
    password: Passwords = ()


@documents.route(
    "POST",
    "/v1/documents/{document_id}/retry",
    Permission.CONTROL,
    out=DocumentOut,
    problems=(NotFound, Gone, Conflict),
)
def retry_document(document_id: DocumentId, parts: Parts, caller: Who, body: RetryIn | None = None) -> DocumentOut:
    """Try a failed, partial or cancelled document again; pages that were read stay read.

    An encrypted document needs its password again: the one it came with was forgotten when it ended.
    """
    sealed = None
    if body is not None and body.password:
        sha256 = parts.desk.document(caller.tenant, document_id).sha256
        sealed = seal_passwords(parts.master_key, body.password, caller.tenant, sha256)
    view = parts.desk.retry(caller.tenant, document_id, body.pages if body else None, sealed)
    parts.on_accepted()
    return DocumentOut.of(view, parts.options.public_url)


class ChangeIn(BaseModel):
    """What is left out stays."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"priority": "critical", "deadline": "2026-03-14T12:00:00Z"}]}
    )

    priority: Urgency | None = None
    deadline: Moment | None = None
    labels: LabelChanges = {}


@documents.route(
    "PATCH", "/v1/documents/{document_id}", Permission.CONTROL, out=DocumentOut, problems=(NotFound, Gone, Conflict)
)
def change_document(document_id: DocumentId, body: ChangeIn, parts: Parts, caller: Who) -> DocumentOut:
    """Change the priority or the deadline of a document that waits, or the labels of any."""
    view = parts.desk.document(caller.tenant, document_id)
    if body.priority is None and body.deadline is None and not body.labels:
        raise BadRequest("Say a priority, a deadline, labels, or several of these.")
    if body.labels:
        view = parts.desk.label(caller.tenant, document_id, body.labels)
    if body.priority is None and body.deadline is None:
        return DocumentOut.of(view, parts.options.public_url)
    deadline = seconds_of(body.deadline) if body.deadline else view.deadline_at
    view = parts.desk.reprioritise(caller.tenant, document_id, body.priority or view.urgency, deadline)
    parts.on_accepted()
    return DocumentOut.of(view, parts.options.public_url)


@documents.route(
    "DELETE", "/v1/documents/{document_id}", Permission.DELETE, status=204, problems=(NotFound, Gone, Conflict)
)
def delete_document(document_id: DocumentId, parts: Parts, caller: Who) -> None:
    """Delete a document that has ended, with its results.

    Its bytes can be read no more from this moment (their key is destroyed) unless another document of yours shares
    them; that one keeps everything. The history of what was done stays, without name and labels.
    """
    parts.desk.delete(caller.tenant, document_id)
