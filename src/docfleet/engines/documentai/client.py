"""Sends calls with Google's library: one gRPC channel for each address, no retries of its own, raw messages.

The library retries a 429 for minutes and takes no notice of when the service says to come back, so retries are ours; a
channel that cannot connect (nobody there, a certificate that is not trusted) would hang for five minutes, so connecting
is bounded.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

from docfleet.engines.documentai.calls import Call, Endpoint
from docfleet.engines.documentai.credentials import Credentials
from docfleet.engines.documentai.facts import Facts
from docfleet.engines.documentai.failures import CANCELLED, Failure, FailureKind, not_reached
from docfleet.engines.documentai.options import DocumentAIOptions
from docfleet.engines.documentai.request import process_request
from docfleet.errors import EngineUnavailable, UsageError

_PROVEN_SECONDS = 60.0
"""A channel that answered this lately is not asked first whether it is connected."""
_REST_CONNECTIONS = 64
"""Kept open to one host; more calls at a time open their own."""


class Sent(Protocol):
    """A call under way."""

    @property
    def outcome(self) -> Future[Any | Failure]:
        """The raw `Document` of the answer, or why there is none; holds an exception only where docfleet is wrong."""
        ...

    def cancel(self) -> None:
        """The answer is not wanted any more."""
        ...


class Transport(Protocol):
    """The way to Document AI. Threads may share one; open it after any fork."""

    def send(self, endpoint: Endpoint, call: Call, seconds: float) -> Sent:
        """Sends one request, which ends within `seconds` however it ends. Never raises for what the other side does."""
        ...

    def ready(self, endpoint: Endpoint) -> bool:
        """Whether a call would leave at once."""
        ...

    def close(self) -> None: ...


class _Sent:
    def __init__(self) -> None:
        self.outcome: Future[Any | Failure] = Future()
        self._call: Any = None

    def watch(self, call: Any) -> None:
        self._call = call

    def end(self, outcome: Any | Failure) -> None:
        if not self.outcome.done():
            self.outcome.set_result(outcome)

    def cancel(self) -> None:
        if self._call is not None:
            self._call.cancel()


class GrpcTransport:
    """Over gRPC: TLS, mutual TLS, or none for an emulator."""

    def __init__(self, options: DocumentAIOptions, facts: Facts) -> None:
        check_installed()
        self._options = options
        self._facts = facts
        self._credentials = Credentials(options)
        self._lock = threading.Lock()
        self._lines: dict[str, _Line] = {}

    def send(self, endpoint: Endpoint, call: Call, seconds: float) -> Sent:
        sent = _Sent()
        raised = import_module("docfleet.engines.documentai.raised")
        line = self._line(endpoint.host)
        try:
            headers = self._credentials.headers(endpoint.host)
            request = process_request(endpoint, call, self._options, self._facts)
        except Exception as error:
            return _failed(sent, raised.failure_of(error), error)
        if failure := line.connect(self._options.connect_seconds):
            sent.end(failure)
            return sent
        headers.append(("x-goog-request-params", f"name={quote(endpoint.name, safe='')}"))
        headers.append(_CLIENT)
        under_way = line.process(request, seconds, headers)
        sent.watch(under_way)
        under_way.add_done_callback(lambda done: _take(done, sent, line, raised))
        return sent

    def ready(self, endpoint: Endpoint) -> bool:
        return self._line(endpoint.host).proven

    def operations(self, host: str) -> tuple[Any, list[tuple[str, str]]]:
        """The library's transport to a host, for batches and their operations, and the headers of one call."""
        line = self._line(host)
        return line.transport, [*self._credentials.headers(host), _CLIENT]

    def close(self) -> None:
        with self._lock:
            lines, self._lines = list(self._lines.values()), {}
        for line in lines:
            line.close()

    def _line(self, host: str) -> _Line:
        with self._lock:
            if host not in self._lines:
                self._lines[host] = _Line(host, self._options)
            return self._lines[host]


class _Line:
    """One channel."""

    def __init__(self, host: str, options: DocumentAIOptions) -> None:
        self._grpc: Any = import_module("grpc")
        self._host = host
        self._channel = self._open(host, options)
        transports = import_module("google.cloud.documentai_v1.services.document_processor_service.transports")
        self.transport = transports.DocumentProcessorServiceGrpcTransport(channel=self._channel)
        self._types = import_module("google.cloud.documentai_v1")
        self._heard = float("-inf")

    def _open(self, host: str, options: DocumentAIOptions) -> Any:
        settings = [
            ("grpc.max_send_message_length", -1),
            ("grpc.max_receive_message_length", -1),
            ("grpc.initial_reconnect_backoff_ms", 500),
            # in spite of its name: how long one attempt to connect may take
            ("grpc.min_reconnect_backoff_ms", int(options.connect_seconds * 1000)),
            ("grpc.max_reconnect_backoff_ms", 3000),
        ]
        if options.insecure:
            return self._grpc.insecure_channel(host, options=settings)
        tls = self._grpc.ssl_channel_credentials(
            _file(options.ca_file), _file(options.client_key_file), _file(options.client_cert_file)
        )
        return self._grpc.secure_channel(host, tls, options=settings)

    @property
    def proven(self) -> bool:
        return time.monotonic() - self._heard < _PROVEN_SECONDS

    def heard(self) -> None:
        self._heard = time.monotonic()

    def lost(self) -> None:
        self._heard = float("-inf")

    def connect(self, seconds: float) -> Failure | None:
        """None once it is connected; why not, after `seconds` at the latest.

        Asked with a call that costs nothing and means nothing to the service: whatever it says of that, it is there.
        """
        if self.proven:
            return None
        try:
            self._channel.unary_unary("/grpc.health.v1.Health/Check")(b"", timeout=seconds + 1.0)
        except self._grpc.RpcError as error:
            if error.code() is self._grpc.StatusCode.UNAVAILABLE:
                return not_reached(self._host, seconds, error.details())
        return None

    def process(self, request: Any, seconds: float, headers: list[tuple[str, str]]) -> Any:
        wrapped = self._types.ProcessRequest.wrap(request)
        return self.transport.process_document.future(wrapped, timeout=seconds, metadata=headers)

    def close(self) -> None:
        self._channel.close()


