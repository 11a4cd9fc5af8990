"""Traces: which trace and span a thing belongs to, whether it is told, and telling it.

The trace of a document is named after the document: the ids of its trace, of its root span and of each attempt follow
from ids of the ledger. So no process has to hear from another where it is, a Redis that loses its hints loses no
trace, and what a killed worker had begun is told by others under the same id. A client that sends a W3C `traceparent`
gives the trace its own id; the ledger keeps that with the document.

Whether a trace is told follows from its id as well (`ratio`), or from the client's flag: all processes agree. Off, as
it is by default, every call here costs a look at a variable.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

import msgspec

from docfleet.telemetry import metrics
from docfleet.telemetry.spans import Kind, declared

Value = str | int | float | bool
_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_NO_TRACE, _NO_SPAN = "0" * 32, "0" * 16
MOST_EVENTS = 64
"""Of one span."""
MOST_COLLECTED = 256
"""Spans that a process hands to another at a time; more are dropped."""


class SpanEvent(msgspec.Struct, frozen=True, omit_defaults=True):
    name: str
    at: float
    attributes: Mapping[str, Value] = {}


class Link(msgspec.Struct, frozen=True):
    """To a span of another trace."""

    trace_id: str
    span_id: str


class Span(msgspec.Struct, frozen=True, omit_defaults=True):
    """A span that has ended. Times are seconds since 1970; ids are hexadecimal."""

    name: str
    """One of `spans.SPANS`."""
    trace_id: str
    span_id: str
    parent_id: str
    """Empty: it is a root."""
    start: float
    end: float
    attributes: Mapping[str, Value] = {}
    events: tuple[SpanEvent, ...] = ()
    links: tuple[Link, ...] = ()
    error: str = ""
    """A code; empty: nothing went wrong."""

    @property
    def kind(self) -> Kind:
        return declared(self.name).kind


# --- whose trace


class Remote(msgspec.Struct, frozen=True):
    """A span of somebody else's, as their request says."""

    trace_id: str
    span_id: str
    is_sampled: bool

    @property
    def header(self) -> str:
        return f"00-{self.trace_id}-{self.span_id}-{'01' if self.is_sampled else '00'}"


def read_traceparent(header: str) -> Remote | None:
    """A W3C `traceparent`; None for one that is not valid (the specification: then it is as if there were none).

    >>> read_traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").is_sampled
    True
    """
    found = _TRACEPARENT.fullmatch(header.strip())
    if found is None:
        return None
    version, trace_id, span_id, flags, more = found.groups()
    if version == "ff" or (version == "00" and more) or trace_id == _NO_TRACE or span_id == _NO_SPAN:
        return None
    return Remote(trace_id, span_id, bool(int(flags, 16) & 1))


class DocumentTrace(msgspec.Struct, frozen=True):
    """The trace of one document."""

    document_id: str
    trace_id: str
    parent_id: str
    """Of the client's span; empty: the document's span is the root."""
    is_sampled: bool
    upload_seconds: float = 0.0
    """From the arrival of its request until it was accepted."""

    @property
    def root_id(self) -> str:
        return _span_id("document", self.document_id)

    def round_id(self, number: int) -> str:
        return _span_id("round", self.document_id, number)

    def attempt_id(self, slice_id: int, token: int) -> str:
        return _span_id("attempt", self.document_id, slice_id, token)

    def queue_id(self, slice_id: int, token: int) -> str:
        """Of the wait that ended with the claim of this token."""
        return _span_id("queue", self.document_id, slice_id, token)


def trace_of(document_id: str, kept: str = "", ratio: float = 1.0) -> DocumentTrace:
    """`kept`: what the ledger keeps with the document (`keep`)."""
    header, _, seconds = kept.partition(";")
    remote = read_traceparent(header) if header else None
    if remote is None:
        trace_id = hashlib.sha256(f"docfleet trace {document_id}".encode()).hexdigest()[:32]
        return DocumentTrace(document_id, trace_id, "", is_chosen(trace_id, ratio), _seconds(seconds))
    return DocumentTrace(document_id, remote.trace_id, remote.span_id, remote.is_sampled, _seconds(seconds))


def keep(remote: Remote | None, upload_seconds: float) -> str:
    """What the ledger keeps with a document: the client's `traceparent`, and how long the upload took."""
    return f"{remote.header if remote is not None else ''};{upload_seconds:.4f}"


def is_chosen(trace_id: str, ratio: float) -> bool:
    """Whether this share of all traces has it, by the last 56 bits of its id, which the W3C wants to be random."""
    return int(trace_id[-14:], 16) < ratio * (1 << 56)


def new_span_id() -> str:
    return secrets.token_hex(8)


def _span_id(*parts: object) -> str:
    return hashlib.sha256(" ".join(["docfleet", *map(str, parts)]).encode()).hexdigest()[:16]


def _seconds(text: str) -> float:
    try:
        return min(max(0.0, float(text)), 86_400.0) if text else 0.0
    except ValueError:
        return 0.0


# --- what this process does with spans


class _Tracing(msgspec.Struct, frozen=True):
    ratio: float
    sink: Callable[[Span], None]
    tell_failed: bool


_tracing: _Tracing | None = None


def start_tracing(ratio: float, sink: Callable[[Span], None], tell_failed: bool = True) -> None:
    """From now on this process tells spans to `sink`, which must neither block nor raise; threads call it.

    `tell_failed`: what is known in hindsight of a document that failed is told although its trace was not chosen.
    """
    global _tracing
    _tracing = _Tracing(ratio, sink, tell_failed)
    metrics.trace_source(current_trace_id)


def stop_tracing() -> None:
    global _tracing
    _tracing = None


def is_on() -> bool:
    return _tracing is not None


