"""gRPC: every method of the table by a generic handler, errors with their details, TLS where it is configured."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import msgspec
from google.protobuf.message import DecodeError
from grpc_status import rpc_status

from docfleet.documentai_server.calls import Caller, Delivery, Encoded
from docfleet.documentai_server.methods import Method
from docfleet.documentai_server.refusals import INVALID_ARGUMENT_TEXT, Code, Refusal
from docfleet.documentai_server.service import Service, count_call
from docfleet.documentai_server.tls import TlsFiles
from docfleet.errors import UsageError

HEALTH = "grpc.health.v1.Health"
_SERVING = b"\x08\x01"
"""HealthCheckResponse(status=SERVING)."""
_BEARER = "bearer "
_FOREVER = 10 * 365 * 86400.0
"""gRPC tells a deadline beyond this for calls that have none."""


class GrpcOptions(msgspec.Struct, frozen=True):
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


class GrpcServer:
    """One listener. `port` is where it listens once made; it answers after `start`."""

    def __init__(self, service: Service, options: GrpcOptions) -> None:
        """Raises `UsageError` when the address is taken or may not be had."""
        self._service = service
        self._options = options
        self._pool = ThreadPoolExecutor(options.max_calls + 1, thread_name_prefix="documentai-grpc")
        self._server = grpc.server(
            self._pool,
            options=[
                ("grpc.max_receive_message_length", options.max_request_bytes),
                ("grpc.max_send_message_length", -1),
                # two servers on one port would share calls at random
                ("grpc.so_reuseport", 0),
            ],
            maximum_concurrent_rpcs=options.max_calls,
        )
        by_service: dict[str, dict[str, Any]] = {}
        for method in service.methods:
            by_service.setdefault(method.service, {})[method.name] = self._handler(method)
        by_service[HEALTH] = {"Check": grpc.unary_unary_rpc_method_handler(lambda request, context: _SERVING)}
        self._server.add_generic_rpc_handlers(
            tuple(grpc.method_handlers_generic_handler(name, handlers) for name, handlers in by_service.items())
        )
        self.port = self._listen()

    def start(self) -> None:
        self._server.start()

    def stop(self, grace_seconds: float) -> None:
        """Takes no more calls; those under way have so long."""
        self._server.stop(grace_seconds).wait()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _listen(self) -> int:
        host, tls = self._options.host, self._options.tls
        address = f"[{host}]:{self._options.port}" if ":" in host else f"{host}:{self._options.port}"
        try:
            if tls is None:
                port = self._server.add_insecure_port(address)
            else:
                port = self._server.add_secure_port(address, _credentials(tls))
        except RuntimeError as error:
            raise UsageError(f"{address} cannot be listened on; choose another with --grpc-port.") from error
        return int(port)

    def _handler(self, method: Method) -> Any:
        return grpc.unary_unary_rpc_method_handler(
            self._serving(method),
            request_deserializer=_parser(method.request_class()),
            response_serializer=lambda body: body,
        )

    def _serving(self, method: Method) -> Callable[[Any, grpc.ServicerContext], bytes]:
        def serve(request: Any, context: grpc.ServicerContext) -> bytes:
            if isinstance(request, Malformed):
                count_call(method, Code.INVALID_ARGUMENT, time.monotonic())
                refusal = Refusal(Code.INVALID_ARGUMENT, INVALID_ARGUMENT_TEXT)
                context.abort_with_status(rpc_status.to_status(refusal.to_status()))
            answered = self._service.answer(method, request, self._caller(context))
            answer = answered.answer
            if isinstance(answer, Refusal):
                context.abort_with_status(rpc_status.to_status(answer.to_status()))
            body: bytes = answer.body if isinstance(answer, Encoded) else answer.SerializeToString()
            if answered.delivery is not None:
                _deliver(body, answered.delivery, context)
            return body

        return serve

    def _caller(self, context: grpc.ServicerContext) -> Caller:
        api_key = bearer = traceparent = ""
        for name, value in context.invocation_metadata():
            if name == "x-goog-api-key":
                api_key = str(value)
            elif name == "authorization" and str(value)[: len(_BEARER)].lower() == _BEARER:
                bearer = str(value)[len(_BEARER) :].strip()
            elif name == "traceparent":
                traceparent = str(value)
        left = context.time_remaining()
        return Caller(
            transport="grpc",
            listener=self._options.listener,
            locations=self._options.locations,
            api_key=api_key,
            bearer=bearer,
            traceparent=traceparent,
            deadline=time.monotonic() + left if left is not None and left < _FOREVER else None,
            is_active=context.is_active,
        )


class Malformed:
    """Bytes that are no message of the method's kind: the caller's mistake, and no trouble of the server's."""


def _parser(kind: Any) -> Callable[[bytes], Any]:
    def parse(data: bytes) -> Any:
        try:
            return kind.FromString(data)
        except DecodeError:
            return Malformed()

    return parse


def _deliver(body: bytes, delivery: Delivery, context: grpc.ServicerContext) -> None:
    """Plays a slow or broken way back as far as one message can: late by as much, or lost."""
    cut = delivery.cut_after_bytes
    sent = len(body) if cut is None else min(cut, len(body))
    if delivery.bytes_per_second:
        time.sleep(sent / delivery.bytes_per_second)
    if cut is not None and cut < len(body):
        # without details: they would say that the server itself spoke, where it was the connection that broke
        context.abort(grpc.StatusCode.UNAVAILABLE, "Connection reset by peer")


def _credentials(tls: TlsFiles) -> Any:
    certificate = (tls.key.read_bytes(), tls.certificate.read_bytes())
    if tls.client_authority is None:
        return grpc.ssl_server_credentials([certificate])
    return grpc.ssl_server_credentials([certificate], tls.client_authority.read_bytes(), require_client_auth=True)
