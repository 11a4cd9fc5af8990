"""What engines and machines do to slots that no engine and no machine should do. Real processes, real signals."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from poison_engine import CLOSES, FORKS, POISON, SLOW, wait_running
from worker_service import Supervisor, WorkerService, children, is_alive, page_image, wait_for

from docfleet.domain.work import DocumentState


@pytest.fixture
def service(tmp_path: Path) -> Iterator[WorkerService]:
    service = WorkerService(
        tmp_path,
        "",
        work={"slice_seconds": 60.0, "lease_seconds": 3.0, "heartbeat_seconds": 0.6},
        fleet={"grace_seconds": 8.0},
    )
    yield service
    service.close()


def family(worker: Supervisor) -> list[int]:
    slots = worker.slots()
    return [worker.process.pid, *slots, *(child for slot in slots for child in children(slot))]


def test_a_machine_that_ends_all_processes_at_once_blames_no_document(service: WorkerService, engines: Path) -> None:
    """As an init system does that stops a service, or the machine: SIGTERM to every process there is."""
    worker = service.worker(path=engines)
    accepted = service.submit(page_image(SLOW, 300), options=POISON)
    wait_running(service, accepted)
    time.sleep(0.5)
    for pid in family(worker):
        os.kill(pid, signal.SIGTERM)
    assert worker.process.wait(20) == 0
    rows = service.slices(accepted)
    assert [(row.crash_count, row.loss_count, row.error_count) for row in rows if row.attempt] == [(0, 0, 0)]
    assert service.view(accepted).state is DocumentState.SUCCEEDED


@pytest.mark.parametrize("width", [FORKS, pytest.param(CLOSES, marks=pytest.mark.slow)])
def test_a_slot_that_goes_without_a_word_is_replaced_and_its_slice_judged(
    service: WorkerService, engines: Path, width: int
) -> None:
    worker = service.worker(path=engines)
    with service.dispatching():
        poison = service.submit(page_image(width), options=POISON)
        view = service.wait_end(poison, 60)
        good = service.submit(page_image(), options=POISON)
        assert service.wait_end(good, 20).state is DocumentState.SUCCEEDED
    assert (view.state, view.code) == (DocumentState.FAILED, "worker_died")
    assert max(row.crash_count for row in service.slices(poison)) == 3
    assert worker.process.poll() is None


def test_a_free_slot_that_is_stopped_does_not_stop_the_work(service: WorkerService, engines: Path) -> None:
    worker = service.worker(path=engines)
    assert service.wait_end(service.submit(page_image(), options=POISON)).state is DocumentState.SUCCEEDED
    [slot] = worker.slots()
    os.kill(slot, signal.SIGSTOP)
    started = time.monotonic()
    with service.dispatching():
        accepted = service.submit(page_image(310), options=POISON)
        wait_for(lambda: worker.events("slot_killed"))
        assert time.monotonic() - started < 6.0
        assert service.wait_end(accepted, 60).state is DocumentState.SUCCEEDED
    assert not is_alive(slot)
