"""The heartbeat of a cloud worker: one thread renews the leases of all it holds.

A thread of the same process is enough here, where slots have a supervisor: what the others do is waiting for the
network, and decoding in code that lets go of the interpreter's lock again and again. What could keep that lock for
longer than a lease, taking pages out of documents, is done in the sandbox child.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from docfleet.errors import LedgerError
from docfleet.ledger import Ledger
from docfleet.telemetry import logger
from docfleet.worker.cloud.holding import Held, Holding

log = logger("cloud")


class Heart:
    """Beats until stopped."""

    def __init__(self, ledger: Ledger, holding: Holding, seconds: float, lost: Callable[[Held], None]) -> None:
        """`lost` is told of each slice that belongs to somebody else now."""
        self._ledger = ledger
        self._holding = holding
        self._seconds = seconds
        self._lost = lost
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heart", daemon=True)

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
            for worker, claims in self._holding.claims().items():
                for held in self._holding.lose(self._ledger.beat(worker, claims)):
                    log.debug("lease_lost", slice=held.claim.slice_id, document=held.claim.document.id)
                    self._lost(held)
        except LedgerError as error:
            log.warning("heartbeat_failed", error=error)
            return False
        except Exception:
            # whatever it is: without this thread everything held is lost
            log.exception("heartbeat_failed")
            return False
        return True
