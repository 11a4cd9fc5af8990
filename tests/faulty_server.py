"""A server that answers as it was told to, breaks off, stalls or hangs up: what a client must live with."""

from __future__ import annotations

import http.server
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Asked:
    """One request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    at: float


class Exchange(http.server.BaseHTTPRequestHandler):
    """What a script is given for each request."""

    protocol_version = "HTTP/1.1"

    def answer(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def begin_stream(self, content_type: str = "text/event-stream", headers: dict[str, str] | None = None) -> None:
        """A body that ends with the connection."""
        self.send_response(200)
        for name, value in {"Content-Type": content_type, "Connection": "close", **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.close_connection = True

    def say(self, text: str) -> None:
        self.wfile.write(text.encode())
        self.wfile.flush()

    def hang_up(self) -> None:
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None: ...


Script = Callable[[Exchange, Asked], None]


@dataclass
class Faulty:
    url: str
    asked: list[Asked] = field(default_factory=list)


@contextmanager
def faulty_server(script: Script) -> Iterator[Faulty]:
    """Serves `script(exchange, asked)` on a free port of this machine."""

    class Handler(Exchange):
        def handle_one(self) -> None:
            size = int(self.headers.get("Content-Length") or 0)
            asked = Asked(self.command, self.path, dict(self.headers.items()), self.rfile.read(size), time.monotonic())
            faulty.asked.append(asked)
            script(self, asked)

        do_GET = do_POST = do_DELETE = do_PATCH = handle_one

    class Server(http.server.ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None: ...

    server = Server(("127.0.0.1", 0), Handler)
    faulty = Faulty(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield faulty
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
