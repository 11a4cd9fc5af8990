"""Every span docfleet tells, and every attribute a span may have: declared once, documented and tested from here.

Attributes are ids, counts, codes and names of docfleet's own; never a file name, a word of a document, an address of a
person or machine, a key. Names without `docfleet.` are stable ones of OpenTelemetry's semantic conventions.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import msgspec


class Kind(StrEnum):
    """What OpenTelemetry calls the kind of a span."""

    INTERNAL = "internal"
    SERVER = "server"
    CLIENT = "client"
    CONSUMER = "consumer"


class SpanKind(msgspec.Struct, frozen=True):
    """A declared kind of span."""

    name: str
    kind: Kind
    told_by: str
    """The role whose process tells it."""
    parent: str
    """Name of the span it is below; empty: it is a root."""
    help: str
    attributes: tuple[str, ...] = ()


DOCUMENT = "document"
ROUND = "tried again"
UPLOAD = "POST /v1/documents"
STORE_SOURCE = "store source"
QUEUE = "queue"
ATTEMPT = "attempt"
FETCH = "fetch"
OPEN = "open"
READ = "read"
WRITE = "write results"
STORE = "store results"
KEEP = "store pages"
REQUEST = "engine request"
SHARE = "engine request share"
WEBHOOK = "POST webhook"
DOCUMENTAI_CALL = "Document AI call"

_SLICE = ("docfleet.document", "docfleet.slice", "docfleet.step", "docfleet.pages.first", "docfleet.pages.last")

SPANS: tuple[SpanKind, ...] = (
    SpanKind(
        DOCUMENT,
        Kind.INTERNAL,
        "dispatcher",
        "",
        "The whole life of a document, from the first byte of its upload to its end. Its parent is the span of the "
        "client whose request carried a `traceparent`. Told when the document has ended.",
        (
            "docfleet.document", "docfleet.batch", "docfleet.tenant", "docfleet.region", "docfleet.pool",
            "docfleet.priority", "docfleet.state", "docfleet.code", "docfleet.pages", "docfleet.pages.failed",
            "docfleet.round", "docfleet.spans.left_out", "error.type",
        ),
    ),
    SpanKind(
        ROUND,
        Kind.INTERNAL,
        "dispatcher",
        DOCUMENT,
        "A further round of a document that had ended, because somebody asked for it.",
        ("docfleet.document", "docfleet.round", "docfleet.state", "docfleet.code", "docfleet.pages.failed",
         "docfleet.spans.left_out", "error.type"),
    ),
    SpanKind(
        UPLOAD,
        Kind.SERVER,
        "api",
        DOCUMENT,
        "The request that brought the document: from its arrival to the moment from which it cannot be lost any more.",
        ("http.request.method", "http.route", "http.response.status_code", "docfleet.document", "docfleet.bytes",
         "docfleet.media_type"),
    ),
    SpanKind(
        STORE_SOURCE,
        Kind.INTERNAL,
        "api",
        UPLOAD,
        "Its bytes, as they arrived: recognised, encrypted, stored.",
        ("docfleet.bytes",),
    ),
    SpanKind(
        QUEUE,
        Kind.INTERNAL,
        "dispatcher",
        f"{DOCUMENT} or {ROUND}",
        "A slice that waits for a worker: new, or after an attempt, back-off included.",
        _SLICE,
    ),
    SpanKind(
        ATTEMPT,
        Kind.CONSUMER,
        "dispatcher",
        f"{DOCUMENT} or {ROUND}",
        "One try at a slice, from its claim to its end in the ledger, whoever wrote that: also the try of a worker "
        "that was killed. Attempts are siblings.",
        (*_SLICE, "docfleet.attempt", "docfleet.token", "docfleet.worker", "docfleet.outcome", "docfleet.cause",
         "error.type"),
    ),
    SpanKind(FETCH, Kind.INTERNAL, "worker", ATTEMPT, "The document's bytes from the store, decrypted.",
             ("docfleet.bytes", "docfleet.cached")),
    SpanKind(OPEN, Kind.INTERNAL, "worker", ATTEMPT, "The sandbox opens the document and counts its pages.",
             ("docfleet.pages", "docfleet.repaired")),
    SpanKind(
        READ,
        Kind.INTERNAL,
        "worker",
        ATTEMPT,
        "Pages are read; an event `page` for each of the first 64 says by which engine, why, and how long it took.",
        ("docfleet.pages", "docfleet.pages.failed", "docfleet.engine"),
    ),
    SpanKind(KEEP, Kind.INTERNAL, "worker", ATTEMPT, "What was read is stored for the step that assembles.", ()),
    SpanKind(WRITE, Kind.INTERNAL, "worker", ATTEMPT, "The result files are made.", ("docfleet.formats",)),
    SpanKind(STORE, Kind.INTERNAL, "worker", ATTEMPT, "The result files are encrypted and stored.",
             ("docfleet.files", "docfleet.bytes")),
    SpanKind(
        REQUEST,
        Kind.CLIENT,
        "worker",
        ATTEMPT,
        "One request to a cloud engine. One that carries pages of several documents has a trace of its own, with links "
        "to its share in each of them.",
        ("docfleet.engine", "docfleet.endpoint", "docfleet.pages", "docfleet.documents", "docfleet.outcome",
         "docfleet.hedge", "error.type"),
    ),
    SpanKind(
        SHARE,
        Kind.CLIENT,
        "worker",
        ATTEMPT,
        "A document's share in a request that carries pages of several, with a link to it.",
        ("docfleet.engine", "docfleet.endpoint", "docfleet.pages", "docfleet.documents", "docfleet.outcome",
         "docfleet.hedge", "error.type"),
    ),
    SpanKind(
        DOCUMENTAI_CALL,
        Kind.SERVER,
        "documentai-server",
        "",
        "A call of the Document AI interface, over gRPC or REST, until its answer is ready. Its parent is the span of "
        "the client whose call carried a `traceparent`.",
        ("rpc.method", "docfleet.transport", "docfleet.outcome", "docfleet.pages", "error.type"),
    ),
    SpanKind(
        WEBHOOK,
        Kind.CLIENT,
        "dispatcher",
        DOCUMENT,
        "One try to tell a webhook of the document's end. It begins after its parent has ended. The request carries it "
        "as `traceparent`.",
        ("http.request.method", "http.response.status_code", "docfleet.document", "docfleet.webhook",
         "docfleet.delivery", "docfleet.attempt", "docfleet.outcome", "error.type"),
    ),
)  # fmt: skip

EVENTS: Mapping[str, tuple[str, str, tuple[str, ...]]] = {
    "page": (READ, "A page was read, or failed.", ("docfleet.page", "docfleet.engine", "docfleet.reason",
                                                   "docfleet.outcome", "docfleet.seconds")),
    "state": (DOCUMENT, "The document moved on.", ("docfleet.state",)),
}  # fmt: skip
"""Event -> the span that has it, what it tells, its attributes."""

ATTRIBUTES: Mapping[str, str] = {
    "docfleet.attempt": "Which try it was, from 1.",
    "docfleet.batch": "Id of the batch.",
    "docfleet.bytes": "Size in bytes.",
    "docfleet.cached": "The bytes were still there from another slice of the document.",
    "docfleet.cause": "Why the attempt ended as it did, as in the history of the document.",
    "docfleet.code": "Outcome code of the document.",
    "docfleet.delivery": "Id of the message, its `webhook-id`.",
    "docfleet.document": "Id of the document.",
    "docfleet.documents": "Documents with pages in the request.",
    "docfleet.endpoint": "Endpoint of the engine: location and host.",
    "docfleet.engine": "Name of the engine.",
    "docfleet.files": "Number of files.",
    "docfleet.formats": "Formats of the results, with commas between.",
    "docfleet.hedge": "The second of two requests for the same pages, because the first was late.",
    "docfleet.media_type": "Media type of the document, as recognised from its bytes.",
    "docfleet.outcome": "How it ended.",
    "docfleet.page": "Number of the page, from 1.",
    "docfleet.pages": "Number of pages.",
    "docfleet.pages.failed": "Pages that were not read.",
    "docfleet.pages.first": "First page of the slice; 0: the whole document.",
    "docfleet.pages.last": "Last page of the slice.",
    "docfleet.pool": "Pool whose workers read it.",
    "docfleet.priority": "Priority of the document.",
    "docfleet.reason": "Why this engine.",
    "docfleet.region": "Region of the document.",
    "docfleet.repaired": "The file was damaged and could be repaired.",
    "docfleet.round": "How often the document was started, from 1.",
    "docfleet.seconds": "How long it took.",
    "docfleet.slice": "Number of the slice.",
    "docfleet.spans.left_out": "Spans of a very long document that were not told.",
    "docfleet.state": "State of the document.",
    "docfleet.step": "plan, local, cloud or assemble.",
    "docfleet.tenant": "Id of the tenant.",
    "docfleet.token": "Fencing token of the claim.",
    "docfleet.transport": "grpc or rest.",
    "docfleet.webhook": "Id of the webhook.",
    "docfleet.worker": "Name of the worker, or of its slot.",
    "error.type": "Code of the error; present on what failed.",
    "http.request.method": "Method of the request.",
    "http.response.status_code": "Status of the answer.",
    "http.route": "Template of the path.",
    "rpc.method": "Method of the Document AI service.",
}


def declared(name: str) -> SpanKind:
    """Raises KeyError for a span that is not in the list."""
    return _BY_NAME[name]


_BY_NAME = {span.name: span for span in SPANS}
