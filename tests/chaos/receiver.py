"""A webhook receiver with a bad memory for manners: it logs what comes and now and then refuses or hangs up."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec

from chaos.auditor import Reception


@contextmanager
def run_receiver(log: Path, seed: int, refuse: float = 0.05) -> Iterator[str]:
    """Yields its URL. A share of `refuse` of the requests is answered 500, as many are taken but not answered."""
    dice = random.Random(seed)
    lock = threading.Lock()
    troubled: set[str] = set()
    out = log.open("ab", buffering=0)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            document = body.get("data", {}).get("document") or {}
            with lock:
                # each message is troubled once: after a second failure senders wait for minutes
                id_ = self.headers["webhook-id"]
                draw = 1.0 if id_ in troubled else dice.random()
                troubled.add(id_)
                status = 500 if draw < refuse else 204
                line = Reception(
                    time.time(), id_, body["type"], document.get("id", ""),
                    document.get("state", ""), status,
                )  # fmt: skip
                out.write(msgspec.json.encode(line) + b"\n")
            if refuse <= draw < 2 * refuse:
                self.close_connection = True
                return
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/hook"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        out.close()
