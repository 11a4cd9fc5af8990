"""The thread of a cloud worker that makes batches of what waits, asks for them, polls them and clears up after them.

Every cloud worker has one. All it knows is in the ledger, and it takes an operation there before it moves it on: so any
of them goes on with what another has begun.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

import msgspec

from docfleet.domain.quota import Grant, Wait
from docfleet.engines.documentai.batch import Batches, BatchFile, BatchState, BatchTicket, Progress, next_poll
from docfleet.engines.documentai.calls import Endpoint
from docfleet.engines.documentai.failures import Failure, FailureKind
from docfleet.errors import DocfleetError
from docfleet.ledger import batch_rows
from docfleet.ledger.batch_sweeping import Leftover
from docfleet.ledger.batch_values import CloudBatch
from docfleet.telemetry import logger
from docfleet.worker.cloud.batch_parts import BatchParts, read_group

TURN_SECONDS = 1.0
HOLD_SECONDS = 30.0
"""An operation that was taken is taken again after so long: its worker has died."""
UNSURE_SECONDS = 90.0
"""Longer than a request may be on its way: an operation the service still does not know of then was never taken."""
SURE_PAUSE_SECONDS = 5.0
TRIES = {FailureKind.AWAY: 5, FailureKind.BROKEN: 3}
"""How often an operation is asked for that fails so; others are not asked for again."""
SWEEP_SECONDS = 2.0
OLD_SECONDS = 3600.0
"""Rows are kept for so long after their objects were deleted, and these are then deleted once more."""
OLD_LOOK_SECONDS = 60.0
OVERTIME_SECONDS = 7200.0
"""Beyond the longest that the service lets a batch run."""

log = logger("cloud")


class BatchKeeper:
    """See the module."""

    def __init__(self, parts: BatchParts) -> None:
        self._parts = parts
        self._desk = parts.desk
        self._stop = threading.Event()
        self._sweep_at = self._old_at = 0.0
        self._thread = threading.Thread(target=self._run, name="batches", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """What it is at is finished by somebody else if it takes long."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(2.0)

    def _run(self) -> None:
        while not self._stop.wait(TURN_SECONDS):
            for duty in (self.form, self.move_on, self.sweep):
                try:
                    duty()
                except DocfleetError as error:
                    log.warning("batches_awaited", duty=duty.__name__, error=error)
                except Exception:
                    # a defect in one duty must not stop the others
                    log.exception("batches_broke", duty=duty.__name__)

    # --- making them

    def form(self) -> None:
        """Operations of what has waited long enough, or is enough, as far as more may be under way."""
        for group in self._desk.waiting():
            if self._stop.is_set():
                return
            if group.files < self._parts.most_files() and group.seconds < self._parts.options.batch_wait_seconds:
                continue
            most = self._parts.most_open(group.place)
            if most is not None and self._desk.open_at(group.place) >= most:
                continue
            made = self._desk.form(group, self._parts.most_files())
            if made is not None:
                log.info("batch_formed", batch=made, place=group.place, files=group.files)

    def move_on(self) -> None:
        """Asks for those that were not, polls those that run."""
        while self._desk.any_due() and not self._stop.is_set():
            for batch in self._desk.take_due(1, HOLD_SECONDS):
                if batch.state is batch_rows.BatchState.ASKING:
                    self._ask(batch)
                else:
                    self._poll(batch)

    def _ask(self, batch: CloudBatch) -> None:
        group = read_group(batch.group_json)
        endpoint, batches = self._parts.endpoint(group.processor), self._parts.batches(batch.place)
        if endpoint is None or batches is None:
            self._give_up(batch, "no_processor", f"{group.processor} is set up no more.")
            return
        files = [BatchFile(key, "application/pdf") for key in self._desk.keys_of(batch.id)]
        if batch.asked_seconds is not None:
            self._find(batch, batches, endpoint, files)
            return
        grant = batches.place(endpoint)
        if isinstance(grant, Wait):
            self._ask_later(batch, min(60.0, max(1.0, grant.seconds)))
            return
        if not self._desk.ask(batch.id, msgspec.json.encode(grant).decode()):
            self._parts.quota.failed(grant)
            return
        answer = batches.submit(endpoint, batch.output, files, languages=group.languages, grant=grant)
        match answer:
            case BatchTicket():
                self._began(batch, answer)
            case Failure() if answer.may_be_billed:
                # it may have been taken all the same: found, or asked for again once that is sure
                log.warning("batch_unsure", batch=batch.id, code=answer.code)
                self._desk.later(batch.id, SURE_PAUSE_SECONDS, polled=False)
            case Failure():
                self._refused(batch, answer)

    def _began(self, batch: CloudBatch, ticket: BatchTicket) -> None:
        self._desk.began(batch.id, ticket.operation, ticket.host, next_poll(0))
        log.info("batch_began", batch=batch.id, operation=ticket.operation, files=len(ticket.keys), place=batch.place)

    def _find(self, batch: CloudBatch, batches: Batches, endpoint: Endpoint, files: Sequence[BatchFile]) -> None:
        grant = _grant(batch)
        found = batches.find(endpoint, batch.output, files, grant)
        match found:
            case BatchTicket():
                log.info("batch_found_again", batch=batch.id, operation=found.operation)
                self._began(batch, found)
            case Failure() if (batch.asked_seconds or 0.0) > OVERTIME_SECONDS:
                self._give_up(batch, found.code, found.message)
            case Failure():
                self._desk.later(batch.id, next_poll(batch.polls, found.retry_after))
            case None if (batch.asked_seconds or 0.0) < UNSURE_SECONDS:
                self._desk.later(batch.id, SURE_PAUSE_SECONDS, polled=False)
            case None:
                if grant is not None:
                    self._parts.quota.failed(grant)
                self._desk.not_asked(batch.id, 0.0, tried=True)

    def _ask_later(self, batch: CloudBatch, seconds: float, tried: bool = False) -> None:
        if batch.age_seconds > self._parts.options.batch_hours * 3600:
            self._give_up(batch, "no_batch", "It waited too long for its turn.")
        else:
            self._desk.not_asked(batch.id, seconds, tried)

    def _refused(self, batch: CloudBatch, failure: Failure) -> None:
        log.warning("batch_refused", batch=batch.id, kind=str(failure.kind), code=failure.code)
        pause = next_poll(batch.tries, failure.retry_after)
        if failure.kind is FailureKind.THROTTLED:
            self._ask_later(batch, max(pause, 5.0))
        elif batch.tries + 1 < TRIES.get(failure.kind, 0):
            self._ask_later(batch, pause, tried=True)
        else:
            if failure.kind is FailureKind.SETUP:
                self._parts.bar(batch.place)
            self._give_up(batch, failure.code, failure.message)

    def _give_up(self, batch: CloudBatch, code: str, message: str) -> None:
        """Its files go on by themselves; none of them was read, unless nobody knows."""
        log.error("batch_given_up", batch=batch.id, code=code)
        self._desk.end(batch.id, {}, whole=(code, message), billed=batch.asked_seconds is not None)

    # --- following them

    def _poll(self, batch: CloudBatch) -> None:
        batches = self._parts.batches(batch.place)
        ticket = BatchTicket(
            batch.operation, batch.host, batch.output, self._desk.keys_of(batch.id), _grant(batch)
        )  # fmt: skip
        try:
            progress = batches.poll(ticket) if batches is not None else None
        except DocfleetError as error:
            self._lost(batch, error.code, error.message)
            return
        longest = self._parts.facts.sizes.batch_hours * 3600 + OVERTIME_SECONDS
        match progress:
            case Progress() if progress.state is not BatchState.RUNNING:
                self._ended(batch, progress)
            case Failure() if progress.code == "not_found":
                self._lost(batch, "operation_gone", "The service knows no such operation.")
            case None:
                self._lost(batch, "no_processor", f"Nothing is set up in {batch.place} any more.")
            case _ if batch.age_seconds > longest:
                self._lost(batch, "timed_out", "The operation has not ended in time.")
            case _:
                after = progress.retry_after if isinstance(progress, Failure) else None
                self._desk.later(batch.id, next_poll(batch.polls + 1, after))

    def _lost(self, batch: CloudBatch, code: str, message: str) -> None:
        """Nobody will know what came of it: it counts as paid for, and its files go on by themselves."""
        log.error("batch_lost", batch=batch.id, operation=batch.operation, code=code)
        if (grant := _grant(batch)) is not None:
            self._parts.quota.failed(grant)
        self._desk.end(batch.id, {}, whole=(code, message), billed=True)

    def _ended(self, batch: CloudBatch, progress: Progress) -> None:
        well = {one.key: one.output for one in progress.files if one.output and one.failure is None}
        failed = {one.key: (one.failure.code, one.failure.message) for one in progress.files if one.failure is not None}
        whole = progress.failure
        said = (whole.code, whole.message) if whole is not None else ("no_result", "The batch left no result of it.")
        read = self._desk.end(batch.id, well, failed, said)
        log.info(
            "batch_ended", batch=batch.id, operation=batch.operation, state=str(progress.state), read=read,
            failed=len(failed), seconds=round(batch.age_seconds, 1),
        )  # fmt: skip

    # --- clearing up

    def sweep(self) -> None:
        """Deletes what nobody waits for: these are customers' bytes."""
        now = time.monotonic()
        if now < self._sweep_at:
            return
        self._sweep_at = now + SWEEP_SECONDS
        sweeping, options = self._parts.sweeping, self._parts.options
        sweeping.unstage(options.batch_hours * 3600, options.batch_urgencies)
        sweeping.let_go()
        sweeping.cleaned([one.file_id for one in self._deleted(sweeping.leftovers())])
        if now >= self._old_at:
            self._old_at = now + OLD_LOOK_SECONDS
            self._desk.wake_forgotten()
            sweeping.forget(self._deleted(sweeping.old(OLD_SECONDS)))

    def _deleted(self, leftovers: Sequence[Leftover]) -> list[Leftover]:
        """Those of which nothing is left. What cannot be deleted is tried again at the next sweep."""
        gone = []
        for one in leftovers:
            try:
                store = self._parts.store(one.place)
                if one.key:
                    store.delete(one.key)
                if one.prefix:
                    store.delete_prefix(one.prefix)
            except DocfleetError as error:
                log.warning("batch_objects_left", file=one.file_id, error=error)
            else:
                gone.append(one)
        return gone


def _grant(batch: CloudBatch) -> Grant | None:
    return msgspec.json.decode(batch.grant_json, type=Grant) if batch.grant_json else None
