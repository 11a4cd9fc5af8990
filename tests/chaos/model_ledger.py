"""The ledger's protocol as a table in memory: the same pure decisions as the real one, in a hundredth of its time.

Every public method is one transaction. What it decides by is `docfleet.domain`; what it copies from the real ledger
is which rows a transaction looks at and guards. `fencing=False` leaves out the token, as the real switch does.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from chaos.book import Change, DocumentFact, Held, Receipt, SliceFact, Stale
from chaos.model_deaths import Deaths
from chaos.model_rows import Document, Slice
from docfleet.domain.retry import (
    Action,
    Counters,
    Decision,
    Failure,
    FailureKind,
    Lapse,
    RetryPolicy,
    judge_lapses,
    judge_release,
)
from docfleet.domain.urgency import RANK, Urgency
from docfleet.domain.work import (
    DOCUMENT_ENDS,
    DOCUMENT_TRANSITIONS,
    OPEN_SLICES,
    PAGE_READ,
    PAGE_STEPS,
    SLICE_TRANSITIONS,
    WHOLE_DOCUMENT,
    DocumentState,
    SliceState,
    Step,
    Tally,
    judge_document,
    judge_pages,
)

LEASE_SECONDS = 15.0
TOGETHER_SECONDS = 3.0


class ModelLedger:
    """See `Book`."""

    def __init__(self, policy: RetryPolicy | None = None, fencing: bool = True) -> None:
        self.now = 1000.0
        self.policy = policy or RetryPolicy()
        self.fencing = fencing
        self._documents: dict[str, Document] = {}
        self._by_key: dict[tuple[str, str], Document] = {}
        self._by_sha: dict[tuple[str, str], list[Document]] = {}
        self._slices: dict[int, Slice] = {}
        self._of: dict[str, list[Slice]] = {}
        self._deaths = Deaths(self._slices)
        self.indistinct: set[str] = set()
        self._log: list[Change] = []

    # --- submitting

    def accept(self, key: str, tenant: str, sha256: str, urgency: str) -> Receipt:
        known = self._by_key.get((tenant, key))
        if known is not None:
            return Receipt(known.id, True)
        document = Document(f"d{len(self._documents)}", key, tenant, sha256, Urgency(urgency))
        earlier = self._by_sha.setdefault((tenant, sha256), [])
        self._documents[document.id] = self._by_key[tenant, key] = document
        self._log.append(Change(document.id, None, "", DocumentState.RECEIVED, 0, "", "accepted"))
        if not self._reuse(document, earlier):
            self._add(document, Step.PLAN, WHOLE_DOCUMENT, WHOLE_DOCUMENT)
        earlier.append(document)
        return Receipt(document.id, False)

    def _reuse(self, document: Document, earlier: Sequence[Document]) -> bool:
        for other in earlier:
            if other.state is DocumentState.SUCCEEDED:
                self._copy_results(document, other)
                return True
        for other in earlier:
            open_ = other.state not in DOCUMENT_ENDS and not other.follows
            if open_ and RANK[other.urgency] <= RANK[document.urgency]:
                document.follows = other.id
                return True
        return False

    def _copy_results(self, document: Document, other: Document) -> None:
        document.duplicate_of, document.follows = other.id, ""
        document.pages, document.result_key = other.pages, other.result_key
        document.outcomes = dict(other.outcomes)
        self._move(document, DocumentState.SUCCEEDED, f"as {other.id}")

    # --- claiming

    def claim_slice(self, worker: str, slice_id: int) -> Held | None:
        row = self._slices.get(slice_id)
        if row is None or row.state is not SliceState.QUEUED or row.available_at > self.now:
            return None
        running = self._running()
        mine = [other for other in running if other.worker == worker]
        if any(other.isolated for other in mine):
            return None
        if row.isolated and (mine or any(other.isolated for other in running)):
            # its hint is spent, but it still waits
            row.dispatched_at = None
            return None
        return self._take(row, worker)

    def claim_next(self, worker: str) -> Held | None:
        for row in self._eligible():
            held = self.claim_slice(worker, row.id)
            if held is not None:
                return held
        return None

    def _eligible(self) -> list[Slice]:
        rows = [row for row in self._slices.values() if row.state is SliceState.QUEUED and row.available_at <= self.now]
        return sorted(rows, key=lambda row: (RANK[row.document.urgency], row.priority, row.id))

    def _running(self) -> list[Slice]:
        return [row for row in self._slices.values() if row.state is SliceState.RUNNING]

    def _take(self, row: Slice, worker: str) -> Held:
        row.token += 1
        row.attempt += 1
        row.worker, row.started_at, row.dispatched_at = worker, self.now, None
        row.lease_until = self.now + LEASE_SECONDS
        self._set(row, SliceState.RUNNING, row.token, worker, f"attempt {row.attempt}")
        return Held(
            row.id, row.token, worker, row.step, row.first_page, row.last_page, row.document.id, row.isolated
        )  # fmt: skip

    def beat(self, worker: str, held: Held) -> bool:
        row = self._slices[held.slice_id]
        if row.state is not SliceState.RUNNING or row.token != held.token or row.worker != worker:
            return False
        row.lease_until = self.now + LEASE_SECONDS
        return True

    # --- ending

    def finish_plan(self, held: Held, pages: int, ranges: Sequence[tuple[int, int]]) -> None:
        crashes = self._slices[held.slice_id].counters.crashes
        # a short document is read by its plan at the first attempt: what that died of is still to be found out
        suspect = crashes > 0 and len(ranges) == 1
        document = self._end(held, "", clears=not suspect)
        if document is None:
            return
        document.pages = pages
        self._move(document, DocumentState.RUNNING, f"{pages} pages")
        for first, last in ranges:
            row = self._add(document, Step.LOCAL, first, last)
            if suspect:
                row.counters = Counters(crashes)
                self._deaths.inherit(held.slice_id, row.id)
        self._advance(document)

    def finish_pages(self, held: Held, result_key: str, unread: Collection[int]) -> None:
        document = self._end(held, result_key)
        if document is None:
            return
        for page in range(held.first_page, held.last_page + 1):
            if document.outcomes.get(page) != PAGE_READ:
                document.outcomes[page] = "engine_failed" if page in unread else PAGE_READ
        self._advance(document)

    def finish_document(self, held: Held, result_key: str) -> None:
        document = self._end(held, result_key)
        if document is not None:
            verdict = judge_document(self._tally(document))
            self._conclude(document, verdict.state, verdict.reason, result_key)

    def finish_in_one(self, held: Held, pages: int, result_key: str) -> None:
        document = self._end(held, "")
        if document is None:
            return
        document.pages = pages
        # the row is born done: its pages came with the plan
        row = Slice(len(self._slices) + 1, document, Step.LOCAL, 1, pages, self.now)
        row.state, row.result_key = SliceState.DONE, result_key
        self._slices[row.id] = row
        self._of[document.id].append(row)
        self._log.append(Change(document.id, row.id, "", SliceState.DONE, 0, held.worker, "in one"))
        document.outcomes = dict.fromkeys(range(1, pages + 1), PAGE_READ)
        verdict = judge_document(self._tally(document))
        self._conclude(document, verdict.state, verdict.reason, result_key)

    def _end(self, held: Held, result_key: str, clears: bool = True) -> Document | None:
        row = self._slices[held.slice_id]
        holds = row.token == held.token and row.worker == held.worker
        if row.state is not SliceState.RUNNING or (self.fencing and not holds):
            if row.state is SliceState.DONE and row.token == held.token:
                return None
            raise Stale
        row.lease_until, row.result_key = None, result_key
        if clears:
            self._deaths.clear(row.id)
        self._set(row, SliceState.DONE, held.token, held.worker, "")
        return row.document

    def fail(self, held: Held, code: str, retryable: bool, is_wait: bool) -> None:
        row = self._slices[held.slice_id]
        if row.state is not SliceState.RUNNING or row.token != held.token or row.worker != held.worker:
            raise Stale
        kind = FailureKind.WAIT if is_wait else FailureKind.ERROR
        self._apply(row, Failure(kind, code, retryable=retryable))

    def release_worker(self, worker: str, crashed: bool, working_on: Collection[int]) -> None:
        rows = [row for row in self._running() if row.worker == worker]
        if crashed and not rows and not working_on:
            self._deaths.add_of_a_free_slot(worker, self.now)
        for slice_id, kind in judge_release([row.id for row in rows], crashed, working_on).items():
            self._apply(self._slices[slice_id], _death(kind))

    def announce(self, supervisor: str) -> None:
        self._deaths.announce(supervisor, self.now)

    def see(self, supervisor: str) -> None:
        self._deaths.see(supervisor, self.now)

    def expire_leases(self) -> None:
        lapsed = [
            row
            for row in self._slices.values()
            if row.state is SliceState.RUNNING and (row.lease_until or 0.0) < self.now
        ]
        verdicts = dict.fromkeys(
            (row.id for row in lapsed if self._deaths.is_silent(row.worker, self.now)), FailureKind.LOSS
        )
        alone = [Lapse(row.id, row.lease_until or 0.0) for row in lapsed if row.id not in verdicts]
        verdicts |= judge_lapses(alone, self.now, TOGETHER_SECONDS)
        for slice_id, kind in verdicts.items():
            self._apply(self._slices[slice_id], _death(kind))

    def _apply(self, row: Slice, failure: Failure) -> None:
        evidence = self._deaths.weigh(row, failure.kind, self.now)
        decision = self.policy.decide(failure, row.counters, 0.0, row.isolated, evidence)
        row.counters, row.isolated = decision.counters, decision.isolated
        row.lease_until = row.dispatched_at = None
        if failure.kind is not FailureKind.WAIT:
            row.code = failure.code
        dead = decision.action is Action.DEAD
        if dead and self._deaths.are_of(row.document):
            self.indistinct.add(row.document.id)
        if not dead:
            row.available_at = self.now + decision.delay_seconds
            self._set_apart(row, decision)
        self._set(row, SliceState.DEAD if dead else SliceState.QUEUED, row.token, row.worker, decision.reason)
        if dead and row.document.state not in DOCUMENT_ENDS:
            self._give_up(row, failure)

    def _set_apart(self, row: Slice, decision: Decision) -> None:
        if not decision.isolated or row.step not in PAGE_STEPS:
            return
        for page in range(row.first_page + 1, row.last_page + 1):
            apart = self._add(row.document, row.step, page, page)
            apart.isolated = True
            apart.counters = Counters(decision.counters.crashes, decision.counters.errors, 0, decision.counters.losses)
            self._deaths.inherit(row.id, apart.id)
        row.last_page = row.first_page

    def _give_up(self, row: Slice, failure: Failure) -> None:
        document = row.document
        if row.step in PAGE_STEPS:
            for page in range(row.first_page, row.last_page + 1):
                document.outcomes.setdefault(page, failure.code)
            self._advance(document)
            return
        document.code = failure.code
        self._move(document, DocumentState.FAILED, failure.code)

    def _advance(self, document: Document) -> None:
        rows = [row for row in self._of[document.id] if row.step in PAGE_STEPS]
        if document.state is not DocumentState.RUNNING or any(row.state in OPEN_SLICES for row in rows):
            return
        verdict = judge_pages(self._tally(document))
        if verdict.state is not DocumentState.ASSEMBLING:
            self._conclude(document, verdict.state, verdict.reason, "")
            return
        self._move(document, verdict.state, verdict.reason)
        self._add(document, Step.ASSEMBLE, WHOLE_DOCUMENT, WHOLE_DOCUMENT)

    def _tally(self, document: Document) -> Tally:
        dead = [r for r in self._of[document.id] if r.step in PAGE_STEPS and r.state is SliceState.DEAD]
        return Tally(document.pages or 0, document.read, len(dead))

    def _conclude(self, document: Document, state: DocumentState, reason: str, result_key: str) -> None:
        if state is not DocumentState.SUCCEEDED:
            document.code = next((o for o in document.outcomes.values() if o != PAGE_READ), "page_missing")
        document.result_key = result_key
        self._move(document, state, reason)

    # --- the window

    def stranded(self) -> int:
        mended = 0
        for document in self._documents.values():
            if document.state in DOCUMENT_ENDS or document.follows:
                continue
            if any(row.state in OPEN_SLICES for row in self._of.get(document.id, ())):
                continue
            mended += 1
            if document.state is DocumentState.RECEIVED:
                self._add(document, Step.PLAN, WHOLE_DOCUMENT, WHOLE_DOCUMENT)
            self._advance(document)
        return mended

    def window(self, limit: int) -> list[int]:
        # one suspect at a time, or a window full of them keeps everybody else out
        busy = any(
            row.isolated and (row.state is SliceState.RUNNING or row.dispatched_at is not None)
            for row in self._slices.values()
            if row.state in OPEN_SLICES
        )
        waiting = [row for row in self._eligible() if row.dispatched_at is None]
        suspects = [] if busy else [row for row in waiting if row.isolated][:1]
        return [row.id for row in waiting if not row.isolated or row in suspects][:limit]

    def mark_dispatched(self, slice_ids: Sequence[int]) -> None:
        for slice_id in slice_ids:
            row = self._slices[slice_id]
            if row.state is SliceState.QUEUED:
                row.dispatched_at = self.now

    def _hinted(self) -> list[Slice]:
        rows = [r for r in self._slices.values() if r.state is SliceState.QUEUED and r.dispatched_at is not None]
        return sorted(rows, key=lambda row: (row.dispatched_at or 0.0, row.id))

    def count_hinted(self) -> int:
        return len(self._hinted())

    def hinted(self, limit: int) -> list[int]:
        return [row.id for row in self._hinted()][:limit]

    def forget_hints(self) -> None:
        for row in self._hinted():
            row.dispatched_at = None

    # --- asking

    def is_isolated(self, slice_id: int) -> bool:
        return self._slices[slice_id].isolated

    def is_open(self) -> bool:
        return any(document.state not in DOCUMENT_ENDS for document in self._documents.values())

    def oldest_due(self) -> float | None:
        """Since when the longest waiting slice outside the isolation lane could have run."""
        return min((row.available_at for row in self._eligible() if not row.isolated), default=None)

    def changes(self) -> Sequence[Change]:
        return self._log

    def documents(self) -> Sequence[DocumentFact]:
        return [document.fact() for document in self._documents.values()]

    def slices(self) -> Sequence[SliceFact]:
        return [row.fact() for row in self._slices.values()]

    # --- rows

    def _add(self, document: Document, step: Step, first: int, last: int) -> Slice:
        row = Slice(len(self._slices) + 1, document, step, first, last, self.now)
        self._slices[row.id] = row
        self._of.setdefault(document.id, []).append(row)
        self._log.append(Change(document.id, row.id, "", SliceState.QUEUED, 0, "", "round 1"))
        return row

    def _set(self, row: Slice, to: SliceState, token: int, worker: str, cause: str) -> None:
        assert to in SLICE_TRANSITIONS[row.state], f"a slice may not go from {row.state} to {to}"
        self._log.append(Change(row.document.id, row.id, row.state, to, token, worker, cause))
        row.state = to

    def _move(self, document: Document, to: DocumentState, cause: str) -> None:
        assert to in DOCUMENT_TRANSITIONS[document.state], f"a document may not go from {document.state} to {to}"
        self._log.append(Change(document.id, None, document.state, to, 0, "", cause))
        document.state = to
        if to in DOCUMENT_ENDS:
            self._release_followers(document)

    def _release_followers(self, document: Document) -> None:
        waiting = [other for other in self._documents.values() if other.follows == document.id]
        if document.state is DocumentState.SUCCEEDED:
            for other in waiting:
                self._copy_results(other, document)
            return
        for number, other in enumerate(waiting):
            other.follows = "" if number == 0 else waiting[0].id
            if number == 0:
                self._add(other, Step.PLAN, WHOLE_DOCUMENT, WHOLE_DOCUMENT)


def _death(kind: FailureKind) -> Failure:
    return Failure(kind, "worker_stopped" if kind is FailureKind.WAIT else "worker_died")
