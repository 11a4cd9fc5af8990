"""A slot: the process that works on one slice at a time, with its models, its sandbox and its own ledger connection.

Started by a supervisor (`worker.slot_process`): `python -m docfleet.worker.slot`. Orders come as lines on standard
input, whose end is the order to stop; replies leave on a pipe. The supervisor renews the lease, so that a native call
which holds the interpreter for minutes does not look dead, and kills a slot that takes too long or too much memory.
"""

from __future__ import annotations

import gc
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec

from docfleet.domain.file_names import name_as_text
from docfleet.domain.retry import Failure, FailureKind
from docfleet.domain.work import DOCUMENT_ENDS
from docfleet.errors import (
    DocfleetError,
    EngineUnavailable,
    Fenced,
    LedgerError,
    LedgerUnavailable,
    OutputFailed,
    ScratchFull,
    StoreError,
    Unexpected,
)
from docfleet.ledger import Claim, Ledger
from docfleet.runtime import Runtime
from docfleet.sandbox.confine import resident_bytes, tie_to_parent
from docfleet.settings import Settings
from docfleet.telemetry import configure_logs, logger, metrics
from docfleet.telemetry.catalog import STAGE_DURATION
from docfleet.telemetry.logs import about, guard_process
from docfleet.telemetry.traces import Collected, at, place_of_attempt, start_tracing
from docfleet.worker.engine_shelf import EngineShelf
from docfleet.worker.messages import (
    Claimed,
    Drop,
    Ended,
    Next,
    Order,
    Ready,
    Reply,
    SlotConfig,
    Work,
    line,
    order_decoder,
)
from docfleet.worker.patience import patiently
from docfleet.worker.service_steps import Parts, ServicePlace
from docfleet.worker.sources import Sources
from docfleet.worker.steps import Interrupted

STORE_PAUSE_SECONDS = 5.0
"""A slice whose store was away is due again after this."""
_KEPT_SECONDS = 5.0
"""The plain copy of a document is kept so long for its other slices, and not until another document comes."""
_RELEASE_SECONDS = 1.0
"""How often a slot tries to give back what the ledger may think it holds."""
_LINGER_SECONDS = 5.0
"""After the order to stop, a slot that is still in one page ends itself after this long."""

log = logger("slot")


class Orders:
    """What the supervisor wants, read by a thread of its own so that it is heard in the middle of a page."""

    def __init__(self) -> None:
        self._waiting: queue.SimpleQueue[Work | Next | None] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._dropped: set[int] = set()
        self.slice_id = 0
        """What is being worked on."""

    def next(self, on_idle: Callable[[], float]) -> Work | Next | None:
        """The next slice to work on; None: stop. `on_idle` is called meanwhile, and says in how many seconds again."""
        while True:
            try:
                return self._waiting.get(timeout=on_idle())
            except queue.Empty:
                continue

    def may_go_on(self) -> bool:
        return not self._stop.is_set() and self.slice_id not in self._dropped

    def listen(self) -> None:
        # not through sys.stdin: a thread inside its buffer makes the interpreter abort when the process ends by itself
        try:
            self._hear_out()
        except BaseException:
            # an engine closed the pipe, or put something else in its place: nobody reaches this process any more
            log.exception("orders_unreadable")
            os._exit(1)
        self._stop.set()
        self._waiting.put(None)
        time.sleep(_LINGER_SECONDS)
        os._exit(1)

    def _hear_out(self) -> None:
        rest = b""
        while part := os.read(0, 65536):
            *lines, rest = (rest + part).split(b"\n")
            for text in lines:
                self._take(order_decoder.decode(text))

    def _take(self, order: Order) -> None:
        if isinstance(order, Drop):
            self._dropped.add(order.slice_id)
        else:
            self._dropped.clear()
            self._waiting.put(order)