def _take(done: Any, sent: _Sent, line: _Line, raised: Any) -> None:
    """Runs in a thread of gRPC, once."""
    try:
        response = done.result()
    except BaseException as error:
        failure: Failure | None = raised.failure_of(error)
        if failure is None or failure.kind is not FailureKind.AWAY:
            line.heard()
        elif failure.code != CANCELLED:
            # a call that was given up here says nothing of the line
            line.lost()
        _failed(sent, failure, error)
        return
    line.heard()
    sent.end(type(response).pb(response).document)


def _failed(sent: _Sent, failure: Failure | None, error: BaseException) -> _Sent:
    if failure is not None:
        sent.end(failure)
    elif not sent.outcome.done():
        sent.outcome.set_exception(error)
    return sent


class RestTransport:
    """Over REST, where a proxy lets no gRPC pass. Decoding is slow: seconds for thirty pages."""

    def __init__(self, options: DocumentAIOptions, facts: Facts) -> None:
        check_installed()
        self._options = options
        self._facts = facts
        self._credentials = Credentials(options)
        self._lock = threading.Lock()
        self._clients: dict[str, Any] = {}

    def send(self, endpoint: Endpoint, call: Call, seconds: float) -> Sent:
        sent = _Sent()
        thread = threading.Thread(
            target=self._send, args=(endpoint, call, seconds, sent), name="documentai-rest", daemon=True
        )
        thread.start()
        return sent

    def ready(self, endpoint: Endpoint) -> bool:
        return True

    def close(self) -> None:
        with self._lock:
            clients, self._clients = list(self._clients.values()), {}
        for client in clients:
            client.transport.close()

    def _send(self, endpoint: Endpoint, call: Call, seconds: float, sent: _Sent) -> None:
        raised = import_module("docfleet.engines.documentai.raised")
        try:
            types = import_module("google.cloud.documentai_v1")
            request = types.ProcessRequest.wrap(process_request(endpoint, call, self._options, self._facts))
            client = self._client(endpoint.host)
            response = client.process_document(request=request, retry=None, timeout=seconds)
        except BaseException as error:
            _failed(sent, raised.failure_of(error), error)
            return
        sent.end(type(response).pb(response).document)

    def _client(self, host: str) -> Any:
        with self._lock:
            if host not in self._clients:
                services = import_module("google.cloud.documentai_v1.services.document_processor_service")
                transports = import_module(f"{services.__name__}.transports")
                anonymous = import_module("google.auth.credentials").AnonymousCredentials
                transport = transports.DocumentProcessorServiceRestTransport(
                    host=host,
                    credentials=self._credentials.load() or anonymous(),
                    url_scheme="http" if self._options.insecure else "https",
                )
                session = transport._session
                session.mount("https://", _adapter(self._options))
                self._clients[host] = services.DocumentProcessorServiceClient(transport=transport)
            return self._clients[host]


def _adapter(options: DocumentAIOptions) -> Any:
    """Certificates by the options: a session would rather take those that REQUESTS_CA_BUNDLE names. Proxies of the
    environment stay in force; room for as many connections as calls may be under way."""
    adapters = import_module("requests.adapters")
    given: dict[str, Any] = {}
    if options.ca_file:
        given["verify"] = options.ca_file
    if options.client_cert_file:
        given["cert"] = (options.client_cert_file, options.client_key_file or None)

    class Adapter(adapters.HTTPAdapter):  # type: ignore[misc, name-defined]
        def send(self, request: Any, **named: Any) -> Any:
            return super().send(request, **{**named, **given})

    return Adapter(pool_connections=2, pool_maxsize=_REST_CONNECTIONS)


def open_transport(options: DocumentAIOptions, facts: Facts) -> Transport:
    """Raises `EngineUnavailable` where Google's packages are missing, `UsageError` for files that are not there."""
    for path in (options.ca_file, options.client_cert_file, options.client_key_file, options.credentials_file):
        if path and not Path(path).is_file():
            raise UsageError(f"[documentai]: {path} is not a file.")
    return RestTransport(options, facts) if options.transport == "rest" else GrpcTransport(options, facts)


def check_installed() -> None:
    """Raises `EngineUnavailable`."""
    try:
        import_module("google.cloud.documentai_v1.types.document_processor_service")
        import_module("grpc")
    except ImportError as error:
        raise EngineUnavailable(
            f"Google's packages are not installed ({error}): pip install 'docfleet[documentai]'."
        ) from error


def check_credentials(options: DocumentAIOptions) -> Failure | None:
    """None when there are credentials; why not otherwise. Makes no call to Document AI."""
    raised = import_module("docfleet.engines.documentai.raised")
    try:
        Credentials(options).load()
    except Exception as error:
        failure: Failure | None = raised.failure_of(error)
        return failure or Failure(FailureKind.SETUP, "no_credentials", message=str(error))
    return None


def _file(path: str) -> bytes | None:
    return Path(path).read_bytes() if path else None


_CLIENT = ("x-goog-api-client", "gl-python/3 gccl/docfleet")
