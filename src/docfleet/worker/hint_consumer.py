"""The Celery worker inside a supervisor: takes hints from the broker and has a slot work on each."""

from __future__ import annotations

import logging
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from celery import Celery
from celery.app.trace import setup_worker_optimizations
from celery.concurrency.base import apply_target
from celery.concurrency.thread import ApplyResult, TaskPool
from celery.exceptions import CPendingDeprecationWarning
from celery.worker import WorkController
from celery.worker import state as celery_state
from kombu.asynchronous import get_event_loop

from docfleet.queues.app import WORK_SLICE, make_app
from docfleet.queues.options import QueueOptions
from docfleet.telemetry import logger

log = logger("worker")
_RESTART_SECONDS = 5.0


class _WakingPool(TaskPool):  # type: ignore[misc]
    """A pool of threads that wakes Celery's event loop when one of them is free.

    Celery asks for the next hint only while a thread is free, and looks for that once a second or when something
    happens: without the wake, each slot would idle up to a second between two hints.
    """

    def on_apply(
        self,
        target: Any,
        args: Any = None,
        kwargs: Any = None,
        callback: Any = None,
        accept_callback: Any = None,
        **_: Any,
    ) -> ApplyResult:
        return ApplyResult(self.executor.submit(_apply_and_wake, target, args, kwargs, callback, accept_callback))


def _apply_and_wake(*call: Any) -> None:
    try:
        apply_target(*call)
    finally:
        hub = get_event_loop()
        if hub is not None:
            hub.call_soon(_nothing)


def _nothing() -> None:
    """Only so that the loop turns."""


class HintConsumer:
    """Consumes the queues of some pools with `slots` threads, in a thread of its own. One to a process."""

    def __init__(self, options: QueueOptions, queues: Sequence[str], slots: int, work: Callable[[int], object]) -> None:
        """`work(slice_id)` returns when the slice has ended one way or another."""
        self._queues = list(queues)
        self._slots = slots
        self._app = _app_with_task(options, work)
        self._controller: WorkController | None = None
        self._thread: threading.Thread | None = None
        self._started_at = 0.0
        self._stopping = False

    @property
    def is_consuming(self) -> bool:
        """Connected to the broker and asking it for hints, as far as Celery knows."""
        controller = self._controller
        consumer = getattr(controller, "consumer", None) if controller is not None else None
        return bool(
            self._thread is not None
            and self._thread.is_alive()
            and consumer is not None
            and consumer.connection is not None
            and consumer.task_consumer is not None
        )

    def keep_running(self) -> None:
        """Starts Celery, and again when it gave up for a reason of its own."""
        if self._stopping or (self._thread is not None and self._thread.is_alive()):
            return
        if self._thread is not None and time.monotonic() - self._started_at < _RESTART_SECONDS:
            return
        if self._thread is not None:
            log.error("consumer_ended")
        self._started_at = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="celery", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Takes no more hints; those being worked on go on. `join` waits for them."""
        self._stopping = True
        celery_state.should_stop = 0

    def join(self, seconds: float) -> bool:
        """Whether Celery has ended within `seconds`."""
        if self._thread is not None:
            self._thread.join(seconds)
        ended = self._thread is None or not self._thread.is_alive()
        if ended:
            celery_state.should_stop = None
        return ended

    def _run(self) -> None:
        _quieten_celery()
        setup_worker_optimizations(self._app)
        controller = self._controller = WorkController(
            app=self._app,
            queues=self._queues,
            concurrency=self._slots,
            pool=_WakingPool,
            hostname=None,
            loglevel=logging.WARNING,
            without_gossip=True,
            without_mingle=True,
            without_heartbeat=True,
        )
        controller.start()


def _app_with_task(options: QueueOptions, work: Callable[[int], object]) -> Celery:
    app = make_app(options)

    @app.task(name=WORK_SLICE, ignore_result=True)  # type: ignore[untyped-decorator]
    def work_slice(slice_id: int) -> None:
        """Repeatable: a slice that has been worked on cannot be claimed again."""
        if type(slice_id) is int and 0 < slice_id < 1 << 63:
            work(slice_id)
        else:
            # whoever may write to the broker must not be able to harm a slot with what the ledger cannot look up
            log.warning("hint_refused", kind=type(slice_id).__name__)

    app.finalize()
    return app


def _quieten_celery() -> None:
    """Celery's own log tells of every reconnect at length; ours says what matters."""
    for name in ("celery", "kombu", "celery.worker.consumer.consumer"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", category=CPendingDeprecationWarning)
