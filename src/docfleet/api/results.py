"""The results of a document: listed, and streamed decrypted, in whole or in part."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated

from fastapi import Path, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from docfleet.api.inputs import DocumentId, Parts, Who
from docfleet.api.parts import ApiParts
from docfleet.api.resource import Resource
from docfleet.api.schemas import ResultOut, ResultsOut
from docfleet.api.sending import PART_PARAMETERS, PART_RESPONSES, StoredBytes, send_stored
from docfleet.domain.access import Permission
from docfleet.domain.work import DOCUMENT_ENDS
from docfleet.errors import FormatNotMade, Gone, NotFound, NotReady, ServiceUnavailable
from docfleet.ledger.service_values import DocumentView, ResultFile

results = Resource("Results")
Format = Annotated[str, Path(description="json, md, txt, pdf, csv, hocr or outcome.")]
InnerPath = Annotated[str, Path(description="As the listing of results gives it.")]
PACKED_TABLES = ".zip"
_TYPES = {".json": "application/json", ".md": "text/markdown; charset=utf-8", ".txt": "text/plain; charset=utf-8"}


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
    responses=PART_RESPONSES,
    parameters=PART_PARAMETERS,
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
    responses=PART_RESPONSES,
    parameters=PART_PARAMETERS,
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
    media_type = _TYPES.get(PurePosixPath(file.path).suffix, file.media_type)
    stored = StoredBytes(
        f"{view.result_key}/{file.path}", _file_name(view, file), file.sha256, file.size_bytes, media_type
    )
    return await send_stored(request, parts, view, stored)


def _file_name(view: DocumentView, file: ResultFile) -> str:
    """The document's name with the result's: "invoice.pdf" and "document.md" make "invoice.md"."""
    own = PurePosixPath(file.path).name
    stem = PurePosixPath(view.name.replace("\\", "/")).stem[:150]
    if not stem or "/" in file.path:
        return own
    suffix = PurePosixPath(own).suffix
    return f"{stem}{suffix}" if own.startswith("document.") else f"{stem}-{own}"
