"""One order given to one slot and followed to its end, whatever that is."""

from __future__ import annotations

import signal
import threading
from collections import deque
from collections.abc import Callable

import msgspec

from docfleet.errors import LedgerError
from docfleet.ledger import Ledger
from docfleet.telemetry import logger, metrics
from docfleet.telemetry.catalog import SLICES, SLOT_DEATHS
from docfleet.telemetry.traces import tell
from docfleet.worker.messages import Claimed, Ended, Next, Reply, Work
from docfleet.worker.slot_process import Holding, SlotProcess
from docfleet.worker.slots import Slots

NOT_ITS_FAULT = frozenset({"lost", "supervisor_stopped", "unanswered"})
"""Causes for which the supervisor kills a slot without blaming the slice it worked on."""

log = logger("worker")


class Release(msgspec.Struct, frozen=True):
    """What a dead slot held has to go back to the queue."""

    worker: str
    crashed: bool
    cause: str
    working_on: tuple[int, ...] | None = None
    """None: as the ledger knows."""


class Driver:
    """Gives orders to slots. Threads may share one; each call keeps its thread until the slot is free again."""

    def __init__(self, slots: Slots, ledger: Callable[[], Ledger], is_stopping: threading.Event) -> None:
        self._slots = slots
        self._ledger = ledger
        self._is_stopping = is_stopping
        self._unreleased: deque[Release] = deque()

    def begin(self, slot: SlotProcess, order: Work | Next) -> Reply | None:
        """Gives the order; the first reply: `Claimed`, `Ended` when there was nothing to claim, None when it died."""
        slot.send(order)
        reply = slot.receive()
        if isinstance(reply, Claimed):
            slot.holding = Holding(reply.slice_id, reply.token, reply.pool, reply.step)
        return reply

    def follow(self, slot: SlotProcess, reply: Reply | None) -> str:
        """Waits for the end of what `begin` began and frees the slot; an outcome as of `Ended`, or "died"."""
        while reply is not None and not isinstance(reply, Ended):
            reply = slot.receive()
        outcome = reply.outcome if reply is not None else "died"
        if slot.holding is not None:
            metrics.count(SLICES, 1.0, slot.holding.pool, slot.holding.step, outcome)
        if reply is None:
            self._died(slot)
            return outcome
        metrics.add(reply.measured)
        self._slots.give_back(slot, reply)
        for span in reply.spans:
            tell(span)
        return outcome

    def work(self, slice_id: int) -> str:
        """Waits for a free slot and has it work on a slice; how that ended ("stopping": not begun)."""
        slot = self._slots.take()
        if slot is None:
            return "stopping"
        return self.follow(slot, self.begin(slot, Work(slice_id)))

    def _died(self, slot: SlotProcess) -> None:
        code = slot.reap()
        cause = slot.death_cause or "worker_died"
        log.warning("slot_died", slot=slot.name, exit_code=code, cause=cause, working=True)
        if not (self._is_stopping.is_set() and code == 0):
            count_death(slot)
        crashed = cause not in NOT_ITS_FAULT and not (self._is_stopping.is_set() and code == 0)
        self._slots.bury(slot)
        self._unreleased.append(Release(slot.name, crashed, cause))
        self.release_dead()

    def died_free(self, slot: SlotProcess) -> None:
        """A slot that had nothing to do was killed by somebody else: that is kept, as a sign of a storm."""
        if slot.process.returncode == -signal.SIGKILL and not slot.death_cause:
            self._unreleased.append(Release(slot.name, True, "worker_died", ()))

    def release_dead(self) -> None:
        """Gives back what dead slots held; what cannot be written now is tried at the next call."""
        for _ in range(len(self._unreleased)):
            try:
                item = self._unreleased.popleft()
            except IndexError:
                return
            try:
                self._ledger().release_worker(item.worker, item.crashed, item.working_on, item.cause)
            except LedgerError as error:
                log.warning("release_failed", slot=item.worker, error=error)
                self._unreleased.append(item)
                return


def count_death(slot: SlotProcess) -> None:
    """A slot that died or was killed, but for those that end with their supervisor."""
    if slot.death_cause != "supervisor_stopped":
        metrics.count(SLOT_DEATHS, 1.0, ",".join(slot.config.pools), slot.death_cause or "worker_died")
