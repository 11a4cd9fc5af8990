"""What every process of the service does beside its work: stop in order, show that it lives, wait for the ledger."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from docfleet.errors import LedgerUnavailable, OutputFailed
from docfleet.runtime import Runtime
from docfleet.telemetry import logger

_log = logger(__name__)
INTERRUPTED = 130
_TOUCH_SECONDS = 5.0
_RETRY_SECONDS = (0.2, 0.5, 1.0, 2.0, 4.0)
_SAME_SIGNAL_SECONDS = 0.5
"""Supervisors signal a process and then its group: within this time that is one order to stop, not two."""


@contextmanager
def stopping_on_signals() -> Iterator[threading.Event]:
    """An event that SIGTERM and SIGINT set; the second signal ends the process at once. In the main thread only."""
    stop = threading.Event()
    first = 0.0

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal first
        if stop.is_set() and time.monotonic() - first > _SAME_SIGNAL_SECONDS:
            os._exit(INTERRUPTED)
        if not stop.is_set():
            first = time.monotonic()
        stop.set()

    before = {number: signal.signal(number, handle) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Liveness:
    """A file touched every few seconds while the process moves; without a path it does nothing. Threads may share it.

    Raises `OutputFailed` when the file cannot be made; later troubles of the disk are no reason to look dead loudly.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._touched = 0.0
        if path is not None:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()
            except OSError as error:
                raise OutputFailed(f"{path} cannot be written: {error.strerror}.") from error

    def touch(self) -> None:
        now = time.monotonic()
        if self._path is not None and now - self._touched >= _TOUCH_SECONDS:
            self._touched = now
            with contextlib.suppress(OSError):
                self._path.touch()

    def end(self) -> None:
        if self._path is not None:
            self._path.unlink(missing_ok=True)


def wait_for_ledger(runtime: Runtime, stop: threading.Event, alive: Liveness) -> bool:
    """Opens the ledger, however long that takes; False when `stop` came first. Other failures are raised."""
    told = False
    for attempt in range(sys.maxsize):
        try:
            _ = runtime.ledger
        except LedgerUnavailable as error:
            if not told:
                _log.warning("ledger_not_there_yet", error=error)
                told = True
        else:
            return True
        alive.touch()
        if stop.wait(_RETRY_SECONDS[min(attempt, len(_RETRY_SECONDS) - 1)]):
            return False
    return False


def write_gauges(path: Path, gauges: dict[str, float]) -> None:
    """As a text file for Prometheus, whole or not at all."""
    half = path.with_name(f"{path.name}.half")
    with contextlib.suppress(OSError):
        half.write_text("".join(f"{name} {value}\n" for name, value in gauges.items()), encoding="utf-8")
        half.replace(path)
