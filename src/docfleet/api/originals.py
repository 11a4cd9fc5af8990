"""The submitted file itself: sent back as it came, and read again in another way without being sent anew."""

from __future__ import annotations

import hashlib
from typing import Annotated, Literal

import msgspec
from fastapi import Request, Response
from msgspec.structs import replace
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from docfleet.api.fields import SubmissionFields, reading_options
from docfleet.api.inputs import DocumentId, IdempotencyKey, Parts, Passwords, Text, Who
from docfleet.api.resource import Resource
from docfleet.api.schemas import DocumentOut
from docfleet.api.sending import PART_PARAMETERS, PART_RESPONSES, StoredBytes, send_stored
from docfleet.api.tracing import Upload
from docfleet.domain.access import Permission
from docfleet.domain.labels import MAX_LABELS
from docfleet.domain.urgency import Urgency
from docfleet.errors import Conflict, Gone, IdempotencyMismatch, NotFound, Overloaded, ServiceUnavailable
from docfleet.ledger.service_values import DocumentView, ReadingOptions, Submission
from docfleet.store.passwords import seal_passwords

originals = Resource("Results")
AGAIN_LABEL = "read-again-of"
"""Label of a document that reads another's bytes once more: the id of that one."""


@originals.route(
    "GET",
    "/v1/documents/{document_id}/source",
    Permission.READ_RESULTS,
    problems=(NotFound, Gone, ServiceUnavailable),
    responses=PART_RESPONSES,
    parameters=PART_PARAMETERS,
)
async def read_source(request: Request, document_id: DocumentId, parts: Parts, caller: Who) -> Response:
    """Read the file as it was submitted, byte for byte; `Range` as with results.

    It is there from the moment the document is accepted until it is deleted (410 from then on). Encrypted files stay
    encrypted: their passwords are not kept.
    """
    view = await run_in_threadpool(parts.desk.document, caller.tenant, document_id)
    stored = StoredBytes(
        f"contents/{view.content_id}/source", view.name or view.id, view.sha256, view.size_bytes, view.media_type
    )
    return await send_stored(request, parts, view, stored)


class AgainIn(BaseModel):
    """How it is read this time; what is left out is as it was."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"engine": "tesseract", "mode": "ocr"}, {}]}
    )

    engine: Annotated[Text, Field(max_length=64, pattern=r"^[A-Za-z0-9_.-]*$")] | None = None
    mode: Literal["auto", "ocr", "text"] | None = None
    formats: tuple[Text, ...] | None = None
    languages: tuple[Text, ...] | None = None
    features: tuple[Text, ...] | None = None
    priority: Urgency | None = None
    reuse: bool = Field(False, description="Take earlier results of the same bytes and options, where there are any.")
    password: Passwords = ()


@originals.route(
    "POST",
    "/v1/documents/{document_id}/read-again",
    Permission.SUBMIT,
    out=DocumentOut,
    status=202,
    problems=(NotFound, Gone, Conflict, IdempotencyMismatch, Overloaded),
)
def read_again(
    request: Request,
    response: Response,
    document_id: DocumentId,
    parts: Parts,
    caller: Who,
    body: AgainIn | None = None,
    idempotency_key: IdempotencyKey = None,
) -> DocumentOut:
    """Read the same bytes once more, by another engine or otherwise, as a new document; nothing is uploaded.

    The document there is stays as it is. The new one has its name and labels, is labelled `read-again-of` with its
    id, and its first event tells it too. An encrypted document needs its password again.
    """
    said = body or AgainIn.model_validate({})
    request.app.state.admission.check(caller.tenant)
    view = parts.desk.document(caller.tenant, document_id)
    sealed = seal_passwords(parts.master_key, said.password, caller.tenant, view.sha256)
    options = reading_options(_fields(said, view.options), parts.options)
    submission = _submission(view, options, said, caller.key_id, sealed)
    if idempotency_key:
        asked = msgspec.json.encode([view.id, options.key, submission.urgency, said.reuse, sealed is not None])
        digest = hashlib.sha256(asked).hexdigest()
        submission = replace(submission, idempotency_key=idempotency_key, request_digest=digest)
    upload = Upload(request.headers.get("traceparent", ""))
    upload.stored(view.size_bytes, view.media_type)
    accepted = parts.desk.submit(replace(submission, trace=upload.kept())).accepted
    parts.on_accepted()
    made = parts.desk.document(caller.tenant, accepted.document_id)
    if not accepted.replayed:
        upload.accepted(made.id, made.created_at)
    shown = DocumentOut.of(made, parts.options.public_url)
    response.headers["location"] = shown.url
    if accepted.replayed:
        response.headers["idempotent-replayed"] = "true"
    return shown


def _fields(said: AgainIn, was: ReadingOptions) -> SubmissionFields:
    return SubmissionFields(
        engine=was.engine if said.engine is None else said.engine,
        mode=said.mode or was.mode,
        formats=was.formats if said.formats is None else said.formats,
        languages=was.languages if said.languages is None else said.languages,
        features=(was.features or ("none",)) if said.features is None else said.features,
    )


def _submission(
    view: DocumentView, options: ReadingOptions, said: AgainIn, key_id: str, sealed: bytes | None
) -> Submission:
    labels = dict(view.labels)
    if len(labels) < MAX_LABELS or AGAIN_LABEL in labels:
        labels[AGAIN_LABEL] = view.id
    return Submission(
        tenant=view.tenant,
        name=view.name,
        content_id=view.content_id,
        wrapped_key=b"",
        sha256=view.sha256,
        size_bytes=view.size_bytes,
        media_type=view.media_type,
        pool=view.pool,
        urgency=said.priority or view.urgency,
        options=options,
        labels=labels,
        submitted_by=key_id,
        reuse=said.reuse,
        sealed_passwords=sealed,
        again_of=view.id,
    )
