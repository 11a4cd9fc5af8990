"""Work by hints: a Celery worker while the broker is well, and the breaker that turns to direct mode when it is not."""

from __future__ import annotations

import threading
import time

from docfleet.errors import BrokerUnavailable, UnsafeBroker
from docfleet.queues.check import check_broker
from docfleet.queues.hints import Hints
from docfleet.queues.options import QueueOptions, queues_of
from docfleet.telemetry import logger
from docfleet.worker.breaker import Breaker, Stall
from docfleet.worker.driving import Driver
from docfleet.worker.hint_consumer import HintConsumer
from docfleet.worker.slots import Slots

LOOK_SECONDS = 1.0
_NO_LEDGER_PAUSE = 1.0

log = logger("worker")


class BrokerMode:
    """Looks at the broker every second, keeps Celery consuming, and says when to work directly (`direct` is set)."""

    def __init__(
        self,
        options: QueueOptions,
        pools: list[str],
        slots: Slots,
        driver: Driver,
        direct: threading.Event,
        stop: threading.Event,
    ) -> None:
        self._options = options
        self._pools = pools
        self._slots = slots
        self._driver = driver
        self._direct = direct
        self._stop = stop
        self._hints = Hints(options)
        queues = [name for pool in pools for name in queues_of(pool)]
        self._consumer = HintConsumer(options, queues, slots.count, self._work)
        self._thread = threading.Thread(target=self._run, name="broker", daemon=True)
        self._breaker = Breaker()
        self._stall = Stall()
        self._is_checked = False
        self._taken = 0

    def start(self) -> None:
        """Raises UnsafeBroker when the broker or its settings must not be used. One that is away is waited for."""
        self._check()
        self._thread.start()

    def stop(self) -> None:
        """Takes no more hints."""
        self._consumer.stop()

    def join(self, seconds: float) -> None:
        self._consumer.join(seconds)
        if self._thread.ident is not None:
            self._thread.join(seconds)
        self._hints.close()

    def is_stalled(self, seconds: float) -> bool:
        """Hints have waited for so long although a slot was free for them: consuming has come to a halt."""
        return self._stall.lasts(time.monotonic(), seconds)

    def _check(self) -> None:
        try:
            log.info("broker_checked", server=check_broker(self._options))
            self._is_checked = True
        except BrokerUnavailable as error:
            log.warning("broker_unavailable", error=error)

    def _run(self) -> None:
        while not self._stop.is_set():
            was_open = self._breaker.is_open
            self._breaker = self._breaker.after(self._is_well())
            if self._breaker.is_open and not was_open:
                log.warning("direct_mode_on")
                self._direct.set()
            elif was_open and not self._breaker.is_open:
                log.warning("direct_mode_off")
                self._direct.clear()
            self._stop.wait(LOOK_SECONDS)

    def _is_well(self) -> bool:
        if not self._hints.is_up():
            self._stall = Stall()
            return False
        if not self._is_checked:
            try:
                self._check()
            except UnsafeBroker as error:
                log.error("broker_refused", error=error)
            if not self._is_checked:
                return False
        self._consumer.keep_running()
        try:
            waiting = sum(sum(self._hints.length(pool).values()) for pool in self._pools)
        except BrokerUnavailable:
            return False
        self._stall = self._stall.after(time.monotonic(), waiting, self._slots.idle_count(), self._taken)
        return self._consumer.is_consuming

    def _work(self, slice_id: int) -> None:
        self._taken += 1
        if self._driver.work(slice_id) == "no_ledger":
            # hints are not to be used up while nobody can claim
            self._stop.wait(_NO_LEDGER_PAUSE)
