"""The API of this very process asked as over a wire: bodies stream both ways, none is kept whole."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

import httpx

ASGI = Callable[..., Any]
_CHUNKS_AHEAD = 4
_END = b""


class InProcess(httpx.AsyncBaseTransport):
    """Calls an ASGI application. What it has not yet sent waits for the reader; a reader that leaves ends it."""

    def __init__(self, app: ASGI) -> None:
        self._app = app

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        call = _Call(self._app, request)
        timeout = request.extensions.get("timeout", {}).get("read")
        try:
            async with asyncio.timeout(timeout):
                status, headers = await call.started
        except TimeoutError as error:
            await call.aclose()
            raise httpx.ReadTimeout("no answer in time", request=request) from error
        except BaseException:
            await call.aclose()
            raise
        return httpx.Response(status, headers=headers, stream=call)


class _Call(httpx.AsyncByteStream):
    """One request under way, and the body of its answer."""

    def __init__(self, app: ASGI, request: httpx.Request) -> None:
        self._request = request
        self._body = aiter(request.stream) if isinstance(request.stream, httpx.AsyncByteStream) else _nothing()
        self._sent_all = False
        self._gone = asyncio.Event()
        self._chunks: asyncio.Queue[bytes] = asyncio.Queue(_CHUNKS_AHEAD)
        self.started: asyncio.Future[tuple[int, list[tuple[bytes, bytes]]]] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._run(app), name=f"console asks {request.url.path}")

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (chunk := await self._chunks.get()) != _END:
            yield chunk
        if self._gone.is_set():
            raise httpx.ReadError("the answer broke off", request=self._request)

    async def aclose(self) -> None:
        self._gone.set()
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        if self.started.done() and not self.started.cancelled():
            self.started.exception()

    async def _run(self, app: ASGI) -> None:
        failed = True
        try:
            await app(self._scope(), self._receive, self._send)
            failed = False
        except Exception as error:
            # what went wrong there is logged there; an answer may have left before
            if not self.started.done():
                self.started.set_exception(httpx.ReadError(type(error).__name__, request=self._request))
        finally:
            if not self.started.done():
                self.started.cancel()
            if failed:
                self._gone.set()
                with suppress(asyncio.QueueFull):
                    self._chunks.put_nowait(_END)

    def _scope(self) -> dict[str, Any]:
        url = self._request.url
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": self._request.method,
            "headers": [(name.lower(), value) for name, value in self._request.headers.raw],
            "scheme": url.scheme,
            "path": url.path,
            "raw_path": url.raw_path.split(b"?")[0],
            "query_string": url.query,
            "server": (url.host, url.port),
            "client": ("127.0.0.1", 0),
            "root_path": "",
        }

    async def _receive(self) -> dict[str, Any]:
        if self._sent_all:
            await self._gone.wait()
            return {"type": "http.disconnect"}
        try:
            chunk = await anext(self._body)
        except StopAsyncIteration:
            self._sent_all = True
            return {"type": "http.request", "body": b"", "more_body": False}
        return {"type": "http.request", "body": chunk, "more_body": True}

    async def _send(self, message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            if not self.started.done():
                self.started.set_result((message["status"], list(message.get("headers", []))))
            return
        if body := message.get("body", b""):
            await self._chunks.put(bytes(body))
        if not message.get("more_body", False):
            await self._chunks.put(_END)


async def _nothing() -> AsyncIterator[bytes]:
    return
    yield b""
