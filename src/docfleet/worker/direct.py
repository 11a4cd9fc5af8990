"""A worker without a broker: takes slices straight from the ledger, one at a time, until it is told to stop.

Started by `worker.pool`. One line of JSON (`WorkerConfig`) on standard input; the end of standard input is the order to
stop. The slice being worked on is then handed back at the next page; a worker that cannot stop is killed by the pool.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from docfleet.domain.file_names import name_as_text
from docfleet.domain.retry import Failure
from docfleet.domain.work import Step
from docfleet.errors import DocfleetError, EngineUnavailable, Fenced, LedgerError, OutputFailed, StoreError, Unexpected
from docfleet.ledger import Claim, Ledger
from docfleet.money import open_budgets
from docfleet.runtime import Runtime
from docfleet.settings import Settings
from docfleet.store import FolderStore
from docfleet.telemetry import configure_logs, logger
from docfleet.telemetry.logs import guard_process
from docfleet.worker.pool import WorkerConfig
from docfleet.worker.steps import LEDGER_FILE, Interrupted, WorkPlace

if TYPE_CHECKING:
    from docfleet.engines.documentai.calls import Asks

STEPS = frozenset({Step.PLAN, Step.LOCAL, Step.ASSEMBLE})
EXIT_ENGINE = 3
"""Exit code of a worker whose engine cannot start: no fresh worker would fare better."""
_IDLE_SECONDS = (0.02, 0.05, 0.1, 0.2)
"""Pauses while there is nothing to claim: short at first, since slices of a document being planned are near."""
_ORPHAN_SECONDS = 5.0
"""After the order to stop, a worker that is still in one page ends itself after this long."""

log = logger("worker")


class Held:
    """The claim this worker holds, shared with the thread that renews its lease."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._claim: Claim | None = None
        self._lost = False
        self.stop = threading.Event()

    def set(self, claim: Claim | None) -> None:
        with self._lock:
            self._claim, self._lost = claim, False

    def claims(self) -> list[Claim]:
        with self._lock:
            return [self._claim] if self._claim else []

    def lose(self, slices: frozenset[int]) -> None:
        with self._lock:
            if self._claim and self._claim.slice_id in slices:
                self._lost = True

    def may_go_on(self) -> bool:
        return not self.stop.is_set() and not self._lost


def main() -> None:
    # The parent ends workers through the pipe; a Ctrl-C that reaches this process by accident must not.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Pages are trees of many small values without cycles: looking for those at the usual pace takes a tenth of the time
    # there is.
    gc.set_threshold(50_000, 20, 20)
    config = msgspec.json.decode(sys.stdin.buffer.readline(), type=WorkerConfig)
    configure_logs(config.log_level)
    guard_process()
    held = Held()
    threading.Thread(target=_await_end_of_input, args=(held,), daemon=True).start()
    try:
        _serve(config, held)
    except LedgerError as error:
        # Without its ledger (disk full, file gone) a worker can do nothing; the parent meets the same and tells.
        log.error("ledger_failed", error=error)
        sys.exit(1)


def _serve(config: WorkerConfig, held: Held) -> None:
    settings = Settings.model_validate(config.settings)
    output = Path(config.output)
    with (
        Ledger.open(output / "ledger" / LEDGER_FILE) as ledger,
        Runtime(settings, _purses(held, ledger, settings)) as runtime,
    ):
        place = WorkPlace(
            runtime, ledger, FolderStore(output / "ledger" / "store"), output, tuple(config.passwords), held.may_go_on
        )
        threading.Thread(target=_renew_leases, args=(config, settings, held), daemon=True).start()
        _work(config.name, place, held)


def _purses(held: Held, ledger: Ledger, settings: Settings) -> Callable[[Asks], Asks]:
    """What puts a purse between an engine and the service it calls: every call is paid for by the claim in hand."""

    def purse(caller: Asks) -> Asks:
        from docfleet.engines.documentai.prices import PREMIUM
        from docfleet.worker.paying import Purse

        addons = frozenset({PREMIUM} if settings.documentai.premium else ())
        return Purse(caller, open_budgets(settings, ledger), lambda: held.claims()[0], addons)

    return purse


def _work(worker: str, place: WorkPlace, held: Held) -> None:
    idle = 0
    while not held.stop.is_set():
        claims = place.ledger.claim(worker, STEPS)
        if not claims:
            held.stop.wait(_IDLE_SECONDS[min(idle, len(_IDLE_SECONDS) - 1)])
            idle += 1
            continue
        idle = 0
        held.set(claims[0])
        try:
            _do(place, claims[0])
        finally:
            held.set(None)


def _do(place: WorkPlace, claim: Claim) -> None:
    """Does one claim; whatever goes wrong with the document becomes a failure in the ledger."""
    started = time.monotonic()
    try:
        place.do(claim)
    except Fenced:
        log.warning("claim_lost", slice=claim.slice_id, document=claim.document.id)
    except Interrupted:
        place.ledger.hand_back(claim)
    except EngineUnavailable as error:
        place.ledger.hand_back(claim)
        log.error("engine_unavailable", error=error)
        sys.exit(EXIT_ENGINE)
    except LedgerError:
        raise
    except StoreError as error:
        _fail(place.ledger, claim, Failure.of_error(OutputFailed(f"What was read could not be kept: {error.message}")))
    except DocfleetError as error:
        _fail(place.ledger, claim, Failure.of_error(error))
    except OSError as error:
        _fail(
            place.ledger,
            claim,
            Failure.of_error(
                OutputFailed(f"The results could not be written: {error.strerror or type(error).__name__}.")
            ),
        )
    except Exception as error:
        log.exception("unexpected", slice=claim.slice_id, document=claim.document.id)
        _fail(
            place.ledger,
            claim,
            Failure.of_error(Unexpected(name_as_text(f"docfleet failed on this document: {error!r}"))),
        )
    log.debug(
        "slice_ended",
        step=claim.step,
        slice=claim.slice_id,
        document=claim.document.id,
        seconds=round(time.monotonic() - started, 3),
    )


def _fail(ledger: Ledger, claim: Claim, failure: Failure) -> None:
    try:
        ledger.fail(claim, failure)
    except Fenced:
        log.warning("claim_lost", slice=claim.slice_id, document=claim.document.id)


def _renew_leases(config: WorkerConfig, settings: Settings, held: Held) -> None:
    """Beats for the claim in hand. A connection of its own: the other one may be in a transaction."""
    while not held.stop.is_set():
        try:
            with Ledger.open(Path(config.output) / "ledger" / LEDGER_FILE) as ledger:
                while not held.stop.wait(settings.work.heartbeat_seconds):
                    claims = held.claims()
                    if claims:
                        held.lose(ledger.beat(config.name, claims))
        except LedgerError as error:
            log.warning("heartbeat_failed", error=error)
            held.stop.wait(settings.work.heartbeat_seconds)


def _await_end_of_input(held: Held) -> None:
    # not through sys.stdin: a thread inside its buffer makes the interpreter abort when the process ends by itself
    while os.read(0, 4096):
        pass
    held.stop.set()
    time.sleep(_ORPHAN_SECONDS)
    os._exit(1)


if __name__ == "__main__":
    main()