class Slot:
    """Does orders one after another."""

    def __init__(
        self, config: SlotConfig, ledger: Ledger, place: ServicePlace, orders: Orders, spans: Collected
    ) -> None:
        self._config = config
        self._ledger = ledger
        self._place = place
        self._orders = orders
        self._spans = spans
        self._slices = 0
        self._worked_at = 0.0
        self._holds_back = False
        """Whether the spans of this order are told only if the document has come to harm in it."""
        self._may_hold = False
        """The ledger may think that this slot works on something: it could not be told, or its answer was lost."""

    def run(self) -> None:
        self._say(Ready())
        while (order := self._orders.next(self._rest)) is not None:
            outcome = self._obey(order)
            spans = self._spans.take()
            if outcome != "nothing":
                self._worked_at = time.monotonic()
            self._say(Ended(outcome, resident_bytes(), self._slices, metrics.take(), () if self._holds_back else spans))

    def _rest(self) -> float:
        """Between two orders; seconds until the next call."""
        if self._worked_at and time.monotonic() - self._worked_at >= _KEPT_SECONDS:
            self._worked_at = 0.0
            self._place.forget()
        if self._may_hold:
            # nobody beats for it: once the database is back it would soon look as if this worker had died of it
            with suppress(LedgerError):
                self._let_go()
        return _RELEASE_SECONDS if self._may_hold else _KEPT_SECONDS

    def _let_go(self) -> None:
        self._ledger.release_worker(self._config.name, crashed=False)
        self._may_hold = False

    def _say(self, reply: Reply) -> None:
        os.write(self._config.reply_fd, line(reply))

    def _obey(self, order: Work | Next) -> str:
        self._holds_back = False
        asked = time.perf_counter()
        try:
            claim = self._claim(order)
        except LedgerUnavailable as error:
            log.warning("ledger_unavailable", error=error)
            self._may_hold = True
            return "no_ledger"
        if claim is None:
            return "nothing"
        document = claim.document
        place = place_of_attempt(
            document.id, document.trace, claim.slice_id, claim.token, claim.started_at, in_case=True
        )
        self._holds_back = place is not None and not place.is_sampled
        with about(document.id, None if self._holds_back else place), at(place):
            return self._follow(claim, time.perf_counter() - asked)

    def _follow(self, claim: Claim, claiming_seconds: float) -> str:
        self._orders.slice_id = claim.slice_id
        self._say(Claimed(claim.slice_id, claim.token, claim.document.pool, claim.step))
        metrics.observe(STAGE_DURATION, claim.waited_seconds, claim.document.pool, "wait")
        metrics.observe(STAGE_DURATION, claiming_seconds, claim.document.pool, "claim")
        self._slices += 1
        started = time.monotonic()
        outcome = self._work(claim)
        self._orders.slice_id = 0
        self._may_hold = outcome == "no_ledger"
        log.debug("slice_ended", step=claim.step, slice=claim.slice_id, outcome=outcome, seconds=_since(started))
        return outcome

    def _claim(self, order: Work | Next) -> Claim | None:
        if self._may_hold:
            self._let_go()
        if isinstance(order, Work):
            return self._ledger.claim_slice(self._config.name, order.slice_id)
        claims = self._ledger.claim_next(self._config.name, self._config.pools)
        return claims[0] if claims else None

    def _work(self, claim: Claim) -> str:
        """Whatever goes wrong with the document becomes a failure in the ledger; the slot lives on."""
        try:
            if not self._place.do(claim):
                self._holds_back = False
        except Fenced:
            log.warning("claim_lost", slice=claim.slice_id)
            return "fenced"
        except Interrupted:
            return self._fail(claim, Failure(FailureKind.WAIT, "handed_back"))
        except LedgerUnavailable as error:
            log.error("result_let_go", slice=claim.slice_id, error=error)
            return "no_ledger"
        except ScratchFull as error:
            log.warning("scratch_full", slice=claim.slice_id, bytes=claim.document.size_bytes)
            return self._fail(claim, Failure(FailureKind.WAIT, error.code, after_seconds=STORE_PAUSE_SECONDS))
        except StoreError as error:
            log.warning("store_unavailable", slice=claim.slice_id, error=error)
            return self._fail(claim, Failure(FailureKind.WAIT, "store_unavailable", after_seconds=STORE_PAUSE_SECONDS))
        except EngineUnavailable as error:
            # another worker may have it, or it may be installed by the next try
            return self._fail(claim, Failure(FailureKind.ERROR, error.code, error.message))
        except MemoryError:
            return self._fail(claim, Failure(FailureKind.ERROR, "out_of_memory", "Reading needed too much memory."))
        except DocfleetError as error:
            return self._fail(claim, Failure.of_error(error))
        except OSError as error:
            said = error.strerror or type(error).__name__
            return self._fail(claim, Failure.of_error(OutputFailed(f"The results could not be written: {said}.")))
        except Exception as error:
            log.exception("unexpected", slice=claim.slice_id)
            said = name_as_text(f"docfleet failed on this document: {error!r}")
            return self._fail(claim, Failure.of_error(Unexpected(said)))
        return "done"

    def _fail(self, claim: Claim, failure: Failure) -> str:
        try:
            ended = patiently(lambda: self._ledger.fail(claim, failure), self._orders.may_go_on)
            if ended.document_state in DOCUMENT_ENDS:
                self._holds_back = False
        except Fenced:
            log.warning("claim_lost", slice=claim.slice_id)
            return "fenced"
        except LedgerUnavailable:
            return "no_ledger"
        return "handed_back" if failure.kind is FailureKind.WAIT else "failed"


def main() -> None:
    # The supervisor ends slots through the pipe. A Ctrl-C or an init system that reaches every process there is must
    # not: what is being read here would look as if it had killed its reader. (Programs started here are not deaf.)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    # Pages are trees of many small values without cycles: looking for those at the usual pace takes a tenth of the time
    # there is.
    gc.set_threshold(50_000, 20, 20)
    config = msgspec.json.decode(_first_line(), type=SlotConfig)
    tie_to_parent(config.parent)
    configure_logs(config.log_level)
    guard_process()
    if config.measure:
        metrics.enable()
    orders = Orders()
    threading.Thread(target=orders.listen, name="orders", daemon=True).start()
    settings = Settings.model_validate(config.settings)
    spans, telemetry = Collected(), settings.telemetry
    if telemetry.otlp_endpoint:
        # the supervisor sends them: what was told outlives this process, and nothing is loaded here for that
        start_tracing(telemetry.trace_ratio, spans, telemetry.trace_failed)
    with Runtime(settings) as runtime:
        sources, engines = Sources(Path(config.scratch)), EngineShelf(runtime.load_engine)
        runtime.sandbox.start()
        try:
            ledger = patiently(lambda: runtime.ledger, orders.may_go_on, seconds=float("inf"))
            parts = Parts(
                settings, runtime.sandbox, ledger, runtime.store, runtime.master_key, engines, sources, orders.may_go_on
            )
            Slot(config, ledger, ServicePlace(parts), orders, spans).run()
        except LedgerUnavailable:
            pass
        finally:
            engines.close()
            sources.clear()


def _first_line() -> bytes:
    """The configuration; not a byte more is taken, the orders come after it."""
    taken = b""
    while not taken.endswith(b"\n"):
        byte = os.read(0, 1)
        if not byte:
            sys.exit(0)
        taken += byte
    return taken


def _since(started: float) -> float:
    return round(time.monotonic() - started, 3)


if __name__ == "__main__":
    main()
