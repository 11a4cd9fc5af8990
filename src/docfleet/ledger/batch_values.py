"""Batches at a cloud engine as plain values."""

from __future__ import annotations

from typing import Any

import msgspec

from docfleet.ledger.batch_rows import BatchState, FileState


class CloudFile(msgspec.Struct, frozen=True):
    id: int
    slice_id: int
    token: int
    document_id: str
    reservation_id: int
    group_json: str
    batch_id: str | None
    place: str
    key: str
    pages: int
    state: FileState
    output: str
    code: str
    message: str


class CloudBatch(msgspec.Struct, frozen=True):
    id: str
    group_json: str
    place: str
    output: str
    state: BatchState
    operation: str
    host: str
    grant_json: str
    tries: int
    polls: int
    age_seconds: float
    asked_seconds: float | None
    """Since a request for it may have been sent; None: none was, or its answer is known."""


class Waiting(msgspec.Struct, frozen=True):
    """Files that wait for a batch together."""

    group_json: str
    place: str
    files: int
    seconds: float
    """How long the oldest has waited."""


class PlaceStanding(msgspec.Struct, frozen=True):
    """Batches of one location."""

    place: str
    asking: int = 0
    """Operations that are to be asked for, or were and have not been heard of."""
    running: int = 0
    oldest_seconds: float = 0.0
    """Since the oldest of both was made."""
    waiting_files: int = 0
    waiting_pages: int = 0
    waiting_seconds: float = 0.0
    """How long the oldest file has waited for an operation."""
    sent_pages: int = 0
    """In operations that have not ended."""


def file_of(row: Any) -> CloudFile:
    values = dict(zip(CloudFile.__struct_fields__, row, strict=True))
    return CloudFile(**values | {"state": FileState(row.state)})


def batch_of(row: Any) -> CloudBatch:
    return CloudBatch(**row._asdict() | {"state": BatchState(row.state)})
