"""What goes into the ledger and what comes out: plain values, no rows."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from docfleet.domain.document import Reading
from docfleet.domain.urgency import Urgency
from docfleet.domain.work import PAGE_READ, WHOLE_DOCUMENT, DocumentState, SliceState, Step


class NewBatch(msgspec.Struct, frozen=True):
    key: str
    """The same key continues the same batch."""
    label: str = ""
    options_digest: str = ""
    """Of the options that change results: a document is read again under other ones."""
    options_json: str = "{}"


class NewInput(msgspec.Struct, frozen=True):
    """A file that was submitted. With a `code` it is refused: it gets its row, but no document."""

    name: str
    path: str
    member: str = ""
    sha256: str = ""
    size_bytes: int = 0
    media_type: str = ""
    priority: int = 100
    folder: str | None = None
    """Wanted name of its results folder; the ledger may add to it, to keep it unique."""
    code: str = ""
    message: str = ""
    detail: str = ""


class Registered(msgspec.Struct, frozen=True):
    batch_id: str
    new_documents: int
    known_documents: int
    """Inputs whose document was there before this call, or came earlier in it."""
    refused: int


class NewSlice(msgspec.Struct, frozen=True):
    step: Step
    first_page: int
    last_page: int
    """Included."""
    payload_json: str = ""
    priority: int | None = None
    """Lower runs first; None: the document's, and the step's."""


class Plan(msgspec.Struct, frozen=True):
    """What the plan step found out about its document."""

    pages: int
    media_type: str = ""
    """Empty: as registered."""
    plan_json: str = ""
    """Handed to every later claim of the document."""


class PageOutcome(msgspec.Struct, frozen=True):
    page: int
    outcome: str = PAGE_READ
    """"read", or an error code."""
    engine: str = ""
    reason: str = ""
    detail: str = ""
    confidence: float = 0.0
    cost_usd: float = 0.0
    seconds: float = 0.0
    quality: float | None = None

    @classmethod
    def of_reading(cls, reading: Reading, quality: float | None = None) -> PageOutcome:
        return cls(
            reading.page, reading.outcome, reading.engine, reading.reason, reading.detail,
            reading.confidence, reading.cost_usd, reading.seconds, quality,
        )  # fmt: skip


class Source(msgspec.Struct, frozen=True):
    """Where a document's bytes are."""

    name: str
    path: str
    member: str = ""


class ClaimedDocument(msgspec.Struct, frozen=True):
    """What a worker has to know of the document."""

    id: str
    batch_id: str
    sha256: str
    size_bytes: int
    media_type: str
    pages: int | None
    plan_json: str
    folder: str | None
    options_digest: str
    source: Source
    """Of a service's document the name only: its bytes are under `contents/{content_id}/source`."""
    tenant: str = ""
    content_id: str | None = None
    """None for files of the disk."""
    wrapped_key: bytes | None = None
    """The content's data key, encrypted with the master key; None once it was erased."""
    options_json: str = "{}"
    """`ReadingOptions`."""
    urgency: Urgency = Urgency.NORMAL
    pool: str = ""
    sealed_passwords: bytes | None = None
    """What may open it, sealed (`store.passwords`)."""
    trace: str = ""
    """As `telemetry.traces.keep` made it."""


class Claim(msgspec.Struct, frozen=True):
    """The right to work on a slice, while its lease lasts."""

    slice_id: int
    token: int
    worker: str
    step: Step
    first_page: int
    last_page: int
    round: int
    attempt: int
    crash_count: int
    error_count: int
    isolated: bool
    payload_json: str
    document: ClaimedDocument
    started_at: float = 0.0
    """When it was claimed, by the database's clock."""
    waited_seconds: float = 0.0
    """From the moment it was due until then: what was wanted between attempts, such as a back-off, is not in it."""

    @property
    def is_whole_document(self) -> bool:
        return self.first_page == WHOLE_DOCUMENT

    @property
    def result_prefix(self) -> str:
        """Where in the store this attempt, and no other, writes its result."""
        if self.document.content_id is not None:
            return f"contents/{self.document.content_id}/slices/{self.slice_id}/{self.token}"
        return f"slices/{self.document.id}/{self.slice_id}/{self.token}"


class Lane(StrEnum):
    SHARED = "shared"
    """Slices without suspicion."""
    ISOLATED = "isolated"
    """Slices that crashed twice: one runs at a time, in a worker that holds nothing else."""


BOTH_LANES = frozenset({Lane.SHARED, Lane.ISOLATED})


class DocumentSummary(msgspec.Struct, frozen=True):
    """What the assemble step adds to what the page rows tell."""

    result_key: str = ""
    detail: str = ""
    results_json: str = "[]"
    """`list[ResultFile]`."""


class Progress(msgspec.Struct, frozen=True):
    """Counts over one batch."""

    inputs: int
    refused: int
    """Inputs that never became documents."""
    documents: dict[DocumentState, int]
    slices: dict[SliceState, int]
    pages: int
    """Of the documents planned so far."""
    pages_read: int
    pages_failed: int

    @property
    def unplanned(self) -> int:
        return self.documents[DocumentState.RECEIVED]

    @property
    def open_documents(self) -> int:
        ends = (DocumentState.SUCCEEDED, DocumentState.PARTIAL, DocumentState.FAILED, DocumentState.CANCELLED)
        return sum(count for state, count in self.documents.items() if state not in ends)


class IndexRow(msgspec.Struct, frozen=True):
    """One input and how it ended."""

    input_id: int
    name: str
    path: str
    member: str
    sha256: str
    size_bytes: int
    document_id: str | None
    duplicate_of: str | None
    """Name of the input with the same bytes that came first."""
    state: DocumentState | None
    """None: refused before it became a document."""
    code: str
    message: str
    detail: str
    media_type: str
    pages: int | None
    pages_read: int
    pages_failed: int
    engines: dict[str, int]
    confidence: float | None
    cost_usd: float
    work_seconds: float
    folder: str | None
    result_key: str
    started_at: float | None
    finished_at: float | None


class PageRecord(msgspec.Struct, frozen=True):
    """A page's outcome and where its result is."""

    page: PageOutcome
    slice_id: int
    step: Step
    result_key: str
    """Empty when the slice died."""


class DeadLetter(msgspec.Struct, frozen=True):
    slice_id: int
    document_id: str
    name: str
    round: int
    step: Step
    first_page: int
    last_page: int
    code: str
    message: str
    detail: str
    attempt: int
    crash_count: int
    error_count: int
    worker: str
    finished_at: float


class Event(msgspec.Struct, frozen=True):
    id: int
    at: float
    entity: str
    document_id: str
    slice_id: int | None
    from_state: str
    to_state: str
    token: int
    worker: str
    cause: str
