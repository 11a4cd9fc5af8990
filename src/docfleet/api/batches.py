"""Batches: documents that were submitted together."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Response
from pydantic import BaseModel, ConfigDict, Field

from docfleet.api.documents import labels_of, listed
from docfleet.api.inputs import BatchId, Cursor, IdempotencyKey, Labels, Limit, Parts, Text, Who
from docfleet.api.resource import Resource
from docfleet.api.schemas import BatchesOut, BatchOut, CountOut, DocumentsOut
from docfleet.domain.access import Permission
from docfleet.domain.work import DocumentState
from docfleet.errors import Conflict, Gone, IdempotencyMismatch, NotFound
from docfleet.ledger.service_values import DocumentFilter

batches = Resource("Batches")


class BatchIn(BaseModel):
    """A batch is open until it is sealed."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"name": "March invoices", "labels": {"month": "2026-03"}}]}
    )

    name: Annotated[Text, Field(max_length=200)] = ""
    labels: Labels = {}


@batches.route("POST", "/v1/batches", Permission.SUBMIT, out=BatchOut, status=201, problems=(IdempotencyMismatch,))
def open_batch(
    body: BatchIn, response: Response, parts: Parts, caller: Who, idempotency_key: IdempotencyKey = None
) -> BatchOut:
    """Open a batch. Submit documents into it with the field `batch`, then seal it."""
    view = parts.desk.open_batch(caller.tenant, body.name, body.labels, caller.key_id, idempotency_key or "")
    shown = BatchOut.of(view, parts.options.public_url)
    response.headers["location"] = shown.url
    return shown


@batches.route("GET", "/v1/batches", Permission.LIST_DOCUMENTS, out=BatchesOut)
def list_batches(
    parts: Parts,
    caller: Who,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> BatchesOut:
    """List batches, the newest first."""
    found = parts.desk.batches(caller.tenant, cursor, limit)
    base = parts.options.public_url
    return BatchesOut(items=[BatchOut.of(view, base) for view in found.items], next_cursor=found.next_cursor)


@batches.route("GET", "/v1/batches/{batch_id}", Permission.LIST_DOCUMENTS, out=BatchOut, problems=(NotFound, Gone))
def read_batch(batch_id: BatchId, parts: Parts, caller: Who) -> BatchOut:
    """One batch, and how many of its documents are in which state."""
    return BatchOut.of(parts.desk.batch(caller.tenant, batch_id), parts.options.public_url)


@batches.route(
    "GET", "/v1/batches/{batch_id}/documents", Permission.LIST_DOCUMENTS, out=DocumentsOut, problems=(NotFound, Gone)
)
def list_batch_documents(
    batch_id: BatchId,
    parts: Parts,
    caller: Who,
    state: Annotated[list[DocumentState] | None, Query(description="May be repeated: any of them.")] = None,
    label: Annotated[list[Text] | None, Query(description="`k=v`, repeated: all of them.", max_length=32)] = None,
    code: Annotated[Text, Query(description="Outcome code.", max_length=64)] = "",
    cursor: Cursor = None,
    limit: Limit = 100,
) -> DocumentsOut:
    """The documents of a batch, the newest first."""
    parts.desk.batch(caller.tenant, batch_id)
    chosen = DocumentFilter(states=tuple(state or ()), batch_id=batch_id, labels=labels_of(label or ()), code=code)
    return listed(parts, caller.tenant, chosen, cursor, limit)


@batches.route(
    "POST", "/v1/batches/{batch_id}/seal", Permission.SUBMIT, out=BatchOut, problems=(NotFound, Gone, Conflict)
)
def seal_batch(batch_id: BatchId, parts: Parts, caller: Who) -> BatchOut:
    """No more documents: it is finished when its last document has ended. Doing it again changes nothing."""
    return BatchOut.of(parts.desk.seal_batch(caller.tenant, batch_id), parts.options.public_url)


@batches.route(
    "POST", "/v1/batches/{batch_id}/cancel", Permission.CONTROL, out=CountOut, problems=(NotFound, Gone, Conflict)
)
def cancel_batch(batch_id: BatchId, parts: Parts, caller: Who) -> CountOut:
    """Give up every document of the batch that has not ended; answers how many."""
    return CountOut(count=parts.desk.cancel_batch(caller.tenant, batch_id))
