"""The results of a document: listed, and streamed decrypted, in whole or in part."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import PurePosixPath
from typing import Annotated, Any

from fastapi import Path, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response, StreamingResponse

from docfleet.api.inputs import DocumentId, Parts, Who
from docfleet.api.parts import ApiParts
from docfleet.api.problems import PROBLEM_JSON, problem_of
from docfleet.api.ranges import Part, choose_part, content_disposition, names_tag
from docfleet.api.resource import Resource
from docfleet.api.schemas import ResultOut, ResultsOut
from docfleet.domain.access import Permission
from docfleet.domain.work import DOCUMENT_ENDS
from docfleet.errors import BadRequest, FormatNotMade, Gone, NotFound, NotReady, ServiceUnavailable
from docfleet.ledger.service_values import DocumentView, ResultFile
from docfleet.store.encryption import EncryptedStore

results = Resource("Results")
Format = Annotated[str, Path(description="json, md, txt, pdf, csv, hocr or outcome.")]
InnerPath = Annotated[str, Path(description="As the listing of results gives it.")]
COST_HEADER = "X-Bytes-Decrypted"
PACKED_TABLES = ".zip"
_TYPES = {".json": "application/json", ".md": "text/markdown; charset=utf-8", ".txt": "text/plain; charset=utf-8"}

_HEADERS: dict[str, Any] = {
    "ETag": {"description": "SHA-256 of the whole result.", "schema": {"type": "string"}},
    "Accept-Ranges": {"schema": {"type": "string", "enum": ["bytes"]}},
    COST_HEADER: {
        "description": "Bytes the service reads and decrypts for this answer.",
        "schema": {"type": "integer", "minimum": 0},
    },
}
_BYTES = {"*/*": {"schema": {"type": "string", "format": "binary"}}}
_RESPONSES: dict[int | str, dict[str, Any]] = {
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
_PARAMETERS = [
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


@results.route(
    "GET",
    "/v1/documents/{document_id}/results",
    Permission.READ_RESULTS,
    out=ResultsOut,
    problems=(NotFound, Gone, NotReady),
)
def list_results(document_id: DocumentId, parts: Parts, caller: Who) -> ResultsOut:
    """List what was written, once the document has ended (409 before)."""
    view = _ended(parts, caller.tenant, document_id)
    base = parts.options.public_url
    return ResultsOut(items=[ResultOut.of(view.id, file, base) for file in view.results])


_TEXT = """

    Streamed as it is decrypted. With `Range` a part is sent; since results are encrypted as streams, everything from
    the start of the result up to the end of that part is read and decrypted for it, and the header
    `X-Bytes-Decrypted` says how much that was: read forward in one request rather than backward in many.
    """


@results.route(
    "GET",
    "/v1/documents/{document_id}/results/{format}",
    Permission.READ_RESULTS,
    problems=(NotFound, Gone, NotReady, FormatNotMade, ServiceUnavailable),
    responses=_RESPONSES,
    parameters=_PARAMETERS,
    description=_TEXT,
)
async def read_result(request: Request, document_id: DocumentId, format: Format, parts: Parts, caller: Who) -> Response:
    """Read one result by its format: json, md, txt, pdf, hocr, outcome; csv: a zip of all tables."""
    view = await run_in_threadpool(_ended, parts, caller.tenant, document_id)
    found = [file for file in view.results if file.format == format]
    packed = [file for file in found if file.path.endswith(PACKED_TABLES)]
    if len(found) != 1 and not packed:
        raise FormatNotMade()
    return await _send(request, parts, view, (packed or found)[0])


@results.route(
    "GET",
    "/v1/documents/{document_id}/results/{format}/{path:path}",
    Permission.READ_RESULTS,
    problems=(NotFound, Gone, NotReady, FormatNotMade, ServiceUnavailable),
    responses=_RESPONSES,
    parameters=_PARAMETERS,
    description=_TEXT,
)
async def read_result_file(
    request: Request, document_id: DocumentId, format: Format, path: InnerPath, parts: Parts, caller: Who
) -> Response:
    """Read one file of the results, by the format and path that the listing names."""
    view = await run_in_threadpool(_ended, parts, caller.tenant, document_id)
    # only what the ledger lists is ever read: a path from outside is compared, never joined
    for file in view.results:
        if file.format == format and file.path == path:
            return await _send(request, parts, view, file)
    raise FormatNotMade()


def _ended(parts: ApiParts, tenant: str, document_id: str) -> DocumentView:
    view = parts.desk.document(tenant, document_id)
    if view.state not in DOCUMENT_ENDS:
        raise NotReady()
    return view


async def _send(request: Request, parts: ApiParts, view: DocumentView, file: ResultFile) -> Response:
    asked = request.headers
    headers = {
        "etag": f'"{file.sha256}"',
        "accept-ranges": "bytes",
        "cache-control": "private, no-store",
        "x-content-type-options": "nosniff",
        # whatever a document made us write, no browser is to run it
        "content-security-policy": "default-src 'none'; sandbox",
    }
    if names_tag(asked.get("if-none-match", ""), file.sha256, weakly=True):
        return Response(status_code=304, headers=headers)
    if_range = asked.get("if-range")
    wanted = asked.get("range") if if_range is None or names_tag(if_range, file.sha256, weakly=False) else None
    part = choose_part(wanted, file.size_bytes)
    if part is None:
        return _unsatisfiable(file, headers)
    headers |= {
        "content-length": str(part.end - part.start),
        "content-disposition": content_disposition(_file_name(view, file)),
        COST_HEADER: str(part.end),
    }
    if not part.whole:
        headers["content-range"] = f"bytes {part.start}-{part.end - 1}/{file.size_bytes}"
    media_type = _TYPES.get(PurePosixPath(file.path).suffix, file.media_type) or "application/octet-stream"
    status = 200 if part.whole else 206
    if request.scope.get("docfleet.head"):
        return Response(status_code=status, headers=headers, media_type=media_type)
    chunks = await run_in_threadpool(_open, parts, view, file, part)
    # the first bytes before the first header: a store that fails now is told with a 503 and not with a broken answer
    first = await run_in_threadpool(next, chunks, b"")
    return StreamingResponse(_streamed(first, chunks), status, headers, media_type)


def _open(parts: ApiParts, view: DocumentView, file: ResultFile, part: Part) -> Iterator[bytes]:
    data_key = parts.master_key.unwrap(parts.desk.wrapped_key(view.tenant, view.id))
    return EncryptedStore(parts.store, data_key).get_stream(f"{view.result_key}/{file.path}", part.start, part.end)


async def _streamed(first: bytes, chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    while chunk := await run_in_threadpool(next, chunks, b""):
        yield chunk


def _unsatisfiable(file: ResultFile, headers: dict[str, str]) -> Response:
    problem = problem_of(BadRequest(f"The result has {file.size_bytes:,} bytes; the part asked for lies beyond."))
    problem |= {"status": 416, "title": "Range Not Satisfiable"}
    sent = headers | {"content-range": f"bytes */{file.size_bytes}"}
    return JSONResponse(problem, 416, sent, PROBLEM_JSON)


def _file_name(view: DocumentView, file: ResultFile) -> str:
    """The document's name with the result's: "invoice.pdf" and "document.md" make "invoice.md"."""
    own = PurePosixPath(file.path).name
    stem = PurePosixPath(view.name.replace("\\", "/")).stem[:150]
    if not stem or "/" in file.path:
        return own
    suffix = PurePosixPath(own).suffix
    return f"{stem}{suffix}" if own.startswith("document.") else f"{stem}-{own}"
