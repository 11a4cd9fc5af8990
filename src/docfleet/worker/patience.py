"""Holding on to a finished result while the database is away."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

from docfleet.errors import LedgerUnavailable
from docfleet.telemetry import logger

HOLD_SECONDS = 120.0
"""A result is kept this long; then the slice is left to whoever claims it next."""
_LONGEST_PAUSE = 2.0

T = TypeVar("T")
log = logger("worker")


def patiently(call: Callable[[], T], may_go_on: Callable[[], bool], seconds: float = HOLD_SECONDS) -> T:
    """`call()`, again and again with longer pauses while the ledger cannot be reached.

    `call` must be repeatable: the reply to one that was carried out may have been lost. Raises LedgerUnavailable when
    the time is over or `may_go_on` says no; whatever else `call` raises comes through.
    """
    deadline = time.monotonic() + seconds
    pause = 0.1
    while True:
        try:
            return call()
        except LedgerUnavailable:
            if time.monotonic() + pause > deadline or not may_go_on():
                raise
            log.warning("ledger_awaited", seconds=pause)
            time.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(_LONGEST_PAUSE, pause * 2)
