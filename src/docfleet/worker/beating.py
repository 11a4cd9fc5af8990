"""The heartbeat: one thread renews the leases of all slots, so that what a slot does cannot make it look dead."""

from __future__ import annotations

import threading
import time
from typing import Any, cast

from docfleet.errors import LedgerError
from docfleet.ledger import Claim, Ledger
from docfleet.telemetry import logger
from docfleet.worker.messages import Drop
from docfleet.worker.process_facts import facts_of
from docfleet.worker.slot_process import SlotProcess
from docfleet.worker.slots import Slots

log = logger("worker")


class Heart:
    """Beats until stopped. A slot that is stopped (SIGSTOP) is not beaten for: it must lose its lease."""

    def __init__(self, slots: Slots, ledger: Ledger, seconds: float) -> None:
        self._slots = slots
        self._ledger = ledger
        self._seconds = seconds
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heart", daemon=True)
        self.beaten_at = time.monotonic()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(self._seconds)

    def _run(self) -> None:
        pause = self._seconds
        while not self._stop.wait(pause):
            started = time.monotonic()
            pause = self._seconds if self.beat() else min(1.0, self._seconds)
            pause = max(0.05, pause - (time.monotonic() - started))

    def beat(self) -> bool:
        """Renews every lease once; False when the ledger could not be asked."""
        try:
            for slot in self._slots.busy():
                self._beat_for(slot)
        except LedgerError as error:
            log.warning("heartbeat_failed", error=error)
            return False
        except Exception:
            # whatever it is: without this thread every slot loses its leases for ever
            log.exception("heartbeat_failed")
            return False
        self.beaten_at = time.monotonic()
        return True

    def _beat_for(self, slot: SlotProcess) -> None:
        holding = slot.holding
        if holding is None or holding.lost_at is not None:
            return
        facts = facts_of(slot.pid)
        if facts is not None and (facts.is_stopped or facts.state == "Z"):
            return
        # the ledger looks at slice and token alone
        held = cast(Claim, cast(Any, holding))
        if self._ledger.beat(slot.name, [held]) and slot.holding is holding:
            # or it has just ended, and its last reply is on the way: to be told so does no harm then
            holding.lost_at = time.monotonic()
            log.debug("lease_lost", slot=slot.name, slice=holding.slice_id)
            slot.send(Drop(holding.slice_id))
