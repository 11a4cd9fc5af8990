"""Workers come and go under load, and no document is the worse for it. Real processes, a real Redis, real signals."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from worker_service import WorkerService

from chaos.corpus import COLOURS, picture
from docfleet.domain.urgency import Pool
from docfleet.domain.work import DocumentState, SliceState
from docfleet.ledger.service_values import Accepted, ReadingOptions
from docfleet.stack.autoscaling import Autoscaler, Wanted, busy_workers
from docfleet.stack.children import Child
from docfleet.stack.servers import start_redis
from docfleet.stack.serving import environment_of
from docfleet.stack.sizing import Bounds
from docfleet.stack.worker_pool import WorkerChange, WorkerPool
from engine_packages import install

CHAOS = ReadingOptions(("json",), engine="chaos")


@pytest.fixture(scope="module")
def plugins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("chaos-site")
    install("docfleet_engine_chaos", tmp_path_factory.mktemp("chaos-build"), target)
    return target


class Scene:
    """A service whose workers follow `wanted`, as `docfleet up --autoscale` has them follow the dispatcher."""

    def __init__(self, service: WorkerService, plugins: Path, folder: Path, most_starting: int = 4) -> None:
        self.service = service
        self.wanted: Wanted | None = Wanted(1)
        self.changes: list[WorkerChange] = []
        self._log = (folder / "workers.log").open("ab")
        path = os.pathsep.join([str(plugins), os.environ.get("PYTHONPATH", "")])
        environment = {**environment_of(service.settings), "PYTHONPATH": path, "TMPDIR": str(folder)}
        command = ["worker", "--pool", Pool.IMAGE, "--slots", "1"]
        self.pool = WorkerPool(
            Pool.IMAGE,
            lambda name: Child(name, command, environment, self._write),
            service.settings.fleet.grace_seconds + 8.0,
        )
        busy = partial(busy_workers, service.runtime)
        self._scaler = Autoscaler(
            [self.pool], {Pool.IMAGE: Bounds(0, 9)}, lambda pool: self.wanted, busy, most_starting
        )

    def _write(self, name: str, line: bytes) -> None:
        self._log.write(name.encode() + b" " + line)

    def turn(self) -> None:
        self.pool.tend()
        self.changes += [*self.pool.drained(), *self._scaler.look()]
        time.sleep(0.1)

    def until(self, true: Callable[[], bool], seconds: float = 60.0) -> None:
        deadline = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < deadline, "it did not happen in time"
            self.turn()

    def ready(self) -> int:
        busy = busy_workers(self.service.runtime) or {}
        return sum(one.is_ready for one in self.pool.running(busy))

    def busy(self) -> int:
        busy = busy_workers(self.service.runtime) or {}
        return sum(one.busy for one in self.pool.running(busy))

    def ended(self, documents: list[Accepted]) -> int:
        return sum(self.service.view(one).state is DocumentState.SUCCEEDED for one in documents)

    def close(self) -> None:
        for child in self.pool.children:
            child.ask_to_stop()
        for child in self.pool.children:
            child.end(20.0)
        self._log.close()


@pytest.fixture
def scene(tmp_path: Path, plugins: Path, request: pytest.FixtureRequest) -> Iterator[Scene]:
    with start_redis(tmp_path / "redis") as redis:
        service = WorkerService(tmp_path, "", redis.url, fleet={"grace_seconds": request.param})
        scene = Scene(service, plugins, tmp_path)
        try:
            with service.dispatching():
                yield scene
        finally:
            scene.close()
            service.close()


def submit(scene: Scene, count: int, kind: str) -> list[Accepted]:
    colour = {"second": (0, 255, 255), **COLOURS}[kind]
    return [scene.service.submit(picture(n, colour), f"{n}.png", options=CHAOS) for n in range(count)]


def counts(scene: Scene, documents: list[Accepted]) -> tuple[int, int, int]:
    """Crashes, errors and losses held against these documents."""
    rows = [row for one in documents for row in scene.service.slices(one)]
    return (
        sum(row.crash_count for row in rows),
        sum(row.error_count for row in rows),
        sum(row.loss_count for row in rows),
    )


@pytest.mark.slow
@pytest.mark.parametrize("scene", [10.0], indirect=True)
def test_a_pool_grows_and_shrinks_under_load_and_every_slice_is_read_once(scene: Scene) -> None:
    documents = submit(scene, 24, "second")
    scene.until(lambda: scene.ready() == 1)
    scene.wanted = Wanted(4)
    scene.until(lambda: scene.busy() == 4)
    scene.wanted = Wanted(1)
    scene.until(lambda: scene.pool.draining == 3)
    assert scene.ended(documents) < len(documents), "it was to drain under load"
    # wanted again while others are still on their way out: new ones, under names of their own
    leaving = {change.worker for change in scene.changes if change.change == "draining"}
    scene.wanted = Wanted(3)
    scene.turn()
    assert {child.name for child in scene.pool.children} > leaving or scene.pool.draining == 0
    scene.until(lambda: scene.ready() == 3)
    scene.wanted = Wanted(1)
    scene.turn()
    scene.until(lambda: scene.ended(documents) == len(documents), 120)
    scene.until(lambda: scene.pool.draining == 0)
    assert counts(scene, documents) == (0, 0, 0)
    rows = [row for one in documents for row in scene.service.slices(one)]
    assert {row.state for row in rows} == {SliceState.DONE}
    assert max(row.attempt for row in rows) == 1, "who drains finishes what it began"
    drained = [change for change in scene.changes if change.change == "drained"]
    assert len(drained) == 5
    assert {change.exit_code for change in drained} == {0}
    workers = scene.service.runtime.ledger.workers()
    assert sorted(worker.cause for worker in workers if worker.ended_at is not None) == ["stopped"] * 5


@pytest.mark.slow
@pytest.mark.parametrize("scene", [1.0], indirect=True)
def test_what_cannot_be_finished_in_time_is_handed_back_and_read_by_another(scene: Scene) -> None:
    scene.wanted = Wanted(2)
    documents = submit(scene, 2, "slow")
    scene.until(lambda: scene.busy() == 2)
    time.sleep(1.0)
    scene.wanted = Wanted(1)
    asked = time.monotonic()
    scene.turn()
    scene.until(lambda: scene.pool.draining == 0)
    assert time.monotonic() - asked < 8.0
    scene.until(lambda: scene.ended(documents) == 2, 60)
    assert counts(scene, documents) == (0, 0, 0)
    rows = [row for one in documents for row in scene.service.slices(one)]
    assert sorted(row.attempt for row in rows if row.attempt > 1) == [2], "one of two was read anew"


@pytest.mark.parametrize("scene", [10.0], indirect=True)
def test_what_runs_keeps_running_while_nobody_decides(scene: Scene) -> None:
    """The dispatcher or the ledger is away; whoever dies meanwhile is started again."""
    scene.wanted = Wanted(2)
    scene.until(lambda: scene.ready() == 2)
    scene.wanted = None
    pids = [child.pid for child in scene.pool.children]
    for _ in range(5):
        scene.turn()
    assert [child.pid for child in scene.pool.children] == pids
    assert pids[0] is not None
    os.kill(pids[0], 9)
    scene.until(lambda: scene.pool.restarts == 1)
    scene.until(lambda: scene.ready() == 2)
    assert scene.pool.size == 2
    assert len(scene.changes) == 2
