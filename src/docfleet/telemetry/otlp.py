"""Sends spans to a collector: OTLP over HTTP, protobuf, as Jaeger, Tempo and the OpenTelemetry Collector take it.

A thread of its own sends what has gathered. Nobody ever waits for it: what does not fit into the queue while the
collector is away is dropped and counted. Protocol and retryable answers: opentelemetry.io/docs/specs/otlp, "OTLP/HTTP".
"""

from __future__ import annotations

import gzip
import os
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import msgspec

from docfleet import __version__
from docfleet.errors import UsageError
from docfleet.telemetry.logs import logger
from docfleet.telemetry.otlp_options import OtlpOptions
from docfleet.telemetry.spans import Kind
from docfleet.telemetry.traces import Span, Value, start_tracing, stop_tracing

if TYPE_CHECKING:
    import httpx

MOST_WAITING = 8192
"""Spans that wait to be sent."""
MOST_AT_ONCE = 512
GATHER_SECONDS = 1.0
TIMEOUT_SECONDS = 5.0
END_SECONDS = 2.0
"""A process that stops spends no longer than this on what is left."""
LONGEST_PAUSE = 30.0
RETRYABLE = frozenset({429, 502, 503, 504})

log = logger("traces")


@contextmanager
def exporting(options: OtlpOptions, role: str, region: str = "") -> Iterator[None]:
    """While the block lasts, spans of this process are sent. Raises `UsageError` when that cannot be."""
    if not options.endpoint:
        yield
        return
    exporter = Exporter(options, resource_of(role, region))
    start_tracing(options.ratio, exporter.take, options.tell_failed)
    try:
        yield
    finally:
        stop_tracing()
        exporter.close(END_SECONDS)


def resource_of(role: str, region: str) -> dict[str, str]:
    """What all spans of this process have in common."""
    return {
        "service.name": f"docfleet-{role}",
        "service.namespace": "docfleet",
        "service.version": __version__,
        "service.instance.id": f"{socket.gethostname()}-{os.getpid()}",
        **({"docfleet.region": region} if region else {}),
    }


class Exporter:
    """Takes spans from any thread. `dropped`: how many it could not keep, or the collector did not take."""

    def __init__(self, options: OtlpOptions, resource: Mapping[str, str]) -> None:
        self._encoder = Encoder(resource)
        self._url = options.url
        self._client = _client(options)
        self._waiting: deque[Span] = deque()
        self._lock = threading.Lock()
        self._news = threading.Event()
        self._ending = threading.Event()
        self._deadline = float("inf")
        self._is_away = False
        self.sent = 0
        self.dropped = 0
        self._thread = threading.Thread(target=self._run, name="traces", daemon=True)
        self._thread.start()

    def take(self, span: Span) -> None:
        with self._lock:
            if len(self._waiting) >= MOST_WAITING:
                self.dropped += 1
                return
            self._waiting.append(span)
            is_batch = len(self._waiting) >= MOST_AT_ONCE
        if is_batch:
            self._news.set()

    def close(self, seconds: float) -> None:
        """Sends what is left, as far as that goes in so many seconds."""
        self._deadline = time.monotonic() + seconds
        self._ending.set()
        self._news.set()
        self._thread.join(seconds)
        self._client.close()
        left = len(self._waiting)
        if left or self.dropped:
            log.warning("spans_dropped", dropped=self.dropped + left, sent=self.sent)

    def _run(self) -> None:
        pause = GATHER_SECONDS
        while True:
            # while the collector is away, only the end is news
            (self._ending if pause > GATHER_SECONDS else self._news).wait(pause)
            is_last = self._ending.is_set()
            self._news.clear()
            pause = self._send_all(pause)
            if is_last:
                return

    def _send_all(self, pause: float) -> float:
        """Seconds until the next time: longer and longer while the collector is away."""
        while batch := self._first():
            try:
                outcome = self._post(batch)
            except Exception as error:
                # whatever it is: nobody may be the worse for it
                outcome = _Outcome(False, type(error).__name__)
            if not outcome.is_done:
                self._away(outcome.said)
                return max(outcome.after_seconds, min(LONGEST_PAUSE, 2 * pause))
            with self._lock:
                for _ in batch:
                    self._waiting.popleft()
            self._count(len(batch), outcome)
            if time.monotonic() >= self._deadline:
                break
        return GATHER_SECONDS

    def _first(self) -> list[Span]:
        with self._lock:
            return [self._waiting[number] for number in range(min(MOST_AT_ONCE, len(self._waiting)))]

    def _post(self, batch: Sequence[Span]) -> _Outcome:
        body = gzip.compress(self._encoder.encode(batch), 1)
        seconds = min(TIMEOUT_SECONDS, max(0.1, self._deadline - time.monotonic()))
        answer = self._client.post(self._url, content=body, timeout=seconds)
        if answer.is_success:
            return _Outcome(True, rejected=self._encoder.rejected(answer.content))
        if answer.status_code in RETRYABLE:
            return _Outcome(False, str(answer.status_code), after_seconds=_retry_after(answer))
        return _Outcome(True, str(answer.status_code), rejected=len(batch))

    def _count(self, size: int, outcome: _Outcome) -> None:
        self.sent += size - outcome.rejected
        self.dropped += outcome.rejected
        if outcome.rejected:
            self._away(outcome.said or "rejected")
        elif self._is_away:
            self._is_away = False
            log.warning("traces_sent_again", dropped=self.dropped)

    def _away(self, said: str) -> None:
        if not self._is_away:
            self._is_away = True
            log.warning("traces_not_sent", reason=said)


