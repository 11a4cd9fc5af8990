"""The framework's own files, compressed once and kept: they are large, few and never change within a version."""

from __future__ import annotations

import gzip

import anyio
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_MOST_FILES = 200
_MOST_BYTES = 4 * 1024 * 1024
_KINDS = ("text/", "application/javascript", "application/json", "image/svg")
Kept = tuple[Message, bytes]


class Libraries:
    """Pure ASGI. Answers GET of files below `/_nicegui/` from memory once they were read; all else it lets through."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._kept: dict[str, Kept] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "").removeprefix(scope.get("root_path", ""))
        is_file = path.startswith("/_nicegui/") and not path.startswith("/_nicegui/client/")
        takes = "gzip" in Headers(scope=scope).get("accept-encoding", "") if is_file else False
        if not takes or scope["type"] != "http" or scope["method"] != "GET":
            await self._app(scope, receive, send)
            return
        kept = self._kept.get(path)
        if kept is None:
            kept = await self._read(scope, receive, send, path)
        if kept is not None:
            start, body = kept
            await send({**start, "headers": list(start["headers"])})
            await send({"type": "http.response.body", "body": body})

    async def _read(self, scope: Scope, receive: Receive, send: Send, path: str) -> Kept | None:
        """None: it has been sent as it came, for it is no file to keep."""
        start: Message | None = None
        body = bytearray()

        async def take(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                headers = Headers(scope=message)
                length = int(headers.get("content-length") or 0)
                is_plain = message["status"] == 200 and 0 < length <= _MOST_BYTES and len(self._kept) < _MOST_FILES
                if is_plain and headers.get("content-type", "").startswith(_KINDS):
                    start = message
                    return
            if start is None:
                await send(message)
            elif message["type"] == "http.response.body":
                body.extend(message.get("body", b""))

        # asked for whole and anew: what is kept is kept for everybody
        dropped = (b"range", b"if-none-match", b"if-modified-since", b"if-range")
        plain = {**scope, "headers": [(name, value) for name, value in scope["headers"] if name not in dropped]}
        await self._app(plain, receive, take)
        if start is None:
            return None
        packed = await anyio.to_thread.run_sync(gzip.compress, bytes(body), 9)
        headers = MutableHeaders(scope=start)
        headers["content-encoding"] = "gzip"
        headers["content-length"] = str(len(packed))
        headers["vary"] = "accept-encoding"
        self._kept[path] = (start, packed)
        return self._kept[path]
