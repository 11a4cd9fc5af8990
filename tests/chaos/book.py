"""What the simulator asks of a ledger: the work protocol, answered by the model and by the real thing alike."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple, Protocol

from docfleet.domain.work import Step


class Held(NamedTuple):
    """A claim, as the simulator knows it."""

    slice_id: int
    token: int
    worker: str
    step: Step
    first_page: int
    last_page: int
    document_id: str
    isolated: bool
    claim: Any = None
    """The real ledger's own value."""


class Receipt(NamedTuple):
    """The answer to a submission."""

    document_id: str
    replayed: bool


class Change(NamedTuple):
    """One row of the event log, in the order in which it was written."""

    document_id: str
    slice_id: int | None
    before: str
    after: str
    token: int
    worker: str
    cause: str


class DocumentFact(NamedTuple):
    """A document as it stands at the end."""

    id: str
    key: str
    state: str
    code: str
    pages: int | None
    pages_read: int
    result_key: str
    duplicate_of: str


class SliceFact(NamedTuple):
    """A slice as it stands at the end."""

    id: int
    document_id: str
    step: Step
    first_page: int
    last_page: int
    state: str
    token: int
    attempt: int
    crashes: int
    errors: int
    code: str
    result_key: str


class Book(Protocol):
    """A ledger under a virtual clock. `Stale` is raised where the real one raises `Fenced`."""

    now: float
    indistinct: set[str]
    """Documents given up while every death the ledger knew of was theirs: nothing tells such a slice from poison."""

    def accept(self, key: str, tenant: str, sha256: str, urgency: str) -> Receipt: ...
    def claim_slice(self, worker: str, slice_id: int) -> Held | None: ...
    def claim_next(self, worker: str) -> Held | None: ...
    def beat(self, worker: str, held: Held) -> bool: ...
    def finish_plan(self, held: Held, pages: int, ranges: Sequence[tuple[int, int]]) -> None: ...
    def finish_pages(self, held: Held, result_key: str, unread: Collection[int]) -> None: ...
    def finish_document(self, held: Held, result_key: str) -> None: ...
    def finish_in_one(self, held: Held, pages: int, result_key: str) -> None: ...
    def fail(self, held: Held, code: str, retryable: bool, is_wait: bool) -> None: ...
    def release_worker(self, worker: str, crashed: bool, working_on: Collection[int]) -> None: ...
    def announce(self, supervisor: str) -> None: ...
    def see(self, supervisor: str) -> None: ...
    def expire_leases(self) -> None: ...
    def stranded(self) -> int: ...
    def window(self, limit: int) -> list[int]: ...
    def mark_dispatched(self, slice_ids: Sequence[int]) -> None: ...
    def count_hinted(self) -> int: ...
    def hinted(self, limit: int) -> list[int]: ...
    def forget_hints(self) -> None: ...
    def is_open(self) -> bool: ...
    def oldest_due(self) -> float | None: ...
    def changes(self) -> Sequence[Change]: ...
    def documents(self) -> Sequence[DocumentFact]: ...
    def slices(self) -> Sequence[SliceFact]: ...


class Stale(Exception):
    """The claim was lost."""
