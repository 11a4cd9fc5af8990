"""The engine `poison` (see tests/engines) in tests of workers: what it does harm on."""

from __future__ import annotations

from worker_service import WorkerService, wait_for

from docfleet.domain.work import SliceState
from docfleet.ledger.service_values import Accepted, ReadingOptions

POISON = ReadingOptions(("txt",), mode="ocr", engine="poison")
KILLS, HANGS, EATS, HOLDS, SLOW, RAISES, FORKS, CLOSES = range(411, 419)
"""Widths that mark the pages on which it does harm."""


def wait_running(service: WorkerService, accepted: Accepted) -> None:
    wait_for(lambda: any(row.state is SliceState.RUNNING for row in service.slices(accepted)))
