"""What every exchange shares: an id, HEAD where there is GET, headers that keep browsers calm, small request heads."""

from __future__ import annotations

import json
import secrets

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from docfleet.api.problems import PROBLEM_JSON, problem_of
from docfleet.errors import BadRequest
from docfleet.telemetry import metrics
from docfleet.telemetry.catalog import REFUSALS

MAX_HEAD_BYTES = 32 * 1024
"""Request line and headers together."""


class Surface:
    """Pure ASGI, outside everything else. Refuses a request whose head is too large (431)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = secrets.token_hex(8)
        scope.setdefault("state", {})["request_id"] = request_id
        is_head = scope["method"] == "HEAD"
        if is_head:
            # routes are declared for GET; whoever would stream looks at this mark and does not begin
            scope = {**scope, "method": "GET", "docfleet.head": True}

        async def send_on(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.setdefault("x-request-id", request_id)
                headers.setdefault("x-content-type-options", "nosniff")
                headers.setdefault("cache-control", "no-store")
                headers.setdefault("referrer-policy", "no-referrer")
            elif message["type"] == "http.response.body" and is_head:
                message = {**message, "body": b""}
            await send(message)

        head = len(scope.get("raw_path") or b"") + len(scope.get("query_string") or b"")
        head += sum(len(name) + len(value) for name, value in scope["headers"])
        if head > MAX_HEAD_BYTES:
            await _refuse(send_on)
            return
        await self._app(scope, receive, send_on)


async def _refuse(send: Send) -> None:
    metrics.count(REFUSALS, 1.0, BadRequest.code)
    problem = problem_of(BadRequest(f"Address and headers of this request have more than {MAX_HEAD_BYTES:,} bytes."))
    problem |= {"status": 431, "title": "Request Header Fields Too Large"}
    body = json.dumps(problem).encode()
    headers = [
        (b"content-type", PROBLEM_JSON.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": 431, "headers": headers})
    await send({"type": "http.response.body", "body": body})
