"""The ledger as its users see it: every call is one transaction."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from sqlalchemy import Engine, literal, select

from docfleet.domain.retry import Failure, FailureKind, RetryPolicy
from docfleet.domain.urgency import Urgency
from docfleet.domain.work import DocumentState, Step
from docfleet.errors import LedgerError, LedgerUnavailable
from docfleet.ledger import claiming, ending, in_one, overseeing, reading, registering, restarting, stranded, workers
from docfleet.ledger import window as dispatching
from docfleet.ledger.dialect import connect
from docfleet.ledger.ending import Ended
from docfleet.ledger.schema import bring_up_to_date
from docfleet.ledger.service_values import Waiting, WorkerFacts, WorkerView
from docfleet.ledger.transactions import Transactions
from docfleet.ledger.values import (
    BOTH_LANES,
    Claim,
    DeadLetter,
    DocumentSummary,
    Event,
    IndexRow,
    Lane,
    NewBatch,
    NewInput,
    NewSlice,
    PageOutcome,
    PageRecord,
    Plan,
    Progress,
    Registered,
)

LEASE_SECONDS = 15.0
BEAT_SECONDS = 3.0
"""How often a worker renews its leases."""
INPUTS_PER_TRANSACTION = 500

_ANYTHING = select(literal(1))


class Ledger(Transactions):
    """The truth about every document, slice and page.

    Open one per process, after any fork; its threads may share it. A worker's name must be new with every process
    (say host, process id and a random part): what an earlier process of the same name left would count as its own.
    Every method raises `LedgerError` when the database fails (locked too long, disk full, read-only, damaged …), and
    has then changed nothing.
    """

    def __init__(
        self,
        engine: Engine,
        policy: RetryPolicy,
        lease_seconds: float,
        jitter: Callable[[], float],
        fencing: bool = True,
    ) -> None:
        super().__init__(engine, jitter, fencing)
        self._policy = policy
        self._lease_seconds = lease_seconds
        self._position = stranded.Position({})

    @classmethod
    def open(
        cls,
        address: str | Path,
        *,
        policy: RetryPolicy = RetryPolicy(),  # noqa: B008 - frozen
        lease_seconds: float = LEASE_SECONDS,
        busy_seconds: float = 30.0,
        durable: bool = False,
        jitter: Callable[[], float] = random.random,
        fencing: bool = True,
    ) -> Ledger:
        """Opens the SQLite file at a path (made with its folder if need be), or the database at a URL; migrates it.

        `durable`: SQLite commits survive a power cut, at one more fsync each. `fencing`: off only to prove that an
        audit notices what a stale worker then does.
        """
        engine = connect(address, busy_seconds, durable)
        try:
            bring_up_to_date(engine, busy_seconds)
        except BaseException:
            engine.dispose()
            raise
        return cls(engine, policy, lease_seconds, jitter, fencing)

    # --- submitting

    def register(self, batch: NewBatch, inputs: Sequence[NewInput]) -> Registered:
        """Makes batch, inputs and documents as far as they are not there: the same call again changes nothing.

        Large numbers are committed in parts; after a crash the same call completes them.
        """
        total = Registered("", 0, 0, 0)
        for start in range(0, max(1, len(inputs)), INPUTS_PER_TRANSACTION):
            part = inputs[start : start + INPUTS_PER_TRANSACTION]
            done = self._write(lambda session, part=part: registering.register(session, batch, part))  # type: ignore[misc]
            total = Registered(
                done.batch_id,
                total.new_documents + done.new_documents,
                total.known_documents + done.known_documents,
                total.refused + done.refused,
            )
        return total

    # --- working

    def claim(
        self,
        worker: str,
        steps: Collection[Step] = frozenset(Step),
        lanes: Collection[Lane] = BOTH_LANES,
        limit: int = 1,
        batch_id: str | None = None,
    ) -> list[Claim]:
        """Takes up to `limit` slices to work on; empty when nothing is due. See `claiming.claim` for the lanes."""
        return self._write(
            lambda session: claiming.claim(
                session, worker, steps, self._lease_seconds, lanes=lanes, limit=limit, batch_id=batch_id
            )
        )

    def claim_slice(self, worker: str, slice_id: int, lanes: Collection[Lane] = BOTH_LANES) -> Claim | None:
        """Takes the slice a hint names; None when it is not to be had (any more): forget the hint then."""
        if Lane.SHARED in lanes and (
            claim := self._at_once(lambda link: claiming.claim_at_once(link, worker, slice_id, self._lease_seconds))
        ):
            return claim
        return self._write(lambda session: claiming.claim_slice(session, worker, slice_id, self._lease_seconds, lanes))

    def claim_next(
        self, worker: str, pools: Collection[str], limit: int = 1, lanes: Collection[Lane] = BOTH_LANES
    ) -> list[Claim]:
        """Takes what a dispatcher would send next; for work without a broker. See `claiming.claim_next`."""
        return self._write(
            lambda session: claiming.claim_next(session, worker, pools, self._lease_seconds, limit=limit, lanes=lanes)
        )

    def beat(self, worker: str, held: Collection[Claim]) -> frozenset[int]:
        """Renews all leases of a worker (every `BEAT_SECONDS`); returns the slice ids it has lost and must drop."""
        if not held:
            return frozenset()
        return self._write(lambda session: claiming.beat(session, worker, held, self._lease_seconds), repeatable=True)

    def finish(
        self,
        claim: Claim,
        result_key: str = "",
        page_outcomes: Sequence[PageOutcome] = (),
        next_slices: Sequence[NewSlice] = (),
        plan: Plan | None = None,
    ) -> DocumentState:
        """Ends a plan or page slice well; returns where the document stands then.

        A plan slice gives a `plan` and the page slices; a page slice gives an outcome for each of its pages, or
        passes the page on to one of `next_slices`. When it was the document's last, the assemble slice is made in
        the same transaction, once. `result_key` becomes visible with it. Raises `Fenced` when the claim was lost.
        """
        return self._write(
            lambda session: ending.finish(session, claim, result_key, page_outcomes, next_slices, plan), repeatable=True
        )

    def finish_document(self, claim: Claim, summary: DocumentSummary = DocumentSummary()) -> DocumentState:  # noqa: B008
        """Ends an assemble slice and its document: SUCCEEDED, PARTIAL or FAILED, as its page rows say."""
        return self._write(lambda session: ending.finish_document(session, claim, summary), repeatable=True)

    def finish_in_one(
        self,
        claim: Claim,
        plan: Plan,
        page_outcomes: Sequence[PageOutcome],
        result_key: str = "",
        summary: DocumentSummary = DocumentSummary(),  # noqa: B008
    ) -> DocumentState:
        """Ends a plan slice together with its whole document (see `in_one.finish_in_one`)."""
        with suppress(LedgerUnavailable):  # what of it was committed, the longer way finds out
            if state := self._at_once(
                lambda link: in_one.finish_at_once(link, claim, plan, page_outcomes, result_key, summary)
            ):
                return state
        return self._write(
            lambda session: in_one.finish_in_one(session, claim, plan, page_outcomes, result_key, summary),
            repeatable=True,
        )

    def fail(self, claim: Claim, failure: Failure) -> Ended:
        """The attempt did not end well: again later, or dead, as the policy decides. Raises `Fenced`."""
        return self._write(lambda session: ending.fail(session, claim, failure, self._policy, self._jitter()))

    def hand_back(self, claim: Claim, code: str = "handed_back", after_seconds: float = 0.0) -> Ended:
        """Gives the slice back without blame (a stop, a quota, an outage); due again after so many seconds."""
        return self.fail(claim, Failure(FailureKind.WAIT, code, after_seconds=after_seconds))

    # --- dispatching

    def window(self, pool: str, limit: int) -> list[Waiting]:
        """Up to `limit` slices to be hinted next, in this order; publish their hints, then `mark_dispatched`."""
        with self.reading() as session:
            return dispatching.window(session, pool, limit)

    def mark_dispatched(self, slice_ids: Collection[int]) -> None:
        self._write(lambda session: dispatching.mark_dispatched(session, slice_ids))

    def count_hinted(self, pool: str) -> int:
        """How many slices of the pool are hinted and still wait."""
        with self.reading() as session:
            return dispatching.count_hinted(session, pool)

    def hinted(self, pool: str, limit: int) -> list[tuple[int, Urgency]]:
        """(slice id, urgency) of what is hinted and still waits, the oldest hint first."""
        with self.reading() as session:
            return dispatching.hinted(session, pool, limit)

    def forget_hints(self, pool: str | None = None) -> int:
        """The broker has lost its hints: what waits is to be hinted anew. Returns how many."""
        return self._write(lambda session: dispatching.forget_hints(session, pool))

    def oldest_waiting(self, pool: str) -> float | None:
        """Seconds the oldest slice that is due has waited; None when none is. (Exact to the heads of the queues.)"""
        with self.reading() as session:
            return dispatching.oldest_waiting(session, pool)

    # --- keeping house

    def expire_leases(self) -> list[Ended]:
        """Takes back what lapsed; call it every second or so. See `domain.retry.judge_lapses` for who is blamed."""
        together = self._lease_seconds * BEAT_SECONDS / LEASE_SECONDS
        return self._write(lambda session: ending.expire_leases(session, self._policy, together, self._jitter))

    def release_worker(
        self, worker: str, crashed: bool, working_on: Collection[int] | None = None, cause: str = "worker_died"
    ) -> list[Ended]:
        """Takes back at once what a worker *known to be dead* holds.

        `crashed`: by itself, so that the slice it was working on is to blame (`working_on`, or the only one it held).
        With an empty `working_on` it was free; that tells of a storm, and is kept for that.
        `cause`: a code of `docfleet.errors` where it was seen what ended it ("timed_out", "out_of_memory").
        """
        return self._write(
            lambda session: ending.release_worker(
                session, worker, crashed, working_on, self._policy, self._jitter, cause
            )
        )

    def stranded(self) -> int:
        """Gives open documents whose next slice, or whose share of results, is missing that; returns how many.

        Looks at some thousands of documents at a call and goes on where it stopped; call it every second or so.
        """
        with self.reading() as session:
            repairs = stranded.repairs(session, self._position)
        return sum(self._write(repair) for repair in repairs)

    def take_back(self, kind: FailureKind) -> list[Ended]:
        """Takes back every running slice of a ledger that nobody else works on (see `overseeing.take_back`)."""
        return self._write(lambda session: overseeing.take_back(session, kind, self._policy, self._jitter))

    def cancel_other_options(self, batch_id: str, options_digest: str) -> int:
        """Cancels open documents registered under other options; returns how many."""
        return self._write(lambda session: overseeing.cancel_other_options(session, batch_id, options_digest))

    def supersede(self, document_ids: Sequence[str]) -> None:
        """Lets go of ended documents whose results are gone (see `overseeing.supersede`)."""
        self._write(lambda session: overseeing.supersede(session, document_ids))

    def overdue_workers(self, seconds: float) -> list[str]:
        """Workers that have been at one slice for longer than `seconds`."""
        with self.reading() as session:
            return overseeing.overdue_workers(session, seconds)

    def retry_failed(self, batch_id: str, codes: Collection[str] | None = None) -> int:
        """Tries the FAILED and PARTIAL documents again (of these codes); pages that were read stay read."""
        return self._write(lambda session: restarting.retry_failed(session, batch_id, codes))

    def cancel_batch(self, batch_id: str, cause: str = "cancelled") -> int:
        return self._write(lambda session: restarting.cancel_batch(session, batch_id, cause))

    # --- the fleet

    def announce(self, facts: WorkerFacts) -> None:
        """A worker (supervisor) has started, under a name no other ever had."""
        self._write(lambda session: workers.announce(session, facts))

    def see_worker(self, name: str, mode: str) -> None:
        """It lives; every `BEAT_SECONDS`. `mode`: "broker" or "direct"."""
        self._write(lambda session: workers.see(session, name, mode))

    def end_worker(self, name: str, cause: str) -> None:
        self._write(lambda session: workers.end(session, name, cause))

    def workers(self, pool: str | None = None) -> list[WorkerView]:
        """The workers seen within the last ten minutes, those that ended meanwhile included."""
        with self.reading() as session:
            return workers.listing(session, pool)

    # --- asking

    def is_reachable(self) -> bool:
        """Whether the database answers now."""
        try:
            with self.reading() as session:
                session.execute(_ANYTHING)
        except LedgerError:
            return False
        return True

    def find_batch(self, key: str) -> str | None:
        with self.reading() as session:
            return reading.find_batch(session, key)

    def list_batches(self) -> list[tuple[str, NewBatch]]:
        with self.reading() as session:
            return reading.list_batches(session)

    def progress(self, batch_id: str) -> Progress:
        with self.reading() as session:
            return reading.progress(session, batch_id)

    def is_drained(self, batch_id: str) -> bool:
        with self.reading() as session:
            return reading.is_drained(session, batch_id)

    def rows_for_index(self, batch_id: str) -> Iterator[IndexRow]:
        with self.reading(slowly=True) as session:
            yield from reading.rows_for_index(session, batch_id)

    def pages_of(self, document_id: str) -> Iterator[PageRecord]:
        with self.reading(slowly=True) as session:
            yield from reading.pages_of(session, document_id)

    def dead_letters(self, batch_id: str) -> list[DeadLetter]:
        with self.reading() as session:
            return reading.dead_letters(session, batch_id)

    def events_of(self, document_id: str) -> list[Event]:
        with self.reading() as session:
            return reading.events_of(session, document_id)
