"""Stored bytes to a client: decrypted as they are sent, in whole or in part, never to be run by a browser."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import msgspec
from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response, StreamingResponse

from docfleet.api.parts import ApiParts
from docfleet.api.problems import PROBLEM_JSON, problem_of
from docfleet.api.ranges import Part, choose_part, content_disposition, names_tag
from docfleet.errors import BadRequest
from docfleet.ledger.service_values import DocumentView
from docfleet.store.encryption import EncryptedStore

COST_HEADER = "X-Bytes-Decrypted"
_HEADERS: dict[str, Any] = {
    "ETag": {"description": "SHA-256 of the whole.", "schema": {"type": "string"}},
    "Accept-Ranges": {"schema": {"type": "string", "enum": ["bytes"]}},
    COST_HEADER: {
        "description": "Bytes the service reads and decrypts for this answer.",
        "schema": {"type": "integer", "minimum": 0},
    },
}
_BYTES = {"*/*": {"schema": {"type": "string", "format": "binary"}}}
PART_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"description": "The bytes.", "content": _BYTES, "headers": _HEADERS},
    206: {
        "description": "The part that was asked for.",
        "content": _BYTES,
        "headers": {**_HEADERS, "Content-Range": {"schema": {"type": "string"}}},
    },
    304: {"description": "Not changed (`If-None-Match`)."},
    416: {
        "description": "The part lies beyond the end; `Content-Range` tells the size.",
        "content": {PROBLEM_JSON: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    },
}
"""What the OpenAPI says of whatever `send_stored` answers."""
PART_PARAMETERS = [
    {
        "name": name,
        "in": "header",
        "required": False,
        "description": what,
        "schema": {"type": "string"},
    }
    for name, what in (
        ("Range", "`bytes=0-1023`; one part only."),
        ("If-None-Match", "An ETag: answered 304 when it is still the same."),
        ("If-Range", "An ETag: the part only if it is still the same, else the whole."),
    )
]


class StoredBytes(msgspec.Struct, frozen=True):
    """An object of a document's content in the store."""

    key: str
    file_name: str
    """What the client is told to call it."""
    sha256: str
    """Of the plain bytes."""
    size_bytes: int
    media_type: str


async def send_stored(request: Request, parts: ApiParts, view: DocumentView, stored: StoredBytes) -> Response:
    """200, 206, 304 or 416, as the request's conditions have it. Raises `Gone` and `StoreError` before the answer."""
    asked = request.headers
    headers = {
        "etag": f'"{stored.sha256}"',
        "accept-ranges": "bytes",
        "cache-control": "private, no-store",
        "x-content-type-options": "nosniff",
        # whatever a document made us write, no browser is to run it
        "content-security-policy": "default-src 'none'; sandbox",
    }
    if names_tag(asked.get("if-none-match", ""), stored.sha256, weakly=True):
        return Response(status_code=304, headers=headers)
    if_range = asked.get("if-range")
    wanted = asked.get("range") if if_range is None or names_tag(if_range, stored.sha256, weakly=False) else None
    part = choose_part(wanted, stored.size_bytes)
    if part is None:
        return _unsatisfiable(stored, headers)
    headers |= {
        "content-length": str(part.end - part.start),
        "content-disposition": content_disposition(stored.file_name),
        COST_HEADER: str(part.end),
    }
    if not part.whole:
        headers["content-range"] = f"bytes {part.start}-{part.end - 1}/{stored.size_bytes}"
    media_type = stored.media_type or "application/octet-stream"
    status = 200 if part.whole else 206
    if request.scope.get("docfleet.head"):
        return Response(status_code=status, headers=headers, media_type=media_type)
    chunks = await run_in_threadpool(_open, parts, view, stored, part)
    # the first bytes before the first header: a store that fails now is told with a 503 and not with a broken answer
    first = await run_in_threadpool(next, chunks, b"")
    return StreamingResponse(_streamed(first, chunks), status, headers, media_type)


def _open(parts: ApiParts, view: DocumentView, stored: StoredBytes, part: Part) -> Iterator[bytes]:
    data_key = parts.master_key.unwrap(parts.desk.wrapped_key(view.tenant, view.id))
    return EncryptedStore(parts.store, data_key).get_stream(stored.key, part.start, part.end)


async def _streamed(first: bytes, chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    while chunk := await run_in_threadpool(next, chunks, b""):
        yield chunk


def _unsatisfiable(stored: StoredBytes, headers: dict[str, str]) -> Response:
    problem = problem_of(BadRequest(f"There are {stored.size_bytes:,} bytes; the part asked for lies beyond."))
    problem |= {"status": 416, "title": "Range Not Satisfiable"}
    sent = headers | {"content-range": f"bytes */{stored.size_bytes}"}
    return JSONResponse(problem, 416, sent, PROBLEM_JSON)
