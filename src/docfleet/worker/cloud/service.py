"""A cloud worker: one process of threads that has pages read by a cloud engine.

    ledger ──claim──▶ Gatherer ──▶ preparers (sandbox) ──▶ requests, each in a thread ──▶ ledger
                          Heart ──beat for everything held──▶ ledger

There is no slot to be replaced: untrusted bytes are parsed in the sandbox alone, and the rest waits for the network.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import tempfile
import threading
import time
from pathlib import Path

from docfleet import __version__
from docfleet.dispatch.waking import PostgresWaking, SqliteWaking, Waking
from docfleet.domain.urgency import Pool
from docfleet.errors import LedgerError
from docfleet.ledger.cutting import CLOUD_CHANNEL
from docfleet.ledger.service_values import WorkerFacts
from docfleet.runtime import Runtime, is_postgres, ledger_address, sandbox_limits
from docfleet.sandbox import Sandbox
from docfleet.settings import Settings
from docfleet.telemetry import logger, metrics
from docfleet.telemetry.catalog import SLOTS
from docfleet.telemetry.metrics import Measured, reading
from docfleet.telemetry.otlp import exporting
from docfleet.worker.cloud.batch_keeping import BatchKeeper
from docfleet.worker.cloud.beating import Heart
from docfleet.worker.cloud.finishing import Ends
from docfleet.worker.cloud.gathering import Gatherer
from docfleet.worker.cloud.holding import Held, Holding, Stage
from docfleet.worker.cloud.opening import open_parts
from docfleet.worker.cloud.parts import CloudParts
from docfleet.worker.cloud.preparing import Desk, Preparers
from docfleet.worker.service import LIVENESS_SECONDS, open_ledger, stopping_on_signals, touch
from docfleet.worker.slots import scratch_folder
from docfleet.worker.sources import Sources

TURN_SECONDS = 0.5
PREPARE_SECONDS = 60.0

log = logger("cloud")


def run_cloud_worker(
    settings: Settings,
    *,
    name: str = "",
    liveness_file: Path | None = None,
    stop: threading.Event | None = None,
) -> int:
    """Works until SIGTERM, SIGINT or `stop`; the exit code. In the main thread, unless `stop` is given.

    On a stop, what is not in flight is handed back at once, and requests under way have the grace time to end; a
    second signal ends that time. Raises UsageError, EngineUnavailable when the cloud engine is not set up.
    """
    stop = stop or threading.Event()
    traces = exporting(settings.telemetry.otlp_options(), "cloud-worker", settings.service.region)
    with traces, Runtime(settings) as runtime, stopping_on_signals(stop) as signals_seen:
        runtime.master_key  # noqa: B018 - a missing one is a reason not to start at all
        ledger = open_ledger(runtime, stop, liveness_file)
        if ledger is None:
            return 0
        parts = open_parts(runtime, ledger)
        try:
            CloudWorker(settings, parts, name or _new_name(), liveness_file).run(stop, signals_seen)
        finally:
            parts.caller.close()
    return 0


class CloudWorker:
    """See the module."""

    def __init__(self, settings: Settings, parts: CloudParts, name: str, liveness_file: Path | None = None) -> None:
        self.name = name
        self._settings = settings
        self._parts = parts
        self._liveness_file = liveness_file
        self._ending = threading.Event()
        self._scratch = scratch_folder(Path(tempfile.gettempdir()) / f"docfleet-{os.getuid()}", name)
        self.holding = Holding()
        self._ends = Ends(parts, self.holding, lambda: not self._ending.is_set())
        self._preparers = Preparers(self._scratch, self._make_desk)
        self.gatherer = Gatherer(name, parts, self.holding, self._ends, self._preparers)
        self._keeper = BatchKeeper(parts.batches) if parts.batches is not None else None
        self._heart = Heart(parts.ledger, self.holding, settings.work.heartbeat_seconds, self._lost)
        self._told_at = self._touched_at = 0.0
        self._is_announced = False

    def run(self, stop: threading.Event, signals_seen: list[int]) -> None:
        waking = self._waking()
        listener = threading.Thread(target=self._listen, args=(waking,), name="listener", daemon=True)
        try:
            self._announce()
            self._heart.start()
            self._preparers.start()
            listener.start()
            if self._keeper is not None:
                self._keeper.start()
            metrics.watch(self._readings)
            log.info("worker_started", worker=self.name, pools=[str(Pool.CLOUD)], slots=self._calls)
            while not stop.is_set():
                self.gatherer.turn(TURN_SECONDS)
                self._keep_house()
        finally:
            self._end(signals_seen)

    def _readings(self) -> list[Measured]:
        free = max(0, self.gatherer.senders.free())
        return [reading(SLOTS, free, Pool.CLOUD, "free"), reading(SLOTS, self._calls - free, Pool.CLOUD, "busy")]

    @property
    def _calls(self) -> int:
        return self._parts.options.calls_in_flight

    def _make_desk(self, folder: Path) -> Desk:
        sandbox = Sandbox(sandbox_limits(self._settings.limits))
        return Desk(sandbox, Sources(folder), self._parts.store, self._parts.master_key, PREPARE_SECONDS)

    def _lost(self, held: Held) -> None:
        # one in flight is noticed by the thread of its request
        if held.stage is not Stage.IN_FLIGHT:
            self.gatherer.inbox.put(None)

    def _waking(self) -> Waking:
        service = self._settings.service
        if is_postgres(service):
            return PostgresWaking(service.ledger_url, CLOUD_CHANNEL)
        return SqliteWaking(Path(ledger_address(service)))

    def _listen(self, waking: Waking) -> None:
        """New cloud slices are told of; a tick finds those that were not."""
        while not self._ending.is_set():
            if waking.wait(TURN_SECONDS):
                self.gatherer.inbox.put(None)
                # many that come at once wake us once
                time.sleep(0.02)
        waking.close()

    def _keep_house(self) -> None:
        now = time.monotonic()
        if now - self._touched_at >= LIVENESS_SECONDS:
            self._touched_at = now
            touch(self._liveness_file)
        if self._parts.noting is not None:
            self._parts.noting.pin(self.name, self._calls, self.holding)
        if now - self._told_at >= self._settings.work.heartbeat_seconds:
            self._told_at = now
            if not self._is_announced:
                self._announce()
            try:
                self._parts.ledger.see_worker(self.name, "direct")
            except LedgerError as error:
                log.warning("worker_unseen", error=error)

    def _announce(self) -> None:
        region = self._settings.service.region
        facts = WorkerFacts(self.name, socket.gethostname(), str(Pool.CLOUD), region, self._calls, __version__)
        try:
            self._parts.ledger.announce(facts)
            self._is_announced = True
        except LedgerError as error:
            log.warning("worker_unseen", error=error)

    def _end(self, signals_seen: list[int]) -> None:
        metrics.unwatch(self._readings)
        self.gatherer.let_go()
        deadline = time.monotonic() + self._settings.fleet.grace_seconds
        while not self.gatherer.senders.wait_idle(0.1) and time.monotonic() < deadline and len(signals_seen) < 2:
            self._keep_house()
            # what a request could not be made for goes back as well
            self.gatherer.let_go()
        self._ending.set()
        if self._keeper is not None:
            self._keeper.stop()
        self.gatherer.let_go()
        for held in self.holding.all():
            # how its call ends nobody will know: its reservations are left open, and written off
            held.reservations = []
            self._ends.hand_back(held, "handed_back")
        self._heart.stop()
        self._preparers.stop()
        if self._parts.noting is not None:
            self._parts.noting.take_down(self.name)
        try:
            self._parts.ledger.end_worker(self.name, "stopped")
        except LedgerError as error:
            log.warning("worker_unseen", error=error)
        shutil.rmtree(self._scratch, ignore_errors=True)
        log.info("worker_stopped", worker=self.name)


def _new_name() -> str:
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
