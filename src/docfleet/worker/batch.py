"""One run over a batch on one machine: intake and workers at once, watched until every document has ended.

The ledger in the output folder holds all state, so a run that was interrupted or killed is continued by starting it
again with the same output folder: what has ended stays, what was being worked on is taken back and done again.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from docfleet.domain.cascade import CLOUD_ENGINES
from docfleet.domain.file_names import is_text, name_as_text
from docfleet.domain.pricing import micros_of, usd_of
from docfleet.domain.retry import FailureKind
from docfleet.domain.work import DocumentState
from docfleet.errors import EngineUnavailable, LedgerError, OutputBusy, UsageError
from docfleet.ledger import Ledger, NewBatch, Progress
from docfleet.money import open_budgets
from docfleet.pipeline.collect import SourceFile
from docfleet.pipeline.intake import Intake
from docfleet.pipeline.outcome import OUTCOME_FILE
from docfleet.runtime import Runtime, archive_limits
from docfleet.settings import Settings
from docfleet.telemetry import logger
from docfleet.worker.direct import EXIT_ENGINE
from docfleet.worker.pool import WorkerConfig, WorkerPool
from docfleet.worker.steps import DRAFTS, LEDGER_FILE, MEMBERS

if TYPE_CHECKING:
    from docfleet.worker.paying import RunMoney

BATCH_KEY = "folder"
"""One output folder is one batch, whatever is added to it over time."""
CHEAP_CODES = frozenset(
    {
        "password_required",
        "password_wrong",
        "too_many_pages",
        "page_too_large",
        "source_changed",
        "source_unreadable",
        "output_blocked",
        "budget_exhausted",
    }
)
"""Failures that are found at once and that another password, limit or file may cure: every run looks again."""
_TICK_SECONDS = 0.1
_PROGRESS_SECONDS = 0.25
_MAX_DEATHS_WITHOUT_PROGRESS = 20

log = logger("batch")


class Snapshot(msgspec.Struct, frozen=True):
    """How far a run is."""

    progress: Progress
    collected: int
    """Files found so far."""
    collecting: bool
    """More inputs may still come."""
    seconds: float


class BatchEnd(msgspec.Struct, frozen=True):
    interrupted: bool
    seconds: float
    spent_usd: float
    """On cloud engines, in this run."""
    paths: frozenset[str]
    """Files this run was asked to read (absolute), whatever became of them."""


class BatchRun:
    """Reads `files` into `output`. Raises OutputBusy when another run has the folder."""

    def __init__(
        self,
        settings: Settings,
        files: Sequence[SourceFile],
        output: Path,
        passwords: Sequence[str] = (),
        *,
        retry_failed: bool = False,
        log_level: str = "warning",
    ) -> None:
        self._settings = settings
        self._files = files
        self._output = output
        self._passwords = tuple(passwords)
        self._retry_failed = retry_failed
        self._log_level = log_level
        self._intake_error: BaseException | None = None
        self._collecting = True
        self._collected = 0
        self._money: RunMoney | None = None

    def run(self, watch: Callable[[Snapshot], None], stop: threading.Event) -> BatchEnd:
        """Runs until every document has ended or `stop` is set; `watch` is told how far it is, a few times a second."""
        started = time.monotonic()
        folder = self._output / "ledger"
        _make_folder(folder)
        with _only_run(folder), Ledger.open(folder / LEDGER_FILE) as ledger:
            # Nobody else is at work here: whatever is still marked as running belongs to a run that was killed.
            ledger.take_back(FailureKind.LOSS)
            shutil.rmtree(folder / DRAFTS, ignore_errors=True)
            batch = NewBatch(BATCH_KEY, str(self._output), options_digest(self._settings), _options(self._settings))
            self._try_again(ledger)
            self._money = self._open_money(ledger)
            intake = threading.Thread(target=self._take_in, args=(batch, stop), name="intake", daemon=True)
            intake.start()
            pool = WorkerPool(worker_count(self._settings), self._worker_config())
            try:
                pool.start()
                self._watch(ledger, pool, watch, stop, started)
            finally:
                for name in pool.stop():
                    log.info("worker_killed", worker=name)
                stop_requested = stop.is_set()
                stop.set()
                intake.join()
                ledger.take_back(FailureKind.WAIT)
                spent = self._money.end() if self._money else 0
            _drop_empty(folder / "store")
            if self._intake_error is not None:
                raise self._intake_error
            paths = frozenset(file.key for file in self._files)
            return BatchEnd(stop_requested, time.monotonic() - started, usd_of(spent), paths)

    def _try_again(self, ledger: Ledger) -> None:
        """Documents that failed get another chance: those a new setting or password may cure, or all when asked."""
        batch_id = ledger.find_batch(BATCH_KEY)
        if batch_id is not None:
            ledger.cancel_other_options(batch_id, options_digest(self._settings))
            ledger.retry_failed(batch_id, None if self._retry_failed else CHEAP_CODES)
            ledger.supersede(self._vanished(ledger, batch_id))

    def _vanished(self, ledger: Ledger, batch_id: str) -> list[str]:
        """Documents whose result folder somebody removed: the ledger must not call them read any longer."""
        ended = (DocumentState.SUCCEEDED, DocumentState.PARTIAL)
        return [
            row.document_id
            for row in ledger.rows_for_index(batch_id)
            if row.document_id and row.folder and row.state in ended and not row.duplicate_of
            if not (self._output / row.folder / OUTCOME_FILE).is_file()
        ]

    def _open_money(self, ledger: Ledger) -> RunMoney | None:
        """The account of this run; None where no cloud engine is asked."""
        if not CLOUD_ENGINES & {self._settings.reading.engine, self._settings.cascade.cloud_engine}:
            return None
        from docfleet.worker.paying import RunMoney

        limit = self._settings.money.run_limit_usd
        return RunMoney(open_budgets(self._settings, ledger), None if limit is None else micros_of(limit))

    def _worker_config(self) -> WorkerConfig:
        return WorkerConfig(
            name="worker",
            output=str(self._output.resolve()),
            batch=BATCH_KEY,
            settings=self._settings.model_dump(mode="json"),
            passwords=list(self._passwords),
            log_level=self._log_level,
        )

    def _take_in(self, batch: NewBatch, stop: threading.Event) -> None:
        folder = self._output / "ledger"
        limits = self._settings.limits
        try:
            with Runtime(self._settings) as runtime, Ledger.open(folder / LEDGER_FILE) as ledger:
                intake = Intake(
                    ledger=ledger,
                    batch=batch,
                    output=self._output,
                    members=folder / MEMBERS,
                    sandbox=lambda: runtime.sandbox,
                    max_file_bytes=limits.max_file_bytes,
                    archive_limits=archive_limits(limits),
                    passwords=self._passwords,
                )
                for count in intake.take(self._files):
                    self._collected = count
                    if stop.is_set():
                        return
        except BaseException as error:
            self._intake_error = error
        finally:
            self._collecting = False

    def _watch(
        self,
        ledger: Ledger,
        pool: WorkerPool,
        watch: Callable[[Snapshot], None],
        stop: threading.Event,
        started: float,
    ) -> None:
        deaths, last_ended, told = 0, -1, 0.0
        while not stop.wait(_TICK_SECONDS):
            for death in pool.reap():
                if death.exit_code == EXIT_ENGINE:
                    self._explain_engine()
                log.warning("worker_died", worker=death.name, exit_code=death.exit_code)
                ledger.release_worker(death.name, crashed=True)
                deaths += 1
            now = time.monotonic()
            collecting = self._collecting
            if now - told >= _PROGRESS_SECONDS or not collecting:
                told = now
                progress = self._progress(ledger)
                watch(Snapshot(progress, self._collected, collecting, now - started))
                self._end_stuck(ledger, pool)
                if self._money:
                    self._money.keep()
                ended = sum(progress.documents.values()) - progress.open_documents + progress.pages_read
                deaths = 0 if ended != last_ended else deaths
                last_ended = ended
                if not collecting and (self._intake_error or progress.open_documents == 0):
                    return
            if deaths > _MAX_DEATHS_WITHOUT_PROGRESS:
                raise LedgerError("Workers die as soon as they start; run with --log-level debug to see why.")

    def _progress(self, ledger: Ledger) -> Progress:
        batch_id = ledger.find_batch(BATCH_KEY)
        return ledger.progress(batch_id or "")

    def _end_stuck(self, ledger: Ledger, pool: WorkerPool) -> None:
        """Kills workers that are at one slice for longer than they may; their death is handled like any other."""
        for worker in ledger.overdue_workers(self._settings.work.slice_seconds):
            log.warning("worker_overdue", worker=worker)
            pool.kill(worker)

    def _explain_engine(self) -> None:
        with Runtime(self._settings) as runtime:
            name = runtime.engine.capabilities.name
            if runtime.third_step.cloud_engine:
                name = f"{name} or {runtime.cloud_engine.capabilities.name}"
        raise EngineUnavailable(f"The engine {name} starts here but did not start in a worker.")


def worker_count(settings: Settings) -> int:
    """Workers to run: as set, else one for each CPU core this process may use."""
    return settings.work.workers or len(os.sched_getaffinity(0))


def options_digest(settings: Settings) -> str:
    """Stands for the options that change results: under other ones a document is read again."""
    return hashlib.sha256(_options(settings).encode()).hexdigest()[:16]


def _options(settings: Settings) -> str:
    reading = settings.reading
    relevant: dict[str, Any] = {
        "engine": reading.engine,
        "languages": sorted(reading.languages),
        "mode": reading.mode,
        "render_dpi": reading.render_dpi,
        "formats": sorted(settings.output.formats),
    }
    cascade = settings.cascade
    if cascade.cloud_engine and reading.engine not in CLOUD_ENGINES:
        relevant["cascade"] = [
            cascade.cloud_engine,
            cascade.doubted_characters,
            cascade.escalate_below,
            cascade.on_refusal,
        ]
    return msgspec.json.encode(relevant).decode()


def _make_folder(folder: Path) -> None:
    if not is_text(str(folder.resolve())):
        # SQLite and the store take paths as UTF-8
        raise UsageError(f"The name of the output folder {name_as_text(str(folder.parent))} is not valid UTF-8.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MEMBERS).mkdir(exist_ok=True)
    except OSError as error:
        raise UsageError(f"The output folder {folder.parent} cannot be made: {error.strerror}.") from error


def _drop_empty(folder: Path) -> None:
    """Removes folders in which nothing is left."""
    for here, _, _ in os.walk(folder, topdown=False):
        with suppress(OSError):
            os.rmdir(here)


@contextmanager
def _only_run(folder: Path) -> Iterator[None]:
    """Holds the folder's lock; the system lets go of it however the process ends."""
    with (folder / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise OutputBusy() from error
        yield
