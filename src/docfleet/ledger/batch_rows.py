"""The tables of batches at a cloud engine: operations, and the files that wait for one or are in one."""

from __future__ import annotations

from enum import StrEnum
from typing import cast

from sqlalchemy import BigInteger, Index, Table, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from docfleet.ledger import money_rows
from docfleet.ledger.rows import Base, BigId


class BatchState(StrEnum):
    """Where an operation stands."""

    ASKING = "asking"
    """It is to be asked for, or has been and nobody knows yet what came of that (`asked_at`)."""
    RUNNING = "running"
    """The service has it; its name is known."""
    ENDED = "ended"
    """Each of its files is told of."""


class FileState(StrEnum):
    """Where the file of a slice stands."""

    UPLOADING = "uploading"
    """On its way to the bucket, under the claim of its token."""
    STAGED = "staged"
    """In the bucket, and waits for a batch; its slice is parked."""
    SENT = "sent"
    """In a batch; its slice is parked."""
    READ = "read"
    """Its result lies in the bucket, for whoever claims the slice."""
    FAILED = "failed"
    """The batch has no result of it: the slice goes on by itself."""
    OVER = "over"
    """Nobody needs its objects any more. The row stays while its slice is open: it is in no batch again."""


class CloudBatchRow(Base):
    """One operation, written before it is asked for."""

    __tablename__ = "cloud_batch"
    __table_args__ = (Index("ix_cloud_batch_due", "state", "due_at"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    group_json: Mapped[str]
    """What all its files have in common (`worker.cloud.batch_parts.Group`)."""
    place: Mapped[str]
    """Location, and so the bucket."""
    output: Mapped[str]
    """Prefix of its results' keys, used by no other."""
    state: Mapped[str]
    operation: Mapped[str]
    """Its name at the service; empty until that is known."""
    host: Mapped[str]
    grant_json: Mapped[str]
    """Its place among the batches under way."""
    tries: Mapped[int]
    polls: Mapped[int]
    made_at: Mapped[float]
    asked_at: Mapped[float | None]
    """When a request for it may have been sent, as long as its answer is not known."""
    due_at: Mapped[float]
    """When somebody is to ask or poll next; whoever does takes it by moving this on."""
    ended_at: Mapped[float | None]
    code: Mapped[str]
    message: Mapped[str]


class CloudFileRow(Base):
    """The pages of one slice in the bucket. Written before the object is, so that every object has a row."""

    __tablename__ = "cloud_file"
    __table_args__ = (
        UniqueConstraint("slice_id"),
        Index(None, "state", "group_json"),
        Index(None, "batch_id"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    slice_id: Mapped[int] = mapped_column(BigInteger)
    token: Mapped[int] = mapped_column(BigInteger)
    """Of the claim under which it was uploaded and paid for."""
    document_id: Mapped[str]
    reservation_id: Mapped[int] = mapped_column(BigInteger)
    group_json: Mapped[str]
    batch_id: Mapped[str | None]
    place: Mapped[str]
    key: Mapped[str]
    pages: Mapped[int]
    state: Mapped[str]
    output: Mapped[str]
    """Prefix of the keys of its result."""
    code: Mapped[str]
    message: Mapped[str]
    made_at: Mapped[float]
    staged_at: Mapped[float | None]
    cleaned_at: Mapped[float | None]
    """When its objects were deleted."""


CLOUD_BATCH = cast(Table, CloudBatchRow.__table__)
CLOUD_FILE = cast(Table, CloudFileRow.__table__)
ALL_TABLES = money_rows.ALL_TABLES
"""With the tables of this module, which exist once it is imported."""
