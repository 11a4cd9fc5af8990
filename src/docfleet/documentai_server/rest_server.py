"""REST on the official paths: JSON in, JSON or the error envelope out. One Starlette application on uvicorn."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import uvicorn
from google.protobuf import json_format
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route
from starlette.types import Message

from docfleet.documentai_server.calls import Caller, Delivery, Encoded
from docfleet.documentai_server.refusals import HTTP_STATUS, Code, Refusal
from docfleet.documentai_server.rest_requests import Match, Router, request_of
from docfleet.documentai_server.rest_selection import selected
from docfleet.documentai_server.service import Answered, Service, count_call
from docfleet.documentai_server.tls import TlsFiles
from docfleet.errors import UsageError
from docfleet.telemetry import logger

_KEEP_ALIVE_SECONDS = 75
"""Longer than the minute after which common load balancers drop a connection that is idle."""
_BACKLOG = 1024
_DRIPS_PER_SECOND = 10
_ABORT_SECONDS = 0.05
_JSON = "application/json; charset=UTF-8"
_log = logger("documentai_server")


class RestOptions(msgspec.Struct, frozen=True):
    host: str = "127.0.0.1"
    port: int = 0
    """0: any free one."""
    tls: TlsFiles | None = None
    listener: str = ""
    locations: tuple[str, ...] = ()
    """That this listener answers for; empty: all the server has."""
    max_calls: int = 128
    """Calls under way at a time; one more is RESOURCE_EXHAUSTED."""
    max_request_bytes: int = 128 * 1024 * 1024
    grace_seconds: float = 10.0
    body_seconds: float = 300.0
    """In which a request must have come: whoever sends slower would hold a place that others need."""


class RestFront:
    """The endpoint of every path; `app` is what uvicorn serves."""

    def __init__(self, service: Service, options: RestOptions, extra: Sequence[BaseRoute] = ()) -> None:
        """`extra` routes come before the official paths."""
        self._service = service
        self._options = options
        self._router = Router(service.methods)
        self._under_way = 0
        self._pool = ThreadPoolExecutor(options.max_calls, thread_name_prefix="documentai-rest")
        self.app = Starlette(
            routes=[
                Route("/healthz", _healthz),
                *extra,
                Route("/{path:path}", self.answer, methods=["GET", "POST", "PUT", "PATCH", "DELETE"]),
            ],
            lifespan=self._lifespan,
        )

    @contextlib.asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        yield
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def answer(self, request: Request) -> Response:
        match = self._router.find(request.method, request.url.path)
        if match is None:
            return _refused(Refusal(Code.NOT_FOUND, "Method not found."))
        if self._under_way >= self._options.max_calls:
            return _refused(Refusal(Code.RESOURCE_EXHAUSTED, "Too many calls are under way; try again later."))
        self._under_way += 1
        try:
            try:
                body = await self._body(request)
            except Refusal as refusal:
                return _refused(refusal)
            except ClientDisconnect:
                return Response(status_code=HTTP_STATUS[Code.CANCELLED])
            return await self._answer(match, request, body)
        finally:
            self._under_way -= 1

    async def _answer(self, match: Match, request: Request, body: bytes) -> Response:
        gone = threading.Event()
        watch = asyncio.create_task(_watch(request, gone))
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._pool, self._serve, match, request, body, gone)
        finally:
            watch.cancel()

    def _serve(self, match: Match, request: Request, body: bytes, gone: threading.Event) -> Response:
        """In a thread: parses, calls and writes."""
        query = request.query_params
        pretty = (query.get("$prettyPrint") or query.get("prettyPrint", "")).lower() in ("true", "1")
        answered: Answered | None = None
        chosen = request.headers.get("x-goog-fieldmask") or query.get("$fields") or query.get("fields", "")
        try:
            _check_format(query.get("$alt") or query.get("alt", ""))
            message = request_of(match, query.multi_items(), body)
            answered = self._service.answer(match.method, message, self._caller(request, gone))
            if isinstance(answered.answer, Refusal):
                return _sent(answered, *_written(answered.answer))
            content = _json(answered.answer, numbers="enum-encoding=int" in query.get("$alt", ""))
            if chosen:
                content = selected(content, chosen, match.method.response_class().DESCRIPTOR)
            return _sent(answered, msgspec.json.format(content, indent=2) if pretty else content, 200)
        except Refusal as refusal:
            if answered is None:
                count_call(match.method, refusal.grpc_code, time.monotonic())
            return _refused(refusal)
        except Exception:
            _log.exception("documentai_rest_failed", method=match.method.name)
            return _refused(Refusal(Code.INTERNAL, "Internal error encountered."))

    async def _body(self, request: Request) -> bytes:
        limit = self._options.max_request_bytes * 4 // 3
        body = bytearray()
        try:
            async with asyncio.timeout(self._options.body_seconds):
                async for part in request.stream():
                    body += part
                    if len(body) > limit:
                        raise Refusal(Code.INVALID_ARGUMENT, f"Request payload size exceeds the limit: {limit} bytes.")
        except TimeoutError as error:
            raise Refusal(Code.DEADLINE_EXCEEDED, "The request took too long to arrive.") from error
        return bytes(body)

    def _caller(self, request: Request, gone: threading.Event) -> Caller:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        return Caller(
            transport="rest",
            listener=self._options.listener,
            locations=self._options.locations,
            api_key=request.headers.get("x-goog-api-key", "") or request.query_params.get("key", ""),
            bearer=token.strip() if scheme.lower() == "bearer" else "",
            traceparent=request.headers.get("traceparent", ""),
            deadline=_deadline(request.headers.get("x-server-timeout", "")),
            is_active=lambda: not gone.is_set(),
        )


async def _healthz(request: Request) -> Response:
    return PlainTextResponse("ok\n")


async def _watch(request: Request, gone: threading.Event) -> None:
    """Sets `gone` when the caller has left. The body has been read: nothing else can come."""
    while True:
        message: Message = await request.receive()
        if message["type"] == "http.disconnect":
            gone.set()
            return


def _deadline(said: str) -> float | None:
    try:
        return time.monotonic() + float(said) if said else None
    except ValueError:
        return None


def _check_format(alt: str) -> None:
    if alt.partition(";")[0] not in ("", "json"):
        raise Refusal(Code.INVALID_ARGUMENT, f"docfleet answers JSON alone; alt={alt[:50]} is not served.")


def _written(refusal: Refusal) -> tuple[bytes, int]:
    """Body and status."""
    body = msgspec.json.format(msgspec.json.encode(refusal.to_json()), indent=2)
    return body, HTTP_STATUS[refusal.grpc_code]


def _refused(refusal: Refusal) -> Response:
    body, status = _written(refusal)
    return Response(body, status, media_type=_JSON)


def _json(answer: Any, *, numbers: bool) -> bytes:
    if isinstance(answer, Encoded):
        return answer.body
    text: str = json_format.MessageToJson(answer, use_integers_for_enums=numbers, indent=None)
    return text.encode()


def _sent(answered: Answered, body: bytes, status: int) -> Response:
    if answered.delivery is None:
        return Response(body, status, media_type=_JSON)
    headers = {"content-length": str(len(body)), "content-type": _JSON}
    return StreamingResponse(_dripping(body, answered.delivery), status, headers)


class Broken(ConnectionError):
    """The connection is cut on purpose."""


async def _dripping(body: bytes, delivery: Delivery) -> AsyncIterator[bytes]:
    """The body as slowly as asked; broken off after as much as asked, which closes the connection."""
    cut = delivery.cut_after_bytes
    end = len(body) if cut is None else min(cut, len(body))
    rate = delivery.bytes_per_second
    step = max(int(rate / _DRIPS_PER_SECOND), 1) if rate else max(end, 1)
    for at in range(0, end, step):
        yield body[at : min(at + step, end)]
        if rate:
            await asyncio.sleep(step / rate)
    if end < len(body):
        raise Broken


class _Server(uvicorn.Server):
    """Stops by an event and leaves signals alone."""

    def __init__(self, config: uvicorn.Config, stop: threading.Event) -> None:
        super().__init__(config)
        self._stop_event = stop

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets)
        # a loop does not close while TLS connections wait for the good-bye of callers who are gone
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await asyncio.sleep(_ABORT_SECONDS)

    async def on_tick(self, counter: int) -> bool:
        if self._stop_event.is_set():
            self.should_exit = True
        return await super().on_tick(counter)


class HttpServer:
    """One listener for a Starlette application, in a thread of its own. `port` is where it listens once made."""

    def __init__(self, app: Starlette, options: RestOptions) -> None:
        """Raises `UsageError` when the address is taken or may not be had."""
        self._stop = threading.Event()
        family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
        try:
            self._sock = socket.create_server((options.host, options.port), family=family, backlog=_BACKLOG)
        except OSError as error:
            where = f"{options.host}:{options.port}"
            raise UsageError(
                f"{where} cannot be listened on: {error.strerror or error}. Choose another with --rest-port."
            ) from error
        self.port: int = self._sock.getsockname()[1]
        tls = options.tls
        authority = tls.client_authority if tls else None
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=max(1, round(options.grace_seconds)),
            lifespan="on",
            ssl_certfile=tls.certificate if tls else None,
            ssl_keyfile=str(tls.key) if tls else None,
            ssl_ca_certs=str(authority) if authority else None,
            ssl_cert_reqs=ssl.CERT_REQUIRED if authority else ssl.CERT_NONE,
        )
        self._server = _Server(config, self._stop)
        self._thread = threading.Thread(target=self._run, name="documentai-http")

    def start(self) -> None:
        """Returns once it answers."""
        self._thread.start()
        while not self._server.started and self._thread.is_alive():
            time.sleep(0.01)

    def stop(self) -> None:
        """Takes no more calls; those under way have the grace time."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        self._sock.close()

    def _run(self) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            self._server.run(sockets=[self._sock])
