"""What the service puts into the ledger and gets out of it: plain values, no rows."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import msgspec

from docfleet.domain.features import ALL_FEATURES
from docfleet.domain.urgency import Urgency
from docfleet.domain.work import DocumentState


class ReadingOptions(msgspec.Struct, frozen=True):
    """How a submitter wants a document read; what is not said is the service's default, filled in on acceptance."""

    formats: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    mode: str = "auto"
    engine: str = ""
    features: tuple[str, ...] = ALL_FEATURES
    """What is looked for beside the text (`domain.features`)."""

    @property
    def key(self) -> str:
        """Digest of all that changes results: sixteen hexadecimal digits."""
        said = (
            sorted(set(self.formats)),
            sorted(set(self.languages)),
            self.mode,
            self.engine,
            sorted(set(self.features)),
        )
        return hashlib.sha256(msgspec.json.encode(said)).hexdigest()[:16]


class ResultFile(msgspec.Struct, frozen=True):
    """One written result. Its bytes are in the store under `DocumentView.result_key + "/" + path`."""

    format: str
    """"json", "md" …; "outcome" for the page-by-page account."""
    path: str
    """Below the result's prefix: "document.json", "tables/table-1.csv"."""
    media_type: str
    size_bytes: int
    """Of the plain bytes."""
    sha256: str
    """Of the plain bytes; the ETag."""


class Submission(msgspec.Struct, frozen=True):
    """One document whose bytes are in the store already, under `contents/{content_id}/source`."""

    tenant: str
    name: str
    content_id: str
    wrapped_key: bytes
    sha256: str
    size_bytes: int
    media_type: str
    pool: str
    urgency: Urgency
    options: ReadingOptions
    labels: Mapping[str, str] = {}
    deadline_at: float | None = None
    batch_id: str | None = None
    """None: submitted by itself."""
    submitted_by: str = ""
    reuse: bool = True
    """Earlier results of the same bytes and options may be taken."""
    idempotency_key: str = ""
    request_digest: str = ""
    sealed_passwords: bytes | None = None
    """What may open it, sealed (`store.passwords`); kept until the document has ended."""
    again_of: str = ""
    """Id of the document whose content this one shares to read it anew; the content is there then, and not made."""
    trace: str = ""
    """The trace it belongs to, as `telemetry.traces.keep` makes it."""


class Accepted(msgspec.Struct, frozen=True):
    """What became of a submission."""

    document_id: str
    state: DocumentState
    duplicate_of: str = ""
    """The document whose results were taken, or are waited for; the uploaded bytes are not needed then."""
    replayed: bool = False
    """The same Idempotency-Key was answered before: nothing was made, and the uploaded bytes are not needed."""
    content_id: str = ""
    """Where the document's bytes are; not the submission's when another content was taken."""


class DocumentView(msgspec.Struct, frozen=True):
    """A document as its tenant sees it."""

    id: str
    tenant: str
    name: str
    state: DocumentState
    batch_id: str | None
    media_type: str
    size_bytes: int
    sha256: str
    urgency: Urgency
    pool: str
    labels: dict[str, str]
    options: ReadingOptions
    deadline_at: float | None
    duplicate_of: str
    pages: int | None
    pages_read: int
    pages_failed: int
    """While it runs: so far."""
    engines: dict[str, int]
    confidence: float | None
    cost_usd: float
    work_seconds: float
    code: str
    message: str
    detail: str
    created_at: float
    started_at: float | None
    finished_at: float | None
    deleted_at: float | None
    submitted_by: str
    content_id: str
    result_key: str
    results: tuple[ResultFile, ...]
    round: int


class Submitted(msgspec.Struct, frozen=True):
    """What became of a submission, and how its document stood then."""

    accepted: Accepted
    view: DocumentView | None
    """None: it has to be asked for."""


class PageView(msgspec.Struct, frozen=True):
    """One page and how it stands."""

    number: int
    state: str
    """"waiting", "running", "read", or the code it failed with."""
    engine: str = ""
    reason: str = ""
    detail: str = ""
    confidence: float | None = None
    cost_usd: float = 0.0
    seconds: float = 0.0
    quality: float | None = None


class BatchView(msgspec.Struct, frozen=True):
    id: str
    tenant: str
    label: str
    labels: dict[str, str]
    created_at: float
    sealed_at: float | None
    finished_at: float | None
    documents: dict[DocumentState, int]
    pages: int
    pages_read: int
    pages_failed: int


class DocumentFilter(msgspec.Struct, frozen=True):
    """All given conditions hold."""

    states: tuple[DocumentState, ...] = ()
    batch_id: str | None = None
    labels: Mapping[str, str] = {}
    name_contains: str = ""
    urgency: Urgency | None = None
    code: str = ""
    created_after: float | None = None
    created_before: float | None = None
    oldest_first: bool = False


class Listing(msgspec.Struct, frozen=True):
    """One page of a listing."""

    items: tuple[DocumentView, ...]
    next_cursor: str | None
    """Opaque; None at the end."""
    looked_until: float | None = None
    """The page ended before it was full, at documents of this time: those beyond are the next page's."""


class BatchListing(msgspec.Struct, frozen=True):
    """One page of a listing, the newest first."""

    items: tuple[BatchView, ...]
    next_cursor: str | None


class EventView(msgspec.Struct, frozen=True):
    """A change, as streamed to those who listen. `cursor` is its Last-Event-ID."""

    cursor: str
    at: float
    document_id: str
    slice_id: int | None
    from_state: str
    to_state: str
    cause: str


class KeyView(msgspec.Struct, frozen=True):
    id: str
    tenant: str
    name: str
    role: str
    scopes: tuple[str, ...]
    created_at: float
    expires_at: float | None
    revoked_at: float | None
    last_used_at: float | None


class TenantView(msgspec.Struct, frozen=True):
    id: str
    name: str
    region: str
    created_at: float
    disabled_at: float | None


class DeadLetterView(msgspec.Struct, frozen=True):
    """A slice that was given up, and why. Listed until it is tried again or discarded."""

    slice_id: int
    document_id: str
    document_name: str
    batch_id: str | None
    document_state: DocumentState
    """Only a document that has ended can be tried again."""
    step: str
    first_page: int
    """0: the whole document."""
    last_page: int
    code: str
    message: str
    detail: str
    attempts: int
    crashes: int
    errors: int
    worker: str
    """Who had it last."""
    created_at: float
    died_at: float


class DeadLetterListing(msgspec.Struct, frozen=True):
    """One page of a listing, the newest first."""

    items: tuple[DeadLetterView, ...]
    next_cursor: str | None


class DeadLetterGroup(msgspec.Struct, frozen=True):
    """Dead letters with the same cause at the same step."""

    code: str
    step: str
    count: int
    documents: int
    oldest_at: float
    newest_at: float
    example_message: str


class WorkerFacts(msgspec.Struct, frozen=True):
    """A worker host process that presents itself."""

    name: str
    host: str
    pool: str
    region: str
    slots: int
    version: str


class WorkerView(msgspec.Struct, frozen=True):
    """A worker as it was last seen."""

    name: str
    host: str
    pool: str
    """One, or several with commas between them."""
    region: str
    slots: int
    version: str
    mode: str
    """"broker" or "direct"."""
    started_at: float
    seen_at: float
    ended_at: float | None
    cause: str


class Waiting(msgspec.Struct, frozen=True):
    """A slice that may be dispatched."""

    slice_id: int
    document_id: str
    tenant: str
    urgency: Urgency
    priority: int
    deadline_at: float | None
    waiting_since: float
    reason: str = ""
    """Why it was chosen."""
