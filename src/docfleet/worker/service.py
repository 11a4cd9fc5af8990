"""The supervisor of a worker: slots, their heartbeat, and where their work comes from.

    broker ──hints──▶ Celery threads ─┐
                                      ├─▶ Driver ──order──▶ slot process ──claim, finish──▶ ledger
    ledger ◀──claim_next── direct ────┘                         ▲
                                            Heart ──beat────────┘ (the supervisor's own connection)

The supervisor touches no document. What can hang, crash or grow is a slot, and a slot can be replaced.
"""

from __future__ import annotations

import faulthandler
import os
import secrets
import shutil
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from docfleet import __version__
from docfleet.domain.urgency import HINTED_POOLS
from docfleet.errors import LedgerError, LedgerUnavailable, UsageError
from docfleet.ledger import Ledger
from docfleet.ledger.service_values import WorkerFacts
from docfleet.runtime import Runtime
from docfleet.settings import Settings
from docfleet.telemetry import logger, metrics, shown_level
from docfleet.telemetry.catalog import DIRECT_MODE, SLOT_DEATHS, SLOTS
from docfleet.telemetry.labels import values_of
from docfleet.telemetry.metrics import Measured, reading
from docfleet.telemetry.otlp import exporting
from docfleet.worker.beating import Heart
from docfleet.worker.direct_mode import DirectMode
from docfleet.worker.driving import NOT_ITS_FAULT, Driver, count_death
from docfleet.worker.messages import SlotConfig
from docfleet.worker.slot_process import SlotProcess
from docfleet.worker.slots import SlotLimits, Slots, scratch_folder

if TYPE_CHECKING:
    from docfleet.queues.options import QueueOptions
    from docfleet.worker.broker_mode import BrokerMode

EXIT_STALLED = 1
"""Hints waited and nobody took them: whoever starts workers starts a fresh one."""
TEND_SECONDS = 0.1
LIVENESS_SECONDS = 5.0
HAND_BACK_SECONDS = 3.0
"""After the grace time, slots have this long to hand back what they work on."""

log = logger("worker")


def run_worker(
    settings: Settings,
    pool: str,
    slots: int = 0,
    *,
    name: str = "",
    liveness_file: Path | None = None,
    stop: threading.Event | None = None,
) -> int:
    """Works until SIGTERM, SIGINT or `stop`; the exit code. Call it in the main thread, which must outlive the slots.

    `pool`: names with commas between them, or "all". `slots` 0: as set, else one for each core. `liveness_file` is
    touched every few seconds while the supervisor is well, whatever the broker and the database do. A second signal
    ends everything at once. Raises UsageError, UnsafeBroker.
    """
    pools = _pools(pool)
    count = slots or settings.fleet.slots or len(os.sched_getaffinity(0))
    stop = stop or threading.Event()
    traces = exporting(settings.telemetry.otlp_options(), "worker", settings.service.region)
    with traces, Runtime(settings) as runtime, stopping_on_signals(stop) as signals_seen:
        runtime.master_key  # noqa: B018 - a missing one is a reason not to start at all
        ledger = open_ledger(runtime, stop, liveness_file)
        if ledger is None:
            return 0
        supervisor = Supervisor(runtime, ledger, pools, count, name or _new_name(), liveness_file)
        return supervisor.run(stop, signals_seen)


