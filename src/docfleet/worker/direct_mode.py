"""Work without a broker: free slots claim straight from the ledger."""

from __future__ import annotations

import threading

from docfleet.telemetry import logger
from docfleet.worker.driving import Driver
from docfleet.worker.messages import Claimed, Next
from docfleet.worker.slots import Slots

PAUSES = (0.05, 0.1, 0.2, 0.35, 0.5)
"""Seconds between two looks while nothing is due: short at first, since the slices of a document being planned are
near."""
_NO_LEDGER_PAUSE = 1.0

log = logger("worker")


class DirectMode:
    """As many threads as slots, of which one at a time looks for work. Idle until `on` is set."""

    def __init__(self, slots: Slots, driver: Driver, stop: threading.Event) -> None:
        self.on = threading.Event()
        self._slots = slots
        self._driver = driver
        self._stop = stop
        self._looking = threading.Lock()
        self._idle_looks = 0
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
            if self.on.wait(0.5) and not self._stop.is_set():
                self._work_one()

    def _work_one(self) -> None:
        with self._looking:
            slot = self._slots.take(0.5) if self.on.is_set() else None
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
