"""Webhook receivers on real sockets that behave as receivers do: well, badly, slowly, not at all."""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec


class Received(msgspec.Struct, frozen=True):
    at: float
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes
    path: str

    @property
    def data(self) -> Any:
        return json.loads(self.body)


Behaviour = Callable[[BaseHTTPRequestHandler, int], None]
"""Answers request number n (from 1)."""


def answer(status: int, **headers: str) -> Behaviour:
    def behave(handler: BaseHTTPRequestHandler, number: int) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return behave


def in_turn(*behaviours: Behaviour) -> Behaviour:
    """The last one goes on."""

    def behave(handler: BaseHTTPRequestHandler, number: int) -> None:
        behaviours[min(number, len(behaviours)) - 1](handler, number)

    return behave


def after(seconds: float, behaviour: Behaviour) -> Behaviour:
    def behave(handler: BaseHTTPRequestHandler, number: int) -> None:
        time.sleep(seconds)
        behaviour(handler, number)

    return behave


def dripping(seconds_per_byte: float) -> Behaviour:
    """An answer whose head never ends."""

    def behave(handler: BaseHTTPRequestHandler, number: int) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
        for _ in range(200):
            handler.wfile.write(b"x")
            handler.wfile.flush()
            time.sleep(seconds_per_byte)

    return behave


def hanging_up(handler: BaseHTTPRequestHandler, number: int) -> None:
    handler.connection.close()


def rubbish(handler: BaseHTTPRequestHandler, number: int) -> None:
    handler.wfile.write(b"\x00\xffSSH-2.0-rubbish\r\n\r\n")


def endless(handler: BaseHTTPRequestHandler, number: int) -> None:
    """200, and then a body without end."""
    handler.send_response(200)
    handler.end_headers()
    while True:
        handler.wfile.write(b"x" * 65_536)


class Receiver:
    def __init__(self, port: int, scheme: str) -> None:
        self.port = port
        self.url = f"{scheme}://localhost:{port}/hook?x=1"
        self.received: list[Received] = []

    def wait_for(self, count: int, seconds: float = 15.0) -> list[Received]:
        deadline = time.monotonic() + seconds
        while len(self.received) < count:
            assert time.monotonic() < deadline, f"only {len(self.received)} of {count} messages came"
            time.sleep(0.01)
        return self.received


@contextmanager
def receiver(behaviour: Behaviour = answer(204), tls: ssl.SSLContext | None = None) -> Iterator[Receiver]:  # noqa: B008
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 30

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            said = {name.lower(): value for name, value in self.headers.items()}
            with lock:
                running.received.append(Received(time.time(), said, body, self.path))
                number = len(running.received)
            self.close_connection = True
            try:
                behaviour(self, number)
            except OSError:
                self.close_connection = True

        do_GET = do_POST

        def finish(self) -> None:
            try:
                super().finish()
            except (OSError, ValueError):
                self.connection.close()

        def log_message(self, *args: Any) -> None:
            """Requests are no news."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.handle_error = lambda *args: None  # type: ignore[method-assign]
    server.block_on_close = False
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    running = Receiver(server.server_port, "https" if tls else "http")
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield running
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