class _Outcome(msgspec.Struct, frozen=True):
    is_done: bool
    """Taken, or refused for good."""
    said: str = ""
    rejected: int = 0
    after_seconds: float = 0.0


def _retry_after(answer: httpx.Response) -> float:
    said = answer.headers.get("retry-after", "")
    return min(float(said), LONGEST_PAUSE) if said.isascii() and said.isdecimal() else 0.0


def _client(options: OtlpOptions) -> httpx.Client:
    import httpx

    verify: ssl.SSLContext | bool = True
    if options.ca_file is not None:
        try:
            verify = ssl.create_default_context(cafile=str(options.ca_file))
        except (OSError, ssl.SSLError) as error:
            raise UsageError(f"The certificates for traces in {options.ca_file} cannot be used: {error}.") from error
    headers = {
        **options.headers,
        "content-type": "application/x-protobuf",
        "content-encoding": "gzip",
        "user-agent": f"docfleet/{__version__}",
    }
    if not options.url.startswith(("http://", "https://")):
        raise UsageError("The endpoint for traces (telemetry.otlp_endpoint) is no http:// or https:// address.")
    try:
        return httpx.Client(headers=headers, verify=verify, trust_env=False)
    except (ValueError, httpx.InvalidURL) as error:
        raise UsageError("The headers for traces cannot be sent.") from error


class Encoder:
    """Spans as an `ExportTraceServiceRequest`."""

    def __init__(self, resource: Mapping[str, str]) -> None:
        try:
            from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
            from opentelemetry.proto.common.v1 import common_pb2
            from opentelemetry.proto.trace.v1 import trace_pb2
        except ImportError as error:
            raise UsageError(
                "Traces are wanted (telemetry.otlp_endpoint), but what sends them is not installed: "
                "pip install 'docfleet[telemetry]'."
            ) from error
        self._request = trace_service_pb2.ExportTraceServiceRequest
        self._response = trace_service_pb2.ExportTraceServiceResponse
        self._types, self._value = trace_pb2, common_pb2.KeyValue
        self._any = common_pb2.AnyValue
        self._resource = resource
        kinds = trace_pb2.Span
        self._kinds = {
            Kind.INTERNAL: kinds.SPAN_KIND_INTERNAL, Kind.SERVER: kinds.SPAN_KIND_SERVER,
            Kind.CLIENT: kinds.SPAN_KIND_CLIENT, Kind.CONSUMER: kinds.SPAN_KIND_CONSUMER,
        }  # fmt: skip

    def encode(self, spans: Sequence[Span]) -> bytes:
        request = self._request()
        group = request.resource_spans.add()
        group.resource.attributes.extend(self._attributes(self._resource))
        scope = group.scope_spans.add()
        scope.scope.name, scope.scope.version = "docfleet", __version__
        scope.spans.extend([self._span(span) for span in spans])
        return bytes(request.SerializeToString())

    def rejected(self, answer: bytes) -> int:
        """How many spans the collector did not take, as it says."""
        try:
            return max(0, int(self._response.FromString(answer).partial_success.rejected_spans))
        except Exception:
            # a collector that answers in another way took them
            return 0

    def _span(self, span: Span) -> Any:
        status = None
        if span.error:
            status = self._types.Status(code=self._types.Status.STATUS_CODE_ERROR, message=span.error)
        return self._types.Span(
            trace_id=bytes.fromhex(span.trace_id),
            span_id=bytes.fromhex(span.span_id),
            parent_span_id=bytes.fromhex(span.parent_id),
            name=span.name,
            kind=self._kinds[span.kind],
            start_time_unix_nano=nanos(span.start),
            end_time_unix_nano=nanos(span.end),
            attributes=self._attributes(span.attributes),
            events=[
                self._types.Span.Event(
                    name=event.name, time_unix_nano=nanos(event.at), attributes=self._attributes(event.attributes)
                )
                for event in span.events
            ],
            links=[
                self._types.Span.Link(trace_id=bytes.fromhex(link.trace_id), span_id=bytes.fromhex(link.span_id))
                for link in span.links
            ],
            status=status,
        )

    def _attributes(self, attributes: Mapping[str, Value]) -> list[Any]:
        return [self._value(key=name, value=self._any_value(value)) for name, value in attributes.items()]

    def _any_value(self, value: Value) -> Any:
        match value:
            case bool():
                return self._any(bool_value=value)
            case int():
                return self._any(int_value=value)
            case float():
                return self._any(double_value=value)
            case _:
                return self._any(string_value=str(value))


def nanos(seconds: float) -> int:
    """A time as OTLP has it; whole microseconds, which is what the float holds."""
    return round(seconds * 1e6) * 1000