def tells_failed() -> bool:
    return _tracing is not None and _tracing.tell_failed


def document_trace(document_id: str, kept: str = "") -> DocumentTrace:
    """The trace of a document, by this process's share of traces; none are told while tracing is off."""
    return trace_of(document_id, kept, _tracing.ratio if _tracing is not None else 0.0)


def chooses(trace_id: str) -> bool:
    """Whether this process's share of traces has it."""
    return _tracing is not None and is_chosen(trace_id, _tracing.ratio)


def tell(span: Span) -> None:
    if _tracing is not None:
        _tracing.sink(span)


class Collected:
    """A sink for a process that hands its spans to another."""

    def __init__(self) -> None:
        self._spans: list[Span] = []
        self._lock = threading.Lock()

    def __call__(self, span: Span) -> None:
        with self._lock:
            if len(self._spans) < MOST_COLLECTED:
                self._spans.append(span)

    def take(self) -> tuple[Span, ...]:
        """All since the last call."""
        with self._lock:
            taken, self._spans = self._spans, []
        return tuple(taken)


# --- where this thread is


class Place(msgspec.Struct, frozen=True):
    """A span that is under way, to which others may be children."""

    trace_id: str
    span_id: str
    ahead: float
    """Of the database's clock to the monotonic one of this process: all spans of a trace tell the database's time."""
    pages: int = 0
    """Its share of a request for several."""
    is_sampled: bool = True
    """Not: its trace was not chosen, and what it is about is told only if it fails."""

    def at(self, monotonic: float) -> float:
        return self.ahead + monotonic


_places: ContextVar[tuple[Place, ...]] = ContextVar("places", default=())


def place_of_attempt(
    document_id: str,
    kept: str,
    slice_id: int,
    token: int,
    started_at: float,
    seen: float | None = None,
    pages: int = 0,
    *,
    in_case: bool = False,
) -> Place | None:
    """Where the work on a claim is told; None when it is not.

    `in_case`: whoever asks holds back what it is told of a place that is not sampled, until it knows how that ended;
    else there is no such place.
    `started_at`: when it was claimed, by the database; `seen`: when its claim came back, by this process's monotonic
    clock (None: now). Counted from there, no span of the work begins before its attempt or ends after it.
    """
    if _tracing is None:
        return None
    found = document_trace(document_id, kept)
    if not found.is_sampled and not (in_case and _tracing.tell_failed):
        return None
    ahead = started_at - (time.monotonic() if seen is None else seen)
    return Place(found.trace_id, found.attempt_id(slice_id, token), ahead, pages, found.is_sampled)


@contextmanager
def at(*places: Place | None) -> Iterator[None]:
    """What this thread does in the block belongs to these spans."""
    told = tuple(place for place in places if place is not None)
    if not told and not _places.get():
        yield
        return
    token = _places.set(told)
    try:
        yield
    finally:
        _places.reset(token)


def current() -> Place | None:
    """The innermost span of this thread that others would be children of; None when nothing is told."""
    places = _places.get()
    return places[0] if len(places) == 1 else None


def places() -> tuple[Place, ...]:
    """All the spans this thread works for: several while it makes one request for several documents."""
    return _places.get()


def current_trace_id() -> str:
    """For exemplars; empty when nothing is told, or nobody knows yet whether it will be."""
    places = _places.get()
    return places[0].trace_id if places and places[0].is_sampled else ""


class _Under:
    """A span under way; `set` and `add` say more of it."""

    __slots__ = ("_attributes", "_events", "_name", "_parent", "_place", "_started", "_token")

    def __init__(self, name: str, parent: Place | None, attributes: dict[str, Value]) -> None:
        self._name = name
        self._parent = parent
        self._attributes = attributes
        self._events: list[SpanEvent] = []

    def set(self, **attributes: Value) -> None:
        """Names are given without `docfleet.`, and with `_` for further dots."""
        if self._parent is not None:
            self._attributes.update(attributes)

    def add(self, event: str, **attributes: Value) -> None:
        """Something that happened now; no more than `MOST_EVENTS` are kept."""
        if self._parent is not None and len(self._events) < MOST_EVENTS:
            self._events.append(SpanEvent(event, self._parent.at(time.monotonic()), named(attributes)))

    def __enter__(self) -> _Under:
        if self._parent is not None:
            self._started = time.monotonic()
            self._place = Place(self._parent.trace_id, new_span_id(), self._parent.ahead, 0, self._parent.is_sampled)
            self._token = _places.set((self._place,))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if self._parent is None:
            return
        _places.reset(self._token)
        code = error_type(error) if error is not None else ""
        attributes = named(self._attributes) | ({"error.type": code} if code else {})
        tell(
            Span(
                self._name, self._parent.trace_id, self._place.span_id, self._parent.span_id,
                self._parent.at(self._started), self._parent.at(time.monotonic()), attributes, tuple(self._events),
                (), code,
            )
        )  # fmt: skip


_NOTHING = _Under("", None, {})


def span(name: str, **attributes: Value) -> _Under:
    """A child of where this thread is, told at the end of the block. Attributes as in `_Under.set`.

    An exception is told by its code or the name of its class, never by its words: they may quote a document.
    """
    parent = current() if _tracing is not None else None
    return _Under(name, parent, attributes) if parent is not None else _NOTHING


def error_type(error: BaseException) -> str:
    """A code of ours, or the name of the class."""
    return str(getattr(error, "code", "") or type(error).__qualname__)


def named(attributes: Mapping[str, Value]) -> dict[str, Value]:
    """`pages_failed` as `docfleet.pages.failed`; full names stay."""
    return {name if "." in name else f"docfleet.{_dotted(name)}": value for name, value in attributes.items()}


def _dotted(name: str) -> str:
    return name if name == "media_type" else name.replace("_", ".")
