"""What the widgets of the pages about documents ask for, beside the pages themselves: `/console/data/…`.

The guard has let in signed-in people only, and what changes anything from pages of the console only.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

import msgspec
from fastapi import FastAPI
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse

from docfleet.console.client import Api
from docfleet.console.document_files import DocumentFiles
from docfleet.console.guard import SIGNED
from docfleet.console.pictures import MEDIA_TYPE
from docfleet.console.problems import ApiProblem
from docfleet.errors import DocumentError

MakeApi = Callable[[Any], Api]
"""From who signed in to the API as that one may use it."""
Answer = Callable[[Request, Api, str], Awaitable[Response]]
_FILTERS = (
    "state", "batch", "label", "name", "priority", "code", "created_after", "created_before", "order", "cursor",
    "limit",
)  # fmt: skip
_SHOWN = (
    "id", "name", "state", "labels", "pages", "confidence", "cost_usd", "size_bytes", "created_at", "code", "message",
    "duplicate_of",
)  # fmt: skip
_SUBMITTED = (
    "name",
    "priority",
    "labels",
    "engine",
    "formats",
    "languages",
    "mode",
    "features",
    "batch",
    "reuse",
    "deadline",
)
_PASSED_ON = ("content-disposition", "content-type", "content-length", "content-range", "etag", "accept-ranges")
_TEXT_PIECE = 200_000
_MOST_DRAINED = 64 * 1024 * 1024
_PRIVATE = {"cache-control": "private, no-store", "content-encoding": "identity"}
"""Kept nowhere; `identity`: pictures and downloads are not compressed once more."""


class DocumentRoutes:
    """Answers with the key of whoever asks."""

    def __init__(self, make_api: MakeApi, files: DocumentFiles) -> None:
        self._make_api = make_api
        self._files = files

    def add_to(self, host: FastAPI) -> None:
        one = "/data/documents/{document}"
        for path, answer, method in (
            ("/data/documents", self._list, "GET"),
            ("/data/uploads", self._upload, "POST"),
            (f"{one}/pages", self._pages, "GET"),
            (f"{one}/pages/{{number:int}}", self._page, "GET"),
            (f"{one}/pages/{{number:int}}/json", self._page_json, "GET"),
            (f"{one}/pages/{{number:int}}/picture", self._picture, "GET"),
            (f"{one}/text/{{format}}", self._text, "GET"),
            (f"{one}/results/{{format}}/{{path:path}}", self._result, "GET"),
            (f"{one}/source", self._source, "GET"),
            ("/data/batches/{batch}/report", self._report, "GET"),
        ):
            host.add_route(path, self._answering(answer), methods=[method], include_in_schema=False)

    def _answering(self, answer: Answer) -> Callable[[Request], Awaitable[Response]]:
        async def answered(request: Request) -> Response:
            signed = request.scope[SIGNED]
            try:
                for id in (request.path_params.get(name, "0") for name in ("document", "batch")):
                    if not (id.isalnum() and len(id) <= 64):
                        raise ApiProblem(404, "not_found", "There is nothing under this id")
                return await answer(request, self._make_api(signed), signed.id)
            except ApiProblem as problem:
                return _refusal(problem.status or 502, problem.code, problem.detail or problem.title, problem.remedy)
            except DocumentError as error:
                return _refusal(422, error.code, error.message, error.remedy)

        return answered

    async def _list(self, request: Request, api: Api, _: str) -> Response:
        found = await api.get("/v1/documents", _said(request, _FILTERS))
        found["items"] = [{name: item.get(name) for name in _SHOWN} for item in found["items"]]
        return _json(found)

    async def _upload(self, request: Request, api: Api, _: str) -> Response:
        sent = request.headers
        headers = {
            name: sent[name] for name in ("content-length", "docfleet-password", "idempotency-key") if name in sent
        }
        headers["content-type"] = "application/octet-stream"
        try:
            shown = await api.upload("/v1/documents", request.stream(), headers, _said(request, _SUBMITTED))
        except ApiProblem:
            # a browser that is answered while it sends takes it for a broken connection
            await _drain(request)
            raise
        return _json({name: shown.get(name) for name in _SHOWN}, 202)

    async def _pages(self, request: Request, api: Api, _: str) -> Response:
        return _json(await api.get(f"/v1/documents/{request.path_params['document']}/pages"))

    async def _page(self, request: Request, api: Api, session: str) -> Response:
        said = request.path_params
        return _json(await self._files.page(api, session, said["document"], said["number"]))

    async def _page_json(self, request: Request, api: Api, session: str) -> Response:
        said = request.path_params
        found = await self._files.page_json(api, session, said["document"], said["number"])
        return Response(found, media_type="application/json", headers={"cache-control": "private, no-store"})

    async def _picture(self, request: Request, api: Api, session: str) -> Response:
        said = request.path_params
        asked = request.query_params.get("width", "")
        width = int(asked) if asked.isdecimal() and len(asked) < 6 else 960
        picture = await self._files.picture(api, session, said["document"], said["number"], width)
        return Response(picture, media_type=MEDIA_TYPE, headers=_PRIVATE)

    async def _text(self, request: Request, api: Api, _: str) -> Response:
        """A piece of a text result, whole characters; where the next begins is in `X-Next-Start`."""
        said = request.path_params
        if said["format"] not in ("md", "txt"):
            raise ApiProblem(404, "not_found", "There is no such text")
        asked = request.query_params.get("start", "0")
        start = int(asked) if asked.isdecimal() and len(asked) < 16 else 0
        headers = {"range": f"bytes={start}-{start + _TEXT_PIECE - 1}"}
        address = f"/v1/documents/{said['document']}/results/{said['format']}"
        try:
            async with api.stream(address, headers=headers) as response:
                piece = await response.aread()
                size = int(response.headers.get("content-range", f"/{len(piece)}").rpartition("/")[2])
        except ApiProblem as problem:
            if problem.status != 416:
                raise
            piece, size = b"", 0  # an empty result has no first byte
        text = piece.decode("utf-8", "ignore")  # a character that was cut comes with the next piece
        next_start = start + len(text.encode())
        headers = {"cache-control": "private, no-store"}
        if text and next_start < size:
            headers["x-next-start"] = str(next_start)
        return Response(text, media_type="text/plain; charset=utf-8", headers=headers)

    async def _result(self, request: Request, api: Api, _: str) -> Response:
        said = request.path_params
        return await _passed_on(
            request, api, f"/v1/documents/{said['document']}/results/{said['format']}/{said['path']}"
        )

    async def _source(self, request: Request, api: Api, _: str) -> Response:
        return await _passed_on(request, api, f"/v1/documents/{request.path_params['document']}/source")

    async def _report(self, request: Request, api: Api, _: str) -> Response:
        return await _passed_on(request, api, f"/v1/batches/{request.path_params['batch']}/report")


def _said(request: Request, names: tuple[str, ...]) -> dict[str, list[str]]:
    return {name: values for name in names if (values := request.query_params.getlist(name))}


async def _drain(request: Request) -> None:
    left = _MOST_DRAINED
    with suppress(ClientDisconnect, RuntimeError):
        async for chunk in request.stream():
            left -= len(chunk)
            if left < 0:
                return


async def _passed_on(request: Request, api: Api, address: str) -> Response:
    """The answer of the API as it comes; a browser saves it and never shows it."""
    asked = {name: request.headers[name] for name in ("range", "if-range") if name in request.headers}
    streaming = api.stream(address, headers={**asked, "accept-encoding": "identity"})
    response = await streaming.__aenter__()

    async def body() -> AsyncIterator[bytes]:
        try:
            async for chunk in response.aiter_bytes():
                yield chunk
        finally:
            await streaming.__aexit__(None, None, None)

    headers = {name: response.headers[name] for name in _PASSED_ON if name in response.headers}
    headers |= {**_PRIVATE, "content-security-policy": "default-src 'none'; sandbox"}
    return StreamingResponse(body(), response.status_code, headers)


def _json(value: Any, status: int = 200) -> Response:
    return Response(
        msgspec.json.encode(value), status, {"cache-control": "private, no-store"}, media_type="application/json"
    )


def _refusal(status: int, code: str, detail: str, remedy: str) -> Response:
    said: Mapping[str, str] = {"code": code, "detail": detail, "remedy": remedy}
    return Response(
        msgspec.json.encode(said), status, {"cache-control": "no-store"}, media_type="application/problem+json"
    )
