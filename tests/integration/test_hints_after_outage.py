"""Redis is away just while every slot is busy, so that nobody asks it for anything; it is used again afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from worker_service import Supervisor, WorkerService, wait_for

from chaos.corpus import picture
from docfleet.domain.work import DocumentState, SliceState
from docfleet.ledger.service_values import ReadingOptions
from docfleet.stack.servers import RedisServer, start_redis
from engine_packages import install

CYAN = (0, 255, 255)


@pytest.fixture(scope="module")
def plugins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("chaos-site")
    install("docfleet_engine_chaos", tmp_path_factory.mktemp("chaos-build"), target)
    return target


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[RedisServer]:
    with start_redis(tmp_path / "redis") as server:
        yield server


def asks_for_hints(broker: RedisServer) -> bool:
    with redis.Redis.from_url(broker.url) as link:
        return "cmdstat_brpop" in link.info("commandstats")


def took_no_restart(worker: Supervisor) -> bool:
    return worker.process.poll() is None and not worker.events("consumption_stalled")


@pytest.mark.slow
def test_a_worker_whose_slots_were_busy_while_redis_was_away_takes_hints_again(
    broker: RedisServer, plugins: Path, tmp_path: Path
) -> None:
    """An acknowledgement that fails must not be the last that is heard of Redis."""
    service = WorkerService(tmp_path, "", broker.url, fleet={"grace_seconds": 3.0})
    try:
        worker = service.worker("image", slots=2, path=plugins)
        with service.dispatching():
            options = ReadingOptions(("json",), engine="chaos")
            documents = [service.submit(picture(n, CYAN), f"{n}.png", options=options) for n in range(10)]
            wait_for(lambda: sum(row.state is SliceState.RUNNING for d in documents for row in service.slices(d)) == 2)
            broker.kill()
            wait_for(lambda: worker.events("direct_mode_on"), 20)
            # statistics begin anew with the process
            broker.start()
            wait_for(lambda: asks_for_hints(broker), 15)
            wait_for(lambda: all(service.view(d).state is DocumentState.SUCCEEDED for d in documents), 60)
        assert took_no_restart(worker)
        rows = [row for document in documents for row in service.slices(document)]
        assert sum(row.crash_count + row.error_count + row.loss_count for row in rows) == 0
    finally:
        service.close()
