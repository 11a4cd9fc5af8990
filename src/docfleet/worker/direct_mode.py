"""Work without a broker: free slots claim straight from the ledger.

While the broker is well they do so too when nothing has come for a moment. Whatever keeps hints from arriving (a
dispatcher that died or was stopped with its lock in hand, a hint that got lost, a consumer that reconnected but
does not consume) then costs a few seconds, for the price of one indexed query every few seconds of idling.
"""

from __future__ import annotations

import random
import threading
import time

from docfleet.telemetry import logger
from docfleet.worker.driving import Driver
from docfleet.worker.messages import Claimed, Next
from docfleet.worker.slots import Slots

PAUSES = (0.05, 0.1, 0.2, 0.35, 0.5)
"""Seconds between two looks while nothing is due: short at first, since the slices of a document being planned are
near."""
_NO_LEDGER_PAUSE = 1.0
IDLE_LOOK_SECONDS = (2.0, 4.0)
"""A slot that has been free for this long looks for itself; spread, so that a fleet does not ask all at once."""

log = logger("worker")


class DirectMode:
    """As many threads as slots, of which one at a time looks for work: always while `on` is set, else now and then."""

    def __init__(self, slots: Slots, driver: Driver, stop: threading.Event) -> None:
        self.on = threading.Event()
        self._slots = slots
        self._driver = driver
        self._stop = stop
        self._looking = threading.Lock()
        self._idle_looks = 0
        self._free_since: float | None = None
        self._patience = random.uniform(*IDLE_LOOK_SECONDS)
        self._threads = [
            threading.Thread(target=self._run, name=f"direct-{number}", daemon=True) for number in range(slots.count)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def join(self, seconds: float) -> None:
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(seconds)

    def _run(self) -> None:
        while not self._stop.is_set():
            if (self.on.wait(0.5) or self._is_left_waiting()) and not self._stop.is_set():
                try:
                    self._work_one()
                except Exception:
                    # whatever it is: without these threads the slots stand idle when the broker is away
                    log.exception("look_broke_off")
                    self._stop.wait(_NO_LEDGER_PAUSE)

    def _is_left_waiting(self) -> bool:
        """A slot has been free for some seconds, as far as looks twice a second can tell."""
        now = time.monotonic()
        if not self._slots.idle_count():
            self._free_since = None
        elif self._free_since is None:
            self._free_since = now
        elif now - self._free_since >= self._patience:
            self._free_since = now
            self._patience = random.uniform(*IDLE_LOOK_SECONDS)
            return True
        return False

    def _work_one(self) -> None:
        with self._looking:
            slot = self._slots.take(0.5)
            if slot is None:
                return
            reply = self._driver.begin(slot, Next())
            if isinstance(reply, Claimed):
                self._idle_looks = 0
            else:
                outcome = self._driver.follow(slot, reply)
                self._stop.wait(_NO_LEDGER_PAUSE if outcome in ("no_ledger", "died") else self._pause())
                return
        self._driver.follow(slot, reply)

    def _pause(self) -> float:
        pause = PAUSES[min(self._idle_looks, len(PAUSES) - 1)]
        self._idle_looks += 1
        return pause
