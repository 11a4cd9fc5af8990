"""What becomes of slices whose slot, supervisor, broker or store fails under them. Real processes, real signals."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from poison_engine import EATS, HANGS, HOLDS, KILLS, POISON, RAISES, SLOW, wait_running
from sqlalchemy import create_engine
from worker_service import WorkerService, is_alive, page_image, wait_for

from docfleet.domain.work import DocumentState, SliceState, Step
from docfleet.ledger import NewSlice, PageOutcome, Plan
from docfleet.worker.service import Supervisor


@pytest.fixture
def service(tmp_path: Path) -> Iterator[WorkerService]:
    service = WorkerService(
        tmp_path,
        "",
        work={"slice_seconds": 40.0, "lease_seconds": 3.0, "heartbeat_seconds": 0.6},
        fleet={"worker_memory_bytes": 700 << 20, "grace_seconds": 8.0},
    )
    yield service
    service.close()


@pytest.mark.parametrize(
    ("width", "code"),
    [(KILLS, "worker_died"), pytest.param(HANGS, "timed_out", marks=pytest.mark.slow), (EATS, "out_of_memory")],
)
def test_poison_ends_as_a_dead_letter_with_its_cause_and_harms_nobody(
    service: WorkerService, engines: Path, width: int, code: str
) -> None:
    impatient = service.settings.work.model_copy(update={"slice_seconds": 5.0 if width == HANGS else 40.0})
    worker = service.worker(slots=2, path=engines, settings=service.settings.model_copy(update={"work": impatient}))
    with service.dispatching():
        poison = service.submit(page_image(width), options=POISON)
        good = [service.submit(page_image(300, 200 + n), options=POISON) for n in range(10)]
        assert [service.wait_end(accepted).state for accepted in good] == [DocumentState.SUCCEEDED] * 10
        view = service.wait_end(poison, 90)
    assert (view.state, view.code) == (DocumentState.FAILED, code)
    assert max(row.crash_count for row in service.slices(poison)) == 3
    assert all(row.crash_count == 0 for accepted in good for row in service.slices(accepted))
    assert len(worker.events("slot_died")) == 3
    assert worker.process.poll() is None


@pytest.mark.slow
def test_a_slot_that_is_killed_is_noticed_at_once(service: WorkerService, engines: Path) -> None:
    worker = service.worker(path=engines)
    accepted = service.submit(page_image(SLOW, 300), options=POISON)
    wait_running(service, accepted)
    [slot] = worker.slots()
    started = time.monotonic()
    os.kill(slot, signal.SIGKILL)
    wait_for(lambda: any(row.crash_count for row in service.slices(accepted)), 5)
    assert time.monotonic() - started < 2.0, "no lease has to run out"
    assert service.wait_end(accepted).state is DocumentState.SUCCEEDED


@pytest.mark.slow
def test_the_interpreters_lock_may_be_held_for_longer_than_a_lease(service: WorkerService, engines: Path) -> None:
    service.worker(path=engines)
    with service.dispatching():
        accepted = service.submit(page_image(HOLDS, 70), options=POISON)
        view = service.wait_end(accepted)
    assert view.state is DocumentState.SUCCEEDED
    assert sum(row.attempt for row in service.slices(accepted)) == 1
    assert view.work_seconds > 4.0


def test_a_frozen_machine_loses_its_slice_and_its_late_write_changes_nothing(
    service: WorkerService, engines: Path
) -> None:
    first = service.worker(path=engines)
    with service.dispatching():
        accepted = service.submit(page_image(SLOW, 900), options=POISON)
        wait_running(service, accepted)
        [slot] = first.slots()
        second = service.worker(path=engines)
        wait_for(second.slots)
        for pid in (first.process.pid, slot):
            os.kill(pid, signal.SIGSTOP)
        wait_for(lambda: any(row.attempt == 2 for row in service.slices(accepted)))
        for pid in (slot, first.process.pid):
            os.kill(pid, signal.SIGCONT)
        view = service.wait_end(accepted)
        wait_for(lambda: first.events("claim_lost"))
    assert view.state is DocumentState.SUCCEEDED
    assert second.events("slot_died") == []
    results = {key.split("/results/")[1].split("/")[0] for key in service.runtime.store.list() if "/results/" in key}
    assert view.result_key.rpartition("/")[2] in results
    assert service.view(accepted).result_key == view.result_key
    assert service.wait_end(service.submit(page_image(), options=POISON)).state is DocumentState.SUCCEEDED


def test_a_worker_told_to_stop_finishes_what_it_has(service: WorkerService, engines: Path) -> None:
    worker = service.worker(path=engines)
    accepted = service.submit(page_image(SLOW, 200), options=POISON)
    wait_running(service, accepted)
    assert worker.stop() == 0
    assert service.view(accepted).state is DocumentState.SUCCEEDED
    assert all(row.wait_count == 0 for row in service.slices(accepted))


@pytest.mark.slow
def test_a_worker_out_of_grace_hands_back_without_blame(service: WorkerService, engines: Path, tmp_path: Path) -> None:
    hasty = service.settings.model_copy(
        update={"fleet": service.settings.fleet.model_copy(update={"grace_seconds": 0.2})}
    )
    worker = service.worker(path=engines, settings=hasty)
    accepted = service.submit(page_image(SLOW, 400), options=POISON)
    wait_running(service, accepted)
    started = time.monotonic()
    assert worker.stop() == 0
    assert time.monotonic() - started < 6.0
    [row] = service.slices(accepted)
    assert (row.state, row.crash_count, row.loss_count, row.wait_count) == (SliceState.QUEUED, 0, 0, 1)


@pytest.mark.slow
def test_a_second_signal_ends_it_at_once(service: WorkerService, engines: Path) -> None:
    worker = service.worker(path=engines)
    accepted = service.submit(page_image(SLOW, 500), options=POISON)
    wait_running(service, accepted)
    worker.process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    started = time.monotonic()
    worker.process.send_signal(signal.SIGINT)
    assert worker.process.wait(10) == 0
    assert time.monotonic() - started < 2.5
    assert [row.wait_count for row in service.slices(accepted)] == [1]


@pytest.mark.slow
def test_slots_die_with_their_supervisor(service: WorkerService, engines: Path) -> None:
    worker = service.worker(slots=2, path=engines)
    busy = service.submit(page_image(HOLDS, 300), options=POISON)
    wait_running(service, busy)
    wait_for(lambda: len(worker.slots()) == 2)
    slots = worker.slots()
    worker.process.kill()
    worker.process.wait()
    wait_for(lambda: not any(is_alive(pid) for pid in slots), 2)
    again = service.worker(path=engines)
    wait_for(lambda: again.alive.exists())
    left = list(service.folder.glob("docfleet-*/*"))
    assert len(left) == 1, "plain copies of dead workers are removed"


def test_a_store_that_is_away_costs_no_attempt(service: WorkerService, tmp_path: Path) -> None:
    folder = tmp_path / "data" / "store"
    accepted = service.submit(page_image())
    hidden = next(path for path in folder.rglob("source") if path.is_file())
    hidden.rename(hidden.with_name("away"))
    hidden.symlink_to(hidden.name)  # reading it fails with another error than its absence
    service.worker()
    wait_for(lambda: any(row.wait_count for row in service.slices(accepted)))
    hidden.unlink()
    hidden.with_name("away").rename(hidden)
    view = service.wait_end(accepted)
    assert view.state is DocumentState.SUCCEEDED
    assert all(row.error_count == row.crash_count == 0 for row in service.slices(accepted))


def test_a_worker_that_could_not_announce_itself_does_so_later(
    service: WorkerService, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = service.runtime.ledger
    supervisor = Supervisor(service.runtime, ledger, ["pdf"], 1, "host-1-ab", None)
    with monkeypatch.context() as away:
        away.setattr(ledger, "_engine", create_engine("sqlite:////nowhere/ledger.db"))
        supervisor._announce()
    assert ledger.workers() == []
    supervisor._keep_house()
    assert [(one.name, one.slots, one.mode) for one in ledger.workers()] == [("host-1-ab", 1, "broker")]


def test_pages_that_are_gone_from_the_store_end_the_document_instead_of_waiting_for_ever(
    service: WorkerService, tmp_path: Path
) -> None:
    accepted = service.submit(page_image())
    ledger = service.runtime.ledger
    [plan] = ledger.claim_next("elsewhere", ["image"])
    ledger.finish(plan, next_slices=[NewSlice(Step.LOCAL, 1, 1)], plan=Plan(1))
    [pages] = ledger.claim_next("elsewhere", ["image"])
    ledger.finish(pages, f"{pages.result_prefix}/pages.msgpack", [PageOutcome(1, engine="null")])
    service.worker()
    view = service.wait_end(accepted)
    assert (view.state, view.code) == (DocumentState.FAILED, "source_damaged")
    assert service.slices(accepted)[-1].wait_count == 0


@pytest.mark.slow
def test_an_engine_that_raises_fails_its_page_alone(service: WorkerService, engines: Path) -> None:
    worker = service.worker(path=engines)
    view = service.wait_end(service.submit(page_image(RAISES), options=POISON))
    assert (view.state, view.code) == (DocumentState.FAILED, "engine_failed")
    assert worker.events("slot_died") == []


@pytest.mark.slow
def test_slots_are_replaced_when_they_are_worn(tmp_path: Path, engines: Path) -> None:
    service = WorkerService(tmp_path, "", fleet={"recycle_slices": 3})
    try:
        worker = service.worker(path=engines)
        accepted = [service.submit(page_image(SLOW, 60 + n), options=POISON) for n in range(12)]
        assert {service.wait_end(item).state for item in accepted} == {DocumentState.SUCCEEDED}
        wait_for(lambda: worker.events("slot_recycled"))
        workers = {row.worker for item in accepted for row in service.slices(item) if row.attempt}
        assert len(workers) > 1
        assert worker.events("slot_died") == []
        assert all(row.attempt <= 1 for item in accepted for row in service.slices(item))
    finally:
        service.close()


def test_the_settings_travel_whole(service: WorkerService) -> None:
    """A slot decodes the settings its supervisor has, secrets and paths included."""
    told = msgspec.json.decode(msgspec.json.encode(service.settings.model_dump(mode="json")))
    assert type(service.settings).model_validate(told) == service.settings
