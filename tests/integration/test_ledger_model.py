"""The ledger against a model of it: any order of claims, beats, lapses, stale writes, crashes and retries."""

from __future__ import annotations

import tempfile
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from docfleet.domain.retry import Action, Failure, FailureKind
from docfleet.domain.work import DOCUMENT_ENDS, PAGE_STEPS, DocumentState, Step
from docfleet.errors import Fenced
from docfleet.ledger import Claim, Ledger, NewSlice, Plan
from ledger_driver import BATCH, audit, file_named, pass_time, read
from new_ledger import new_ledger

PAGES = 4
WORKERS = ("w0", "w1", "w2")
workers = st.sampled_from(WORKERS)


class Held(msgspec.Struct):
    """What the model knows of a claim."""

    claim: Claim
    seconds_left: float = 15.0
    lost: bool = False
    ended: bool = False

    @property
    def valid(self) -> bool:
        return not self.lost and not self.ended


class LedgerMachine(RuleBasedStateMachine):
    """Three workers on a handful of documents of four pages. Time passes only by `wait`."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.ledger = Ledger.open(new_ledger(Path(self.folder.name) / "ledger.db"), jitter=lambda: 0.0)
        self.claims: list[Held] = []
        self.batch = ""
        self.submitted = 0

    def teardown(self) -> None:
        if self.batch:
            self._drain()
            audit(self.ledger)
        self.ledger.close()
        self.folder.cleanup()

    # --- what happens

    @precondition(lambda self: self.submitted < 3)
    @rule()
    def submit(self) -> None:
        self.submitted += 1
        names = [f"{n}.pdf" for n in range(self.submitted)]
        self.batch = self.ledger.register(BATCH, [file_named(name) for name in names]).batch_id

    @rule(worker=workers, limit=st.integers(1, 3))
    def claim(self, worker: str, limit: int) -> None:
        mine = [held for held in self.claims if held.valid and held.claim.worker == worker]
        for claim in self.ledger.claim(worker, limit=limit):
            others = [h for h in self.claims if h.claim.slice_id == claim.slice_id]
            assert not any(held.valid for held in others), "claimed while somebody held it"
            assert all(held.claim.token < claim.token for held in others)
            assert not claim.isolated or not mine, "a suspect beside other work"
            assert not any(held.claim.isolated for held in mine), "other work beside a suspect"
            self.claims.append(Held(claim))
        suspects = [held for held in self.claims if held.valid and held.claim.isolated]
        assert len(suspects) <= 1

    def _pick(self, number: int) -> Held | None:
        return self.claims[number % len(self.claims)] if self.claims else None

    @rule(number=st.integers(0, 10**6))
    def finish(self, number: int) -> None:
        held = self._pick(number)
        if held is None:
            return
        if held.lost:
            with pytest.raises(Fenced):
                self._finish(held.claim)
            return
        before = self._log(held)
        self._finish(held.claim)
        if held.ended:
            assert self._log(held) == before, "finished twice, written twice"
        held.ended = True

    def _log(self, held: Held) -> int:
        return len(self.ledger.events_of(held.claim.document.id))

    def _finish(self, claim: Claim) -> DocumentState:
        if claim.step is Step.PLAN:
            slices = [NewSlice(Step.LOCAL, 1, 2), NewSlice(Step.LOCAL, 3, PAGES)]
            return self.ledger.finish(claim, plan=Plan(PAGES), next_slices=slices)
        if claim.step is Step.ASSEMBLE:
            return self.ledger.finish_document(claim)
        return self.ledger.finish(claim, claim.result_prefix, read(claim.first_page, claim.last_page))

    @rule(number=st.integers(0, 10**6), kind=st.sampled_from(["retryable", "hopeless", "wait"]))
    def fail(self, number: int, kind: str) -> None:
        held = self._pick(number)
        if held is None:
            return
        failure = Failure(
            FailureKind.WAIT if kind == "wait" else FailureKind.ERROR, "engine_failed", retryable=kind == "retryable"
        )
        if not held.valid:
            with pytest.raises(Fenced):
                self.ledger.fail(held.claim, failure)
            return
        ended = self.ledger.fail(held.claim, failure)
        assert ended.decision.action is Action.RETRY or kind != "wait"
        self._lose(held)

    @rule(worker=workers)
    def beat(self, worker: str) -> None:
        mine = [held for held in self.claims if held.claim.worker == worker and not held.ended]
        lost = self.ledger.beat(worker, [held.claim for held in mine])
        alive = {held.claim.slice_id for held in mine if not held.lost}
        assert lost - alive == {held.claim.slice_id for held in mine} - alive
        assert not lost & alive
        for held in mine:
            if not held.lost:
                held.seconds_left = 15.0

    @rule(seconds=st.sampled_from([2.0, 5.0, 20.0]))
    def wait(self, seconds: float) -> None:
        pass_time(self.ledger, seconds)
        for held in self.claims:
            held.seconds_left -= seconds

    @rule()
    def expire(self) -> None:
        ended = {item.slice_id for item in self.ledger.expire_leases()}
        for held in self.claims:
            if held.valid and held.claim.slice_id in ended:
                assert held.seconds_left <= 0.1, "taken before its time"
                self._lose(held)
            elif held.valid:
                # the margin of seconds covers what the test itself takes
                assert held.seconds_left > -20, "a lapsed lease was forgotten"

    @rule(worker=workers, crashed=st.booleans())
    def release(self, worker: str, crashed: bool) -> None:
        ended = {item.slice_id for item in self.ledger.release_worker(worker, crashed)}
        mine = [held for held in self.claims if held.valid and held.claim.worker == worker]
        assert ended == {held.claim.slice_id for held in mine}
        for held in mine:
            self._lose(held)

    @precondition(lambda self: self.batch)
    @rule()
    def retry_failed(self) -> None:
        self.ledger.retry_failed(self.batch)

    @precondition(lambda self: self.batch)
    @rule(sure=st.integers(0, 9))
    def cancel(self, sure: int) -> None:
        if sure:  # most of the time there is more to see when work goes on
            return
        self.ledger.cancel_batch(self.batch)
        for held in self.claims:
            if held.valid:
                self._lose(held)

    def _lose(self, held: Held) -> None:
        held.lost = True

    # --- what must hold

    @invariant()
    def nothing_is_inconsistent(self) -> None:
        audit(self.ledger)

    def _drain(self) -> None:
        """From any state, a healthy worker brings every document to its end."""
        for worker in WORKERS:
            self.ledger.release_worker(worker, crashed=False)
        for _ in range(100):
            pass_time(self.ledger, 100)
            for claim in self.ledger.claim("healthy", limit=3):
                self._finish(claim)
            if self.ledger.is_drained(self.batch):
                break
        rows = list(self.ledger.rows_for_index(self.batch))
        assert {row.state for row in rows} <= DOCUMENT_ENDS
        for row in rows:
            if row.state is DocumentState.SUCCEEDED:
                assert row.document_id is not None
                records = list(self.ledger.pages_of(row.document_id))
                assert [record.page.page for record in records] == list(range(1, PAGES + 1))
                assert all(record.step in PAGE_STEPS and record.result_key for record in records)


TestLedgerModel = LedgerMachine.TestCase
TestLedgerModel.settings = settings(
    max_examples=25, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