class Supervisor:
    """One worker: see the module."""

    def __init__(
        self, runtime: Runtime, ledger: Ledger, pools: list[str], count: int, name: str, liveness_file: Path | None
    ) -> None:
        settings = runtime.settings
        self.name = name
        self._settings = settings
        self._pools = pools
        self._ledger = ledger
        self._liveness_file = liveness_file
        self._scratch = scratch_folder(Path(tempfile.gettempdir()) / f"docfleet-{os.getuid()}", name)
        self._stopping = threading.Event()
        self._slots = Slots(count, self._configure, _limits(settings), self._idle_death)
        self._driver = Driver(self._slots, lambda: ledger, self._stopping)
        self._heart = Heart(self._slots, ledger, settings.work.heartbeat_seconds)
        self._direct = DirectMode(self._slots, self._driver, self._stopping)
        self._broker = self._broker_mode(runtime.queue_options, pools)
        self._told_at = self._touched_at = 0.0
        self._is_announced = False

    def _broker_mode(self, options: QueueOptions | None, pools: list[str]) -> BrokerMode | None:
        if options is None:
            return None
        # Celery and Redis' client take half a second, which a laptop need not wait for
        from docfleet.worker.broker_mode import BrokerMode

        return BrokerMode(options, pools, self._slots, self._driver, self._direct.on, self._stopping)

    def run(self, stop: threading.Event, signals_seen: list[int]) -> int:
        code = 0
        try:
            if self._broker is not None:
                self._broker.start()
            else:
                self._direct.on.set()
            self._announce()
            self._heart.start()
            self._direct.start()
            metrics.watch(self._readings)
            log.info("worker_started", worker=self.name, pools=self._pools, slots=self._slots.count)
            while not stop.is_set():
                self._slots.tend(TEND_SECONDS)
                self._keep_house()
                if self._is_stalled():
                    code = EXIT_STALLED
                    break
        finally:
            self._end(signals_seen, at_once=code != 0)
        return code

    def _keep_house(self) -> None:
        self._driver.release_dead()
        now = time.monotonic()
        if now - self._touched_at >= LIVENESS_SECONDS:
            self._touched_at = now
            touch(self._liveness_file)
        if now - self._told_at >= self._settings.work.heartbeat_seconds:
            self._told_at = now
            if not self._is_announced:
                self._announce()
            try:
                self._ledger.see_worker(self.name, "direct" if self._direct.on.is_set() else "broker")
            except LedgerError as error:
                log.warning("worker_unseen", error=error)

    def _is_stalled(self) -> bool:
        seconds = self._settings.fleet.idle_restart_seconds
        if self._broker is None or not self._broker.is_stalled(seconds):
            return False
        log.error("consumption_stalled", worker=self.name, seconds=seconds)
        faulthandler.dump_traceback(all_threads=True)
        return True

    def _announce(self) -> None:
        facts = WorkerFacts(
            self.name,
            socket.gethostname(),
            ",".join(self._pools),
            self._settings.service.region,
            self._slots.count,
            __version__,
        )
        try:
            self._ledger.announce(facts)
            self._is_announced = True
        except LedgerError as error:
            log.warning("worker_unseen", error=error)

    def _readings(self) -> list[Measured]:
        pools, free = ",".join(self._pools), self._slots.idle_count()
        return [
            reading(SLOTS, free, pools, "free"),
            reading(SLOTS, len(self._slots.busy()), pools, "busy"),
            reading(DIRECT_MODE, self._direct.on.is_set()),
            # the first death is an increase then, and not a series that was not there before
            *(reading(SLOT_DEATHS, 0.0, pools, cause) for cause in values_of(SLOT_DEATHS, "cause")),
        ]

    # --- slots

    def _configure(self, number: int, serial: int) -> SlotConfig:
        return SlotConfig(
            name=f"{self.name}/{number}-{serial}",
            settings=self._settings.model_dump(mode="json"),
            pools=self._pools,
            scratch=str(self._scratch / f"{number}-{serial}"),
            reply_fd=-1,
            parent=os.getpid(),
            log_level=shown_level(),
            measure=metrics.is_enabled(),
        )

    def _idle_death(self, slot: SlotProcess) -> None:
        if slot.death_cause not in NOT_ITS_FAULT:
            log.info("slot_died_idle", slot=slot.name)
        count_death(slot)
        self._driver.died_free(slot)

    # --- the end

    def _end(self, signals_seen: list[int], at_once: bool) -> None:
        """Takes nothing more, lets slots finish within the grace time, then has them hand back what they hold."""
        metrics.unwatch(self._readings)
        self._stopping.set()
        self._slots.close()
        if self._broker is not None:
            self._broker.stop()
        deadline = time.monotonic() + (0.0 if at_once else self._settings.fleet.grace_seconds)
        while self._slots.busy() and time.monotonic() < deadline and len(signals_seen) < 2:
            time.sleep(0.02)
            self._driver.release_dead()
        in_order = not at_once and len(signals_seen) < 2
        self._slots.end(HAND_BACK_SECONDS if in_order else 0.0)
        self._direct.join(2.0)
        if self._broker is not None:
            self._broker.join(2.0)
        self._heart.stop()
        self._driver.release_dead()
        try:
            self._ledger.end_worker(self.name, "stalled" if at_once else "stopped")
        except LedgerError as error:
            log.warning("worker_unseen", error=error)
        shutil.rmtree(self._scratch, ignore_errors=True)
        log.info("worker_stopped", worker=self.name)


def touch(liveness_file: Path | None) -> None:
    """Tells a probe that this process is well."""
    if liveness_file is not None:
        try:
            liveness_file.touch()
        except OSError as error:
            log.warning("liveness_file", file=str(liveness_file), error=error)


def _pools(text: str) -> list[str]:
    known = [str(pool) for pool in HINTED_POOLS]
    names = known if text == "all" else [part.strip() for part in text.split(",") if part.strip()]
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        raise UsageError(f"There is no pool {', '.join(unknown) or text!r}; choose from {', '.join(known)}, or all.")
    return [name for name in known if name in names]


def _new_name() -> str:
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"


def _limits(settings: Settings) -> SlotLimits:
    fleet, work = settings.fleet, settings.work
    return SlotLimits(
        slice_seconds=work.slice_seconds,
        memory_bytes=fleet.worker_memory_bytes,
        recycle_slices=fleet.recycle_slices,
        recycle_bytes=fleet.recycle_bytes,
        stopped_seconds=work.lease_seconds * 0.8,
    )


def open_ledger(runtime: Runtime, stop: threading.Event, liveness_file: Path | None) -> Ledger | None:
    """Waits for a database that is away; None: told to stop meanwhile."""
    while not stop.is_set():
        try:
            return runtime.ledger
        except LedgerUnavailable as error:
            log.warning("ledger_awaited", error=error)
            touch(liveness_file)
            stop.wait(1.0)
    return None


@contextmanager
def stopping_on_signals(stop: threading.Event) -> Iterator[list[int]]:
    """SIGTERM and SIGINT set `stop`; the list grows with each of them. Elsewhere than in the main thread: nothing."""
    seen: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield seen
        return

    def note(number: int, _frame: object) -> None:
        seen.append(number)
        stop.set()

    before = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield seen
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
