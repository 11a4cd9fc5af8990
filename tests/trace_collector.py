"""A collector of traces: takes OTLP over HTTP, keeps every span, and checks that a trace has no gap."""

from __future__ import annotations

import gzip
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

CLOCK_SECONDS = 0.002
"""SQLite counts whole milliseconds."""
AFTER_ITS_PARENT = frozenset({"POST webhook"})
"""Begins when its parent has ended."""


@dataclass(frozen=True)
class Seen:
    """A span as it arrived."""

    service: str
    name: str
    kind: int
    trace_id: str
    span_id: str
    parent_id: str
    start: float
    end: float
    attributes: dict[str, Any]
    events: tuple[tuple[str, dict[str, Any]], ...]
    links: tuple[tuple[str, str], ...]
    error: str

    @property
    def document(self) -> str:
        return str(self.attributes.get("docfleet.document", ""))


@dataclass
class Collector:
    """Set `answer` for what it is to say: a status other than 200 is told without taking anything."""

    url: str = ""
    answer: int = 200
    rejects: int = 0
    headers: list[dict[str, str]] = field(default_factory=list)
    spans: list[Seen] = field(default_factory=list)
    requests: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        with self.lock:
            self.requests += 1
            self.headers.append(headers)
            if self.answer != 200:
                return self.answer, b""
            data = gzip.decompress(body) if headers.get("content-encoding") == "gzip" else body
            self.spans += _read(ExportTraceServiceRequest.FromString(data))
            response = ExportTraceServiceResponse()
            response.partial_success.rejected_spans = self.rejects
            return 200, response.SerializeToString()

    def of(self, document: str) -> list[Seen]:
        """All spans of the trace of a document, each once, by their beginning."""
        with self.lock:
            traces = {one.trace_id for one in self.spans if one.document == document and one.name == "document"}
            unique = {one.span_id: one for one in self.spans if one.trace_id in traces}
        return sorted(unique.values(), key=lambda one: (one.start, one.end))

    def wait(self, document: str, true: Callable[[list[Seen]], object], seconds: float = 20) -> list[Seen]:
        """The spans of a document once `true` of them; fails the test when that does not come."""
        deadline = time.monotonic() + seconds
        while not true(found := self.of(document)):
            assert time.monotonic() < deadline, f"not told in time; told were {[one.name for one in found]}"
            time.sleep(0.1)
        return found


def check_chain(spans: Sequence[Seen], remote: str = "") -> None:
    """One trace; every parent is there (but `remote`, a client's); children are within their parents' time."""
    assert len({one.trace_id for one in spans}) == 1
    by_id = {one.span_id: one for one in spans}
    assert len(by_id) == len(spans)
    roots = [one for one in spans if one.parent_id == remote]
    assert [one.name for one in roots] == ["document"], [one.name for one in roots]
    for one in spans:
        assert one.end >= one.start, one
        if one.parent_id == remote:
            continue
        assert one.parent_id in by_id, f"the parent of {one.name} is missing"
        parent = by_id[one.parent_id]
        assert one.start >= parent.start - CLOCK_SECONDS, (one, parent)
        if one.name in AFTER_ITS_PARENT or (one.name == "tried again"):
            assert one.start >= parent.end - CLOCK_SECONDS
        else:
            assert one.end <= parent.end + CLOCK_SECONDS, (one, parent)


def names(spans: Sequence[Seen]) -> dict[str, int]:
    found: dict[str, int] = defaultdict(int)
    for one in spans:
        found[one.name] += 1
    return dict(found)


def attempts(spans: Sequence[Seen]) -> list[tuple[str, int, str]]:
    """(step, number, outcome) of each, in order."""
    return [
        (
            one.attributes["docfleet.step"], one.attributes["docfleet.attempt"], one.attributes["docfleet.outcome"],
        )
        for one in spans
        if one.name == "attempt"
    ]  # fmt: skip


@contextmanager
def collecting() -> Iterator[Collector]:
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            assert self.path == "/v1/traces"
            status, answer = collector.take({k.lower(): v for k, v in self.headers.items()}, body)
            self.send_response(status)
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    collector.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield collector
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _read(request: ExportTraceServiceRequest) -> Iterator[Seen]:
    for group in request.resource_spans:
        service = _attributes(group.resource.attributes)["service.name"]
        for scope in group.scope_spans:
            for span in scope.spans:
                yield Seen(
                    service,
                    span.name,
                    span.kind,
                    span.trace_id.hex(),
                    span.span_id.hex(),
                    span.parent_span_id.hex(),
                    span.start_time_unix_nano / 1e9,
                    span.end_time_unix_nano / 1e9,
                    _attributes(span.attributes),
                    tuple((event.name, _attributes(event.attributes)) for event in span.events),
                    tuple((link.trace_id.hex(), link.span_id.hex()) for link in span.links),
                    span.status.message if span.status.code == 2 else "",
                )


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}
