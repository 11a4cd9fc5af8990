"""Where metrics are read: `/metrics` on a port of its own, and between processes of one machine a Unix socket.

Both answer from daemon threads, a few at a time, and never keep a process from ending.
"""

from __future__ import annotations

import contextlib
import socket
import socketserver
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from docfleet.errors import UsageError
from docfleet.telemetry import exposition, logger
from docfleet.telemetry.exposition import Snapshot

_log = logger("metrics")
PATH = "/metrics"
AT_A_TIME = 8
"""Scrapes; whoever comes beyond that is turned away, so that nobody can make threads here at will."""
_CLIENT_SECONDS = 10.0
_POLL_SECONDS = 0.2
_MOST_BYTES = 64 * 1024 * 1024

Render = Callable[[str], tuple[str, bytes]]
"""From an `Accept` header to media type and body."""


class _Limited(socketserver.ThreadingMixIn):
    daemon_threads = True
    block_on_close = False

    def __init__(self, *given: Any) -> None:
        self._places = threading.BoundedSemaphore(AT_A_TIME)
        super().__init__(*given)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._places.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)  # type: ignore[attr-defined]

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Whoever left before the answer was there: nothing to tell. All else is a defect, and nobody sees it but here:
        the answer is missing."""
        if not isinstance(sys.exception(), OSError):
            _log.exception("metrics_source_failed")


class _HttpServer(_Limited, socketserver.TCPServer):
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(self, host: str, port: int, handler: type[BaseHTTPRequestHandler]) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), handler)


class _SocketServer(_Limited, socketserver.UnixStreamServer):
    request_queue_size = 64


def _handler(render: Render) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = _CLIENT_SECONDS
        server_version = "docfleet"
        sys_version = ""

        def do_GET(self) -> None:
            if self.path.partition("?")[0] != PATH:
                self._answer(404, "text/plain; charset=utf-8", f"There is {PATH} here.\n".encode())
                return
            self._answer(200, *render(self.headers.get("accept", "")))

        def _answer(self, status: int, media_type: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("content-type", media_type)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *given: Any) -> None:
            """Who scrapes is nothing to log."""

    return Handler


@contextlib.contextmanager
def serving_http(host: str, port: int, render: Render) -> Iterator[int]:
    """Answers `GET /metrics` during the block; the port (0: any free one). Raises `UsageError` when it is taken."""
    try:
        server = _HttpServer(host, port, _handler(render))
    except OSError as error:
        raise UsageError(
            f"Metrics cannot be served on {host}:{port}: {error.strerror or error}. Set another "
            "DOCFLEET_TELEMETRY__METRICS_PORT, or 0 for none."
        ) from error
    with _running(server, "metrics"):
        yield server.socket.getsockname()[1]


@contextlib.contextmanager
def serving_socket(path: Path, snapshot: Callable[[], Snapshot]) -> Iterator[None]:
    """Tells whoever connects to a Unix socket what there is, during the block. Raises `UsageError`."""

    class Handler(socketserver.StreamRequestHandler):
        timeout = _CLIENT_SECONDS

        def handle(self) -> None:
            self.wfile.write(exposition.encode(snapshot()))

    try:
        # that of a process of the same name before this one, however it ended
        path.unlink(missing_ok=True)
        server = _SocketServer(str(path), Handler)
    except OSError as error:
        raise UsageError(f"Metrics cannot be served at {path}: {error.strerror or error}.") from error
    try:
        path.chmod(0o600)
        with _running(server, "metrics"):
            yield
    finally:
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def _running(server: socketserver.BaseServer, name: str) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, args=(_POLL_SECONDS,), name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


def ask_socket(path: Path, seconds: float) -> Snapshot | None:
    """What the process behind a Unix socket tells; None: it does not, within so long.

    Raises `msgspec.MsgspecError` for what is no snapshot: then all of this process is missing from the scrape.
    """
    heard = bytearray()
    try:
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(seconds)
            line.connect(str(path))
            while (part := line.recv(65536)) and len(heard) <= _MOST_BYTES:
                heard += part
        return exposition.decode(heard) if heard else None
    except OSError:
        return None
