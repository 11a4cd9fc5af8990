"""The way of a submission: admitted, received, stored, put into the ledger, answered."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any, cast
from urllib.parse import unquote, urlsplit

import anyio.to_thread
import msgspec
from fastapi import Request
from starlette.concurrency import run_in_threadpool

from docfleet.api.fields import (
    SourceFields,
    SubmissionFields,
    checked,
    fields_of_pairs,
    reading_options,
    submission_of,
)
from docfleet.api.multipart import Form, file_chunks
from docfleet.api.parts import ApiParts
from docfleet.api.problems import Refusal
from docfleet.api.resource import MAX_JSON_BYTES
from docfleet.api.sources import open_source
from docfleet.api.storing import SourceKeeper
from docfleet.api.tracing import Upload
from docfleet.api.uploads import body_chunks, check_announced_size, receive
from docfleet.domain.access import Caller
from docfleet.errors import BadRequest, PayloadTooLarge, RequestError
from docfleet.ledger.service_values import DocumentView
from docfleet.store.passwords import seal_passwords

PASSWORD_HEADER = "Docfleet-Password"


class Answer(msgspec.Struct, frozen=True):
    view: DocumentView
    replayed: bool


class _Said(msgspec.Struct):
    """What is known of a submission beside its bytes; complete once they have all arrived."""

    fields: Callable[[], SubmissionFields]
    file_name: Callable[[], str]
    passwords: tuple[str, ...] = ()
    """Those of the header."""


async def submit(request: Request, parts: ApiParts, caller: Caller, idempotency_key: str) -> Answer:
    """Raises what the OpenAPI of `POST /v1/documents` lists; then nothing of the submission is left."""
    upload = Upload(request.headers.get("traceparent", ""))
    check_announced_size(request, parts.options)
    if (coding := request.headers.get("content-encoding", "identity").strip().lower()) not in ("", "identity"):
        raise BadRequest(f"The body is not unpacked from Content-Encoding {coding[:50]}: send the bytes as they are.")
    passwords = passwords_of(request)
    state = request.app.state
    with state.admission.uploading(caller.tenant):
        if not state.admission.check_known(caller.tenant):
            await run_in_threadpool(state.admission.check, caller.tenant)
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        body = body_chunks(request, parts.options)
        if kind == "application/json":
            chunks, said = await _of_source(request, parts, body)
            said.passwords = passwords
            return await anyio.to_thread.run_sync(
                _accept,
                state.keeper,
                parts,
                caller,
                idempotency_key,
                said,
                upload,
                chunks,
                limiter=state.upload_threads,
            )
        if kind == "application/x-www-form-urlencoded":
            raise BadRequest("A URL-encoded form carries no document: send a multipart form or the bytes.")
        if kind == "multipart/form-data":
            form = Form(request.headers["content-type"])
            incoming = _checking_early(file_chunks(form, body), form, parts)
            query = request.query_params.multi_items()
            said = _Said(lambda: fields_of_pairs([*query, *form.fields]), lambda: form.file_name or "", passwords)
        else:
            fields = fields_of_pairs(request.query_params.multi_items())
            reading_options(fields, parts.options)
            incoming, said = body, _Said(lambda: fields, lambda: "", passwords)
        return await receive(
            incoming,
            lambda chunks: _accept(state.keeper, parts, caller, idempotency_key, said, upload, chunks),
            state.upload_threads,
        )


def passwords_of(request: Request) -> tuple[str, ...]:
    """Those of the header. Raises `BadRequest` for one in the query: addresses are written into logs on their way."""
    if "password" in request.query_params:
        raise BadRequest(f"A password does not belong into the address: send it in the form or as {PASSWORD_HEADER}.")
    given = request.headers.getlist(PASSWORD_HEADER)
    return tuple(unquote(part.strip()) for value in given for part in value.split(",") if part.strip())


async def _checking_early(chunks: AsyncIterator[bytes], form: Form, parts: ApiParts) -> AsyncIterator[bytes]:
    """What came before the file is looked at before gigabytes are taken in for a misspelt field."""
    first = True
    async for chunk in chunks:
        if first:
            reading_options(fields_of_pairs(form.fields), parts.options)
            first = False
        yield chunk


async def _of_source(request: Request, parts: ApiParts, body: AsyncIterator[bytes]) -> tuple[Iterable[bytes], _Said]:
    gathered = bytearray()
    async for chunk in body:
        gathered += chunk
        if len(gathered) > MAX_JSON_BYTES:
            raise PayloadTooLarge(f"A JSON body may have {MAX_JSON_BYTES:,} bytes.")
    try:
        given = msgspec.json.decode(bytes(gathered))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest("The body is no JSON.") from error
    if request.query_params:
        raise BadRequest("With a JSON body everything is said in it, and nothing in the query.")
    fields = checked(SourceFields, given)
    reading_options(fields, parts.options)
    name = urlsplit(fields.source_url).path.rsplit("/", 1)[-1]
    chunks = await run_in_threadpool(open_source, fields.source_url, parts)
    return chunks, _Said(lambda: fields, lambda: name)


def _accept(
    keeper: SourceKeeper,
    parts: ApiParts,
    caller: Caller,
    idempotency_key: str,
    said: _Said,
    upload: Upload,
    chunks: Iterable[bytes],
) -> Answer:
    """In a thread: bytes into the store, rows into the ledger."""
    upload.storing()
    source = keeper.keep(chunks)
    upload.stored(source.size_bytes, source.media.mime_type)
    try:
        fields = said.fields()
        reading = reading_options(fields, parts.options)
        passwords = (*said.passwords, *fields.password)
        sealed = seal_passwords(parts.master_key, passwords, caller.tenant, source.sha256)
        submission = submission_of(fields, reading, source, caller, said.file_name(), idempotency_key, sealed)
        submitted = parts.desk.submit(msgspec.structs.replace(submission, trace=upload.kept()))
    except (RequestError, Refusal):
        # nothing was made. After any other error it may have been: a commit whose answer was lost. Then the bytes are
        # needed; if not, they are an orphan that housekeeping deletes
        keeper.discard(source.content_id)
        raise
    accepted = submitted.accepted
    if accepted.content_id != source.content_id:
        keeper.discard(source.content_id)
    parts.on_accepted()
    view = submitted.view or parts.desk.document(caller.tenant, accepted.document_id)
    if not accepted.replayed:
        upload.accepted(view.id, view.created_at)
    return Answer(view, accepted.replayed)


def _described(model: Any) -> dict[str, Any]:
    schema = cast(dict[str, Any], model.model_json_schema(ref_template="#/components/schemas/{model}"))
    schema.pop("$defs", None)
    return schema


_FIELDS = _described(SubmissionFields)["properties"]
_FORM_FIELDS = {name: schema for name, schema in _FIELDS.items() if name != "labels"} | {
    "labels": {"type": "string", "description": _FIELDS["labels"]["description"], "examples": ["customer=4711"]}
}
_AS_STRING = {"formats": "json,md", "languages": "en,de", "features": "tables"}
for _name, _example in _AS_STRING.items():
    _FORM_FIELDS[_name] = {
        "type": "string",
        "description": f"{_FIELDS[_name]['description']} Divided by commas, or repeated.",
        "examples": [_example],
    }

SUBMIT_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["file"],
                "properties": {"file": {"type": "string", "format": "binary"}, **_FORM_FIELDS},
            }
        },
        "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        "application/json": {"schema": _described(SourceFields)},
    },
}
"""`requestBody` of the OpenAPI: the endpoint reads the request itself."""
SUBMIT_PARAMETERS: list[dict[str, Any]] = [
    {"name": name, "in": "query", "required": False, "schema": schema, "description": schema.get("description", "")}
    for name, schema in _FORM_FIELDS.items()
    if name != "password"
] + [
    {
        "name": PASSWORD_HEADER,
        "in": "header",
        "required": False,
        "description": "Passwords of an encrypted document where there is no form: percent-encoded UTF-8, divided by "
        "commas.",
        "schema": {"type": "string"},
    }
]
