"""The rows of `ModelLedger`."""

from __future__ import annotations

from chaos.book import DocumentFact, SliceFact
from docfleet.domain.retry import Counters
from docfleet.domain.urgency import Urgency
from docfleet.domain.work import PAGE_READ, STEP_PRIORITY, DocumentState, SliceState, Step


class Document:
    __slots__ = (
        "code", "duplicate_of", "follows", "id", "key", "outcomes", "pages", "result_key", "sha256", "state", "tenant",
        "urgency",
    )  # fmt: skip

    def __init__(self, id_: str, key: str, tenant: str, sha256: str, urgency: Urgency) -> None:
        self.id, self.key, self.tenant, self.sha256, self.urgency = id_, key, tenant, sha256, urgency
        self.state: DocumentState = DocumentState.RECEIVED
        self.pages: int | None = None
        self.outcomes: dict[int, str] = {}
        self.result_key = self.code = self.follows = self.duplicate_of = ""

    @property
    def read(self) -> int:
        return sum(outcome == PAGE_READ for outcome in self.outcomes.values())

    def fact(self) -> DocumentFact:
        return DocumentFact(
            self.id, self.key, self.state, self.code, self.pages, self.read, self.result_key, self.duplicate_of
        )


class Slice:
    __slots__ = (
        "attempt", "available_at", "code", "counters", "dispatched_at", "document", "first_page", "id", "isolated",
        "last_page", "lease_until", "priority", "result_key", "started_at", "state", "step", "token", "worker",
    )  # fmt: skip

    def __init__(self, id_: int, document: Document, step: Step, first: int, last: int, now: float) -> None:
        self.id, self.document, self.step, self.first_page, self.last_page = id_, document, step, first, last
        self.state: SliceState = SliceState.QUEUED
        self.token = self.attempt = 0
        self.priority = 100 + STEP_PRIORITY[step]
        self.available_at, self.started_at = now, now
        self.lease_until: float | None = None
        self.dispatched_at: float | None = None
        self.worker = self.result_key = self.code = ""
        self.isolated = False
        self.counters = Counters()

    def fact(self) -> SliceFact:
        return SliceFact(
            self.id, self.document.id, self.step, self.first_page, self.last_page, self.state, self.token, self.attempt,
            self.counters.crashes, self.counters.errors, self.code, self.result_key,
        )  # fmt: skip
