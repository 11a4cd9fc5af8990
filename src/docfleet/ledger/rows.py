"""The ledger's tables. The migrations make them; a test compares both.

Times are seconds since 1970 (UTC) as the *database* counts them, so that arithmetic on them is the same in every
dialect and no worker's clock ever matters. Pages count from 1. Money is US dollars.
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar, cast

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Enum,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    UniqueConstraint,
    false,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from docfleet.domain.work import DocumentState, SliceState, Step

BigId = BigInteger().with_variant(Integer, "sqlite")
"""SQLite numbers rows by itself only under the type INTEGER."""


def _partial(name: str | None, *columns: str, where: str) -> Index:
    return Index(name, *columns, sqlite_where=text(where), postgresql_where=text(where))


def _text_of(states: type[StrEnum]) -> Enum:
    return Enum(states, native_enum=False, length=16, values_callable=lambda e: [m.value for m in e])


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar = {states: _text_of(states) for states in (DocumentState, SliceState, Step)}


class BatchRow(Base):
    """Documents submitted together."""

    __tablename__ = "batch"
    __table_args__ = (Index(None, "tenant_id", "id"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(unique=True)
    """Whoever submits under the same key continues the same batch."""
    label: Mapped[str]
    options_json: Mapped[str]
    """The options in force, for people and reports."""
    created_at: Mapped[float]
    tenant_id: Mapped[str] = mapped_column(server_default="local")
    region: Mapped[str] = mapped_column(server_default="")
    implicit: Mapped[bool] = mapped_column(server_default=false())
    """Holds the documents of a tenant that were submitted one by one; nobody sees it."""
    labels_json: Mapped[str] = mapped_column(server_default="{}")
    sealed_at: Mapped[float | None]
    """No more documents will come."""
    finished_at: Mapped[float | None]
    """Sealed, and every document has ended."""
    deleted_at: Mapped[float | None]


class DocumentRow(Base):
    """One file's bytes, read under one set of options."""

    __tablename__ = "document"
    __table_args__ = (
        UniqueConstraint("batch_id", "sha256", "options_digest"),
        Index(None, "batch_id", "state"),
        Index(None, "tenant_id", "id"),
        Index(None, "tenant_id", "state", "id"),
        Index(None, "tenant_id", "batch_id", "id"),
        # the earlier document whose results a new one takes, or waits for; the deleted have no options key
        _partial(
            "ix_document_same",
            "tenant_id",
            "sha256",
            "options_key",
            "state",
            "id",
            where="content_id IS NOT NULL AND follows IS NULL",
        ),
        Index(None, "content_id"),
        _partial("ix_document_follows", "follows", where="follows IS NOT NULL"),
        _partial("ix_document_finished_at", "finished_at", where="finished_at IS NOT NULL"),
        _partial("ix_document_open", "state", "id", where="state IN ('received', 'running', 'assembling')"),
        CheckConstraint("pages IS NULL OR pages >= 0", name="pages"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    batch_id: Mapped[str] = mapped_column(ForeignKey("batch.id"))
    sha256: Mapped[str]
    options_digest: Mapped[str]
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    media_type: Mapped[str]
    state: Mapped[DocumentState]
    priority: Mapped[int]
    """Lower runs first."""
    round: Mapped[int]
    """Counts how often the document was started, from 1."""
    pages: Mapped[int | None]
    """Known once planned."""
    plan_json: Mapped[str]
    """What the plan step wants the later steps to know."""
    folder: Mapped[str | None]
    """Name of the folder its results go to; null where results do not go to folders."""
    folder_key: Mapped[str | None] = mapped_column(unique=True)
    """`folder` with case folded: some file systems see no difference."""
    code: Mapped[str]
    """Why it is not SUCCEEDED; empty while nothing is wrong."""
    message: Mapped[str]
    detail: Mapped[str]
    result_key: Mapped[str]
    pages_read: Mapped[int]
    pages_failed: Mapped[int]
    engines_json: Mapped[str]
    """Engine -> pages read by it, once finished."""
    confidence: Mapped[float | None]
    """Mean over the pages read."""
    cost_usd: Mapped[float]
    work_seconds: Mapped[float]
    """Sum over its pages."""
    created_at: Mapped[float]
    started_at: Mapped[float | None]
    """When a worker first took up the plan of this round."""
    finished_at: Mapped[float | None]
    tenant_id: Mapped[str] = mapped_column(server_default="local")
    region: Mapped[str] = mapped_column(server_default="")
    content_id: Mapped[str | None]
    """Where its bytes and results are (`ContentRow`); null in a ledger that works on files of the disk."""
    name: Mapped[str] = mapped_column(server_default="")
    labels_json: Mapped[str] = mapped_column(server_default="{}")
    options_json: Mapped[str] = mapped_column(server_default="{}")
    """`ReadingOptions`: formats, languages, mode, engine."""
    options_key: Mapped[str] = mapped_column(server_default="")
    """Digest of the options that change results; with the tenant and the SHA-256 it finds earlier results.

    (`options_digest` holds the document's own id in the service, where the same bytes may be submitted again.)
    """
    urgency: Mapped[str] = mapped_column(server_default="normal")
    pool: Mapped[str] = mapped_column(server_default="")
    deadline_at: Mapped[float | None]
    follows: Mapped[str | None]
    """Waits for this document, which has the same bytes and options and is being read."""
    duplicate_of: Mapped[str] = mapped_column(server_default="")
    """Its results are those of this earlier document."""
    results_json: Mapped[str] = mapped_column(server_default="[]")
    """`list[ResultFile]`: what was written."""
    submitted_by: Mapped[str] = mapped_column(server_default="")
    """Id of the API key."""
    sealed_passwords: Mapped[bytes | None] = mapped_column(LargeBinary)
    """What may open an encrypted document, encrypted with the master key; null once the document has ended."""
    deleted_at: Mapped[float | None]
    """A tombstone: name, labels and results are gone, the history stays."""
    trace: Mapped[str] = mapped_column(server_default="")
    """The W3C `traceparent` its submitter sent (without one its trace is named after the document), a semicolon, and
    the seconds its upload took: see `telemetry.traces.keep`. Empty while no traces are told."""


class InputRow(Base):
    """What the user submitted; several inputs with the same bytes point to one document."""

    __tablename__ = "input"
    __table_args__ = (UniqueConstraint("batch_id", "path", "member"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    batch_id: Mapped[str] = mapped_column(ForeignKey("batch.id"))
    document_id: Mapped[str | None] = mapped_column(ForeignKey("document.id"), index=True)
    """Null when it never became a document; then `code` says why."""
    name: Mapped[str]
    """As shown to the user."""
    path: Mapped[str]
    """Where the bytes are."""
    member: Mapped[str]
    """Path inside the archive at `path`; empty when it is none."""
    sha256: Mapped[str]
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    code: Mapped[str]
    message: Mapped[str]
    detail: Mapped[str]
    created_at: Mapped[float]


class SliceRow(Base):
    """A page range of one document at one step: the unit of dispatch, lease and retry."""

    __tablename__ = "slice"
    __table_args__ = (
        UniqueConstraint("document_id", "round", "step", "first_page", "last_page"),
        Index("ix_slice_claim", "state", "priority", "id"),
        Index("ix_slice_lease", "state", "lease_until"),
        Index(None, "worker", "state"),
        # the claim of one batch; without the last two columns SQLite would sort the whole queue at every claim
        Index("ix_slice_batch_claim", "batch_id", "state", "priority", "id"),
        Index(
            "ix_slice_isolated",
            "state",
            sqlite_where=text("isolated IS 1"),
            postgresql_where=text("isolated IS true"),
        ),
        _partial(
            "ix_slice_window",
            "pool",
            "urgency",
            "tenant_id",
            "priority",
            "id",
            where="state = 'queued' AND dispatched_at IS NULL",
        ),
        _partial("ix_slice_hinted", "pool", "dispatched_at", where="state = 'queued' AND dispatched_at IS NOT NULL"),
        _partial("ix_slice_running", "pool", "tenant_id", where="state = 'running'"),
        _partial("ix_slice_dead", "tenant_id", "code", "id", where="state = 'dead' AND settled_at IS NULL"),
        CheckConstraint("first_page >= 0 AND last_page >= first_page", name="range"),
        CheckConstraint("(state = 'running') = (lease_until IS NOT NULL)", name="lease"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    document_id: Mapped[str] = mapped_column(ForeignKey("document.id"))
    batch_id: Mapped[str] = mapped_column(ForeignKey("batch.id"))
    round: Mapped[int]
    step: Mapped[Step]
    first_page: Mapped[int]
    last_page: Mapped[int]
    state: Mapped[SliceState]
    priority: Mapped[int]
    attempt: Mapped[int]
    crash_count: Mapped[int]
    error_count: Mapped[int]
    wait_count: Mapped[int]
    loss_count: Mapped[int]
    token: Mapped[int] = mapped_column(BigInteger)
    """Grows with every claim; a write with an older one changes nothing."""
    lease_until: Mapped[float | None]
    worker: Mapped[str]
    """Who runs it, or ran it last."""
    available_at: Mapped[float]
    isolated: Mapped[bool]
    payload_json: Mapped[str]
    """What whoever made the slice wants its worker to know."""
    result_key: Mapped[str]
    code: Mapped[str]
    """Of the last failure."""
    message: Mapped[str]
    detail: Mapped[str]
    created_at: Mapped[float]
    started_at: Mapped[float | None]
    finished_at: Mapped[float | None]
    tenant_id: Mapped[str] = mapped_column(server_default="local")
    region: Mapped[str] = mapped_column(server_default="")
    pool: Mapped[str] = mapped_column(server_default="")
    urgency: Mapped[str] = mapped_column(server_default="normal")
    deadline_at: Mapped[float | None]
    dispatched_at: Mapped[float | None]
    """When its hint was last published, while it waits; null: not in the window."""
    settled_at: Mapped[float | None]
    """When this dead letter was tried again or discarded: it is listed no more."""


class PageRow(Base):
    """How one page ended, at what price."""

    __tablename__ = "page"

    document_id: Mapped[str] = mapped_column(ForeignKey("document.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    slice_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("slice.id"))
    """Whose result holds the page."""
    outcome: Mapped[str]
    """"read", or an error code."""
    engine: Mapped[str]
    reason: Mapped[str]
    detail: Mapped[str]
    confidence: Mapped[float]
    cost_usd: Mapped[float]
    seconds: Mapped[float]
    quality: Mapped[float | None]


class EventRow(Base):
    """Every change of state, for ever: the database refuses to change or delete one. Holds ids and codes only."""

    __tablename__ = "event"
    __table_args__ = (Index(None, "document_id", "id"), Index(None, "batch_id", "xact", "id"))

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    at: Mapped[float]
    entity: Mapped[str]
    """"document" or "slice"."""
    document_id: Mapped[str]
    slice_id: Mapped[int | None] = mapped_column(BigInteger)
    from_state: Mapped[str]
    """Empty when the row was made."""
    to_state: Mapped[str]
    token: Mapped[int] = mapped_column(BigInteger)
    worker: Mapped[str]
    cause: Mapped[str]
    tenant_id: Mapped[str] = mapped_column(server_default="")
    batch_id: Mapped[str] = mapped_column(server_default="")
    xact: Mapped[int] = mapped_column(BigInteger, server_default="0")
    """Postgres: the transaction that wrote it, given by the database; readers go by (xact, id)."""


# The same tables for statements that run so often that the mapping's comfort costs too much.
BATCH = cast(Table, BatchRow.__table__)
DOCUMENT = cast(Table, DocumentRow.__table__)
INPUT = cast(Table, InputRow.__table__)
SLICE = cast(Table, SliceRow.__table__)
PAGE = cast(Table, PageRow.__table__)
EVENT = cast(Table, EventRow.__table__)
