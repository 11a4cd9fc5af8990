"""The real ledger on SQLite, under the simulator's clock: its statements ask SQLite for the time, and we answer."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Collection, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import event, text

from chaos.book import Change, DocumentFact, Held, Receipt, SliceFact, Stale
from docfleet.domain.retry import Failure, FailureKind
from docfleet.domain.urgency import Pool, Urgency
from docfleet.domain.work import PAGE_READ, Step
from docfleet.errors import Fenced
from docfleet.ledger import Claim, DocumentSummary, Ledger, NewSlice, PageOutcome, Plan
from docfleet.ledger.access import Access
from docfleet.ledger.desk import Desk
from docfleet.ledger.service_values import ReadingOptions, Submission, WorkerFacts

UNIX_EPOCH_JULIAN = 2440587.5
POOL = str(Pool.PDF)


@cache
def _template() -> Path:
    """A migrated ledger with its tenants, to be copied."""
    path = Path(tempfile.mkdtemp(prefix="dfsim-")) / "ledger.db"
    with Ledger.open(path) as ledger:
        access = Access(ledger)
        for tenant in ("a", "b"):
            access.ensure_tenant(tenant, tenant)
        access.close()
    return path


class RealLedger:
    """See `Book`. Close it."""

    def __init__(self, fencing: bool = True) -> None:
        self.now = 1000.0
        self.indistinct: set[str] = set()
        self._folder = tempfile.TemporaryDirectory(prefix="dfsim-")
        path = Path(self._folder.name) / "ledger.db"
        shutil.copy(_template(), path)
        self.ledger = Ledger.open(path, jitter=lambda: 0.0, fencing=fencing)
        event.listen(self.ledger._engine, "connect", self._set_clock)
        # what was connected before asks the real clock
        self.ledger._engine.dispose()
        self.desk = Desk(self.ledger)
        self._log: list[Change] = []
        self._last_event = 0

    def _set_clock(self, connection: Any, record: Any) -> None:
        connection.create_function("julianday", -1, lambda *_: UNIX_EPOCH_JULIAN + self.now / 86400.0)
        connection.execute("PRAGMA synchronous = OFF")

    def close(self) -> None:
        self.ledger.close()
        self._folder.cleanup()

    # --- submitting

    def accept(self, key: str, tenant: str, sha256: str, urgency: str) -> Receipt:
        accepted = self.desk.accept(
            Submission(
                tenant, key, f"content-of-{key}-{self.now}", b"wrapped", sha256, 7, "application/pdf", POOL,
                Urgency(urgency), ReadingOptions(), idempotency_key=key, request_digest=key,
            )
        )  # fmt: skip
        return Receipt(accepted.document_id, accepted.replayed)

    # --- working

    def _held(self, claim: Claim | None) -> Held | None:
        if claim is None:
            return None
        return Held(
            claim.slice_id, claim.token, claim.worker, claim.step, claim.first_page, claim.last_page,
            claim.document.id, claim.isolated, claim,
        )  # fmt: skip

    def claim_slice(self, worker: str, slice_id: int) -> Held | None:
        return self._held(self.ledger.claim_slice(worker, slice_id))

    def claim_next(self, worker: str) -> Held | None:
        return self._held(next(iter(self.ledger.claim_next(worker, [POOL])), None))

    def beat(self, worker: str, held: Held) -> bool:
        return not self.ledger.beat(worker, [held.claim])

    def finish_plan(self, held: Held, pages: int, ranges: Sequence[tuple[int, int]]) -> None:
        slices = [NewSlice(Step.LOCAL, first, last) for first, last in ranges]
        try:
            self.ledger.finish(held.claim, plan=Plan(pages), next_slices=slices)
        except Fenced as error:
            raise Stale from error

    def finish_pages(self, held: Held, result_key: str, unread: Collection[int]) -> None:
        outcomes = [
            PageOutcome(page, "engine_failed" if page in unread else PAGE_READ, engine="null")
            for page in range(held.first_page, held.last_page + 1)
        ]
        try:
            self.ledger.finish(held.claim, result_key, outcomes)
        except Fenced as error:
            raise Stale from error

    def finish_document(self, held: Held, result_key: str) -> None:
        try:
            self.ledger.finish_document(held.claim, _summary(result_key))
        except Fenced as error:
            raise Stale from error

    def finish_in_one(self, held: Held, pages: int, result_key: str) -> None:
        outcomes = [PageOutcome(page, engine="null") for page in range(1, pages + 1)]
        try:
            self.ledger.finish_in_one(held.claim, Plan(pages), outcomes, result_key, _summary(result_key))
        except Fenced as error:
            raise Stale from error

    def fail(self, held: Held, code: str, retryable: bool, is_wait: bool) -> None:
        kind = FailureKind.WAIT if is_wait else FailureKind.ERROR
        try:
            self.ledger.fail(held.claim, Failure(kind, code, retryable=retryable))
        except Fenced as error:
            raise Stale from error

    def release_worker(self, worker: str, crashed: bool, working_on: Collection[int]) -> None:
        self.ledger.release_worker(worker, crashed, working_on)

    def announce(self, supervisor: str) -> None:
        self.ledger.announce(WorkerFacts(supervisor, "host", POOL, "", 2, "0"))

    def see(self, supervisor: str) -> None:
        self.ledger.see_worker(supervisor, "broker")

    # --- dispatching

    def expire_leases(self) -> None:
        self.ledger.expire_leases()

    def stranded(self) -> int:
        return self.ledger.stranded()

    def window(self, limit: int) -> list[int]:
        return [waiting.slice_id for waiting in self.ledger.window(POOL, limit)]

    def mark_dispatched(self, slice_ids: Sequence[int]) -> None:
        self.ledger.mark_dispatched(slice_ids)

    def count_hinted(self) -> int:
        return self.ledger.count_hinted(POOL)

    def hinted(self, limit: int) -> list[int]:
        return [slice_id for slice_id, _ in self.ledger.hinted(POOL, limit)]

    def forget_hints(self) -> None:
        self.ledger.forget_hints(POOL)

    # --- asking

    def _ask(self, statement: str) -> list[Any]:
        with self.ledger.reading() as session:
            return list(session.execute(text(statement)).all())

    def is_open(self) -> bool:
        return bool(self._ask("SELECT 1 FROM document WHERE state IN ('received', 'running', 'assembling') LIMIT 1"))

    def oldest_due(self) -> float | None:
        [[oldest]] = self._ask(
            "SELECT min(available_at) FROM slice WHERE state = 'queued' AND NOT isolated "
            f"AND available_at <= {self.now}"
        )
        return None if oldest is None else float(oldest)

    def changes(self) -> Sequence[Change]:
        rows = self._ask(
            "SELECT id, document_id, slice_id, from_state, to_state, token, worker, cause FROM event "
            f"WHERE id > {self._last_event} ORDER BY id"
        )
        for row in rows:
            self._last_event = row.id
            self._log.append(Change(*row[1:]))
        return self._log

    def documents(self) -> Sequence[DocumentFact]:
        rows = self._ask("SELECT id, name, state, code, pages, pages_read, result_key, duplicate_of FROM document")
        return [DocumentFact(*row) for row in rows]

    def slices(self) -> Sequence[SliceFact]:
        rows = self._ask(
            "SELECT id, document_id, step, first_page, last_page, state, token, attempt, crash_count, error_count, "
            "code, result_key FROM slice"
        )
        return [SliceFact(row[0], row[1], Step(row[2]), *row[3:]) for row in rows]


def _summary(result_key: str) -> DocumentSummary:
    return DocumentSummary(result_key=result_key, results_json='[{"path":"document.json"}]')
