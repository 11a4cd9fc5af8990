"""Workers that take hints from a real Redis, over a real Postgres, and what happens when Redis goes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from worker_service import WorkerService, page_image, wait_for

from docfleet.domain.urgency import Pool, Urgency, queue_name
from docfleet.domain.work import DocumentState
from docfleet.queues.app import WORK_SLICE, make_app
from docfleet.stack.servers import RedisServer, start_redis
from ledger_driver import PostgresServer


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with start_redis(tmp_path / "redis") as server:
        yield server


@pytest.fixture
def service(tmp_path: Path, postgres: PostgresServer, redis: RedisServer) -> Iterator[WorkerService]:
    database = postgres.new_ledger()
    service = WorkerService(tmp_path, postgres.url(database), redis.url, fleet={"idle_restart_seconds": 6.0})
    yield service
    service.close()


def mode_of(service: WorkerService) -> str:
    [worker] = service.runtime.ledger.workers(None)
    return str(worker.mode)


@pytest.mark.slow
def test_hints_are_worked_and_nothing_is_done_twice(service: WorkerService) -> None:
    worker = service.worker(slots=2)
    hints = service.runtime.hints
    assert hints is not None
    accepted = [service.submit(page_image(300, 200 + n)) for n in range(20)]
    # T19 and T20: every hint ten times over, and hints for what is not there
    for item in accepted:
        [row] = service.slices(item)
        for _ in range(10):
            hints.publish(Pool.IMAGE, Urgency.NORMAL, row.id)
    hints.publish(Pool.PDF, Urgency.CRITICAL, 999_999)
    assert {service.wait_end(item).state for item in accepted} == {DocumentState.SUCCEEDED}
    wait_for(lambda: sum(hints.length(Pool.IMAGE).values()) == 0)
    assert sum(row.attempt for item in accepted for row in service.slices(item)) == 20
    assert mode_of(service) == "broker"
    assert worker.stop() == 0


def test_hints_that_are_no_slices_harm_no_slot(service: WorkerService) -> None:
    worker = service.worker()
    hints = service.runtime.hints
    assert hints is not None
    wait_for(lambda: worker.alive.exists() and mode_of(service) == "broker")
    for rubbish in ("x", -1, 2**70, None, {"a": 1}):
        send_rubbish(service, rubbish)
    with service.dispatching():
        assert service.wait_end(service.submit(page_image())).state is DocumentState.SUCCEEDED
    wait_for(lambda: len(worker.events("hint_refused")) == 5)
    assert worker.events("slot_died") == worker.events("slot_killed") == []


def send_rubbish(service: WorkerService, rubbish: object) -> None:
    assert service.runtime.queue_options is not None
    app = make_app(service.runtime.queue_options)
    app.send_task(WORK_SLICE, args=[rubbish], queue=queue_name(Pool.IMAGE, Urgency.NORMAL), ignore_result=True)
    app.close()


def test_redis_dies_work_goes_on_and_goes_back(service: WorkerService, redis: RedisServer) -> None:
    worker = service.worker(slots=2)
    with service.dispatching():
        assert service.wait_end(service.submit(page_image())).state is DocumentState.SUCCEEDED
        redis.kill()
        killed = time.monotonic()
        during = service.submit(page_image(301))
        assert service.wait_end(during).state is DocumentState.SUCCEEDED
        assert time.monotonic() - killed < 20
        wait_for(lambda: mode_of(service) == "direct")
        redis.restart(empty=True)
        wait_for(lambda: mode_of(service) == "broker")
        service.runtime.ledger.forget_hints()
        assert service.wait_end(service.submit(page_image(302))).state is DocumentState.SUCCEEDED
    assert len(worker.events("direct_mode_on")) == 1
    assert len(worker.events("direct_mode_off")) == 1
    assert worker.process.poll() is None


def test_a_wiped_redis_only_costs_hints(service: WorkerService, redis: RedisServer) -> None:
    service.worker()
    hints = service.runtime.hints
    assert hints is not None
    with service.dispatching():
        assert service.wait_end(service.submit(page_image())).state is DocumentState.SUCCEEDED
        hints._client.flushall()
        assert service.wait_end(service.submit(page_image(301))).state is DocumentState.SUCCEEDED


def test_a_free_slot_looks_for_itself_when_no_hint_comes(service: WorkerService) -> None:
    service.worker()
    # nobody dispatches: as when the leader was stopped with its lock in hand
    assert service.wait_end(service.submit(page_image())).state is DocumentState.SUCCEEDED
    assert mode_of(service) == "broker"


def test_a_worker_starts_without_its_broker(service: WorkerService, redis: RedisServer) -> None:
    redis.kill()
    service.worker()
    accepted = service.submit(page_image())
    assert service.wait_end(accepted).state is DocumentState.SUCCEEDED


def test_an_unsafe_broker_is_refused(service: WorkerService, redis: RedisServer) -> None:
    hints = service.runtime.hints
    assert hints is not None
    hints._client.config_set("maxmemory-policy", "allkeys-lru")
    worker = service.worker()
    assert worker.process.wait(30) != 0
    assert "noeviction" in worker.log.read_text()
