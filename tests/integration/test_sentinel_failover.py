"""Redis under Sentinel loses its master while the service works: three real nodes, three real sentinels, kill -9."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import redis
from sqlalchemy import select
from worker_service import WorkerService, wait_for

from chaos.corpus import picture
from docfleet.domain.quota import Grant, QuotaKey, QuotaLimits
from docfleet.domain.urgency import Pool, Urgency
from docfleet.domain.work import DocumentState
from docfleet.errors import BrokerUnavailable, UnsafeBroker
from docfleet.ledger.rows import DocumentRow
from docfleet.ledger.service_values import Accepted, ReadingOptions
from docfleet.queues.check import check_broker
from docfleet.queues.hints import Hints
from docfleet.queues.options import QueueOptions
from docfleet.quota.open import open_quota
from docfleet.quota.shared import ORIGIN
from docfleet.stack.children import Child
from docfleet.stack.sentinel import MASTER_NAME, RedisWithSentinel, start_sentinel
from docfleet.stack.servers import RedisServer
from docfleet.stack.serving import environment_of
from engine_packages import install

CYAN = (0, 255, 255)
BACK_SECONDS = 30.0
KEY = QuotaKey("project", "eu", "OCR_PROCESSOR")


@pytest.fixture(scope="module")
def plugins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("chaos-site")
    install("docfleet_engine_chaos", tmp_path_factory.mktemp("chaos-build"), target)
    return target


@pytest.fixture
def trio(tmp_path: Path) -> Iterator[RedisWithSentinel]:
    with start_sentinel(tmp_path) as trio:
        yield trio


def options_of(trio: RedisWithSentinel) -> QueueOptions:
    return QueueOptions(trio.url, sentinel_master=MASTER_NAME, sentinel_password=trio.password)


def client_of(server: RedisServer) -> redis.Redis:
    return redis.Redis(port=server.port, password=server.password, socket_timeout=2, decode_responses=True)


def kill_master(trio: RedisWithSentinel) -> RedisServer:
    old = trio.master()
    assert old is not None
    old.kill()
    return old


def await_promotion(trio: RedisWithSentinel, old: RedisServer) -> RedisServer:
    wait_for(lambda: trio.master() not in (None, old), 30)
    new = trio.master()
    assert new is not None
    return new


class QuotaWatch:
    """Asks the quota a few times a second, as a worker of the pool `cloud` does, and notes who answered."""

    def __init__(self, service: WorkerService) -> None:
        self.answers: list[tuple[float, str]] = []
        self._client = service.runtime.quota_redis()
        self._quota = open_quota(lambda key: QuotaLimits(requests_per_minute=6000.0), self._client)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(0.2):
            answer = self._quota.ask(KEY)
            if isinstance(answer, Grant):
                self.answers.append((time.monotonic(), answer.origin))
                self._quota.succeeded(answer)

    def last(self) -> str:
        return self.answers[-1][1] if self.answers else ""

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()
        assert self._client is not None
        self._client.close()


@contextmanager
def working(service: WorkerService, plugins: Path, folder: Path) -> Iterator[list[Child]]:
    """A dispatcher and two workers of two slots, each a process."""
    path = os.pathsep.join([str(plugins), os.environ.get("PYTHONPATH", "")])
    environment = {**environment_of(service.settings), "PYTHONPATH": path, "TMPDIR": str(folder)}
    log = (folder / "service.log").open("ab")

    def write(name: str, line: bytes) -> None:
        with suppress(ValueError):
            log.write(name.encode() + b" " + line)

    worker = ["worker", "--pool", Pool.IMAGE, "--slots", "2"]
    children = [
        Child("dispatcher", ["dispatcher"], environment, write),
        *(Child(f"image-{number}", worker, environment, write) for number in (1, 2)),
    ]
    try:
        for child in children:
            child.start()
        yield children
    finally:
        for child in children:
            child.ask_to_stop()
        for child in children:
            child.end(20.0)
        log.close()


def ended_at(service: WorkerService) -> list[float]:
    """When documents ended that were read, in order."""
    with service.runtime.ledger.reading() as session:
        found = select(DocumentRow.finished_at).where(DocumentRow.state == DocumentState.SUCCEEDED)
        return sorted(float(moment) for moment in session.execute(found).scalars() if moment is not None)


def followed(new: RedisServer) -> bool:
    """Whether hints are pushed to this node and consumers wait at it."""
    with client_of(new) as link:
        calls = link.info("commandstats")
    return "cmdstat_lpush" in calls and "cmdstat_brpop" in calls


@pytest.mark.slow
def test_a_master_is_killed_in_mid_burst_and_nothing_is_lost(
    trio: RedisWithSentinel, plugins: Path, tmp_path: Path
) -> None:
    service = WorkerService(
        tmp_path,
        "",
        trio.url,
        service={"sentinel_master": MASTER_NAME, "sentinel_password": trio.password},
        fleet={"grace_seconds": 5.0},
    )
    quota = QuotaWatch(service)
    try:
        with working(service, plugins, tmp_path):
            documents = [
                service.submit(picture(n, CYAN), f"{n}.png", options=ReadingOptions(("json",), engine="chaos"))
                for n in range(80)
            ]
            wait_for(lambda: len(ended_at(service)) >= 8 and quota.last() == ORIGIN, 60)
            killed, killed_at = time.monotonic(), time.time()
            old = kill_master(trio)
            new = await_promotion(trio, old)
            promoted = time.monotonic() - killed
            with client_of(new) as link:
                link.config_resetstat()
            wait_for(lambda: followed(new), BACK_SECONDS)
            hinted = time.monotonic() - killed
            wait_for(lambda: len(ended_at(service)) == len(documents), 120)
            wait_for(lambda: {worker.mode for worker in service.runtime.ledger.workers()} == {"broker"}, BACK_SECONDS)
            quota.stop()
            check_the_story(service, documents, quota, killed, killed_at, promoted, hinted)
            # who comes back is no master any more, and follows
            old.start()
            wait_for(lambda: follows(old, new), 30)
            assert trio.master() is new
    finally:
        quota.stop()
        service.close()


def check_the_story(
    service: WorkerService,
    documents: list[Accepted],
    quota: QuotaWatch,
    killed: float,
    killed_at: float,
    promoted: float,
    hinted: float,
) -> None:
    ends = [moment for moment in ended_at(service) if moment >= killed_at]
    gap = max(later - earlier for earlier, later in zip([killed_at, *ends], ends, strict=False))
    shared = next(moment for moment, origin in quota.answers if moment > killed + promoted and origin == ORIGIN)
    print(
        f"promoted after {promoted:.1f} s, hints flow after {hinted:.1f} s, quota shared again after "
        f"{shared - killed:.1f} s, longest time without a finished document {gap:.1f} s"
    )
    assert len(ends) > 20, "the master was to die in mid-burst"
    assert all(service.view(one).state is DocumentState.SUCCEEDED for one in documents)
    rows = [row for one in documents for row in service.slices(one)]
    assert sum(row.crash_count + row.error_count + row.loss_count for row in rows) == 0
    assert max(hinted, shared - killed, gap) < BACK_SECONDS
    # while Redis was away calls were metered, if by this process alone
    assert any(origin != ORIGIN for moment, origin in quota.answers if moment > killed)


def follows(node: RedisServer, master: RedisServer) -> bool:
    with suppress(redis.RedisError), client_of(node) as link:
        facts = link.info("replication")
        return facts["role"] == "slave" and facts["master_port"] == master.port and facts["master_link_status"] == "up"
    return False


def test_a_hint_published_after_the_failover_is_there(trio: RedisWithSentinel) -> None:
    """One client, made before: it finds the new master by itself, and says within seconds that there is none."""
    options = options_of(trio)
    assert check_broker(options).startswith(("redis ", "valkey "))
    hints = Hints(options)
    hints.publish(Pool.PDF, Urgency.HIGH, 7)
    old = kill_master(trio)
    started = time.monotonic()
    with pytest.raises(BrokerUnavailable):
        hints.publish(Pool.PDF, Urgency.HIGH, 8)
    assert time.monotonic() - started < 5.0
    new = await_promotion(trio, old)
    wait_for(hints.is_up, 10)
    assert time.monotonic() - started < 15.0
    hints.publish(Pool.PDF, Urgency.HIGH, 9)
    with client_of(new) as link:
        assert link.llen("docfleet:pdf.high") >= 1
    hints.close()


@pytest.mark.slow
def test_a_silent_master_is_left_for_the_new_one(trio: RedisWithSentinel) -> None:
    """As behind a cut cable: its connections stay open, and nothing comes."""
    hints = Hints(options_of(trio))
    assert hints.is_up()
    old = trio.master()
    assert old is not None
    os.kill(old.pid, 19)  # SIGSTOP
    try:
        started = time.monotonic()
        await_promotion(trio, old)
        wait_for(hints.is_up, 15)
        assert time.monotonic() - started < 15.0
    finally:
        os.kill(old.pid, 18)  # SIGCONT
    # awake again it still calls itself master, until a sentinel tells it otherwise: hints go to the new one
    hints.set_epoch("after")
    wait_for(lambda: trio.role(old) == "slave", 30)
    assert hints.epoch() == "after"
    hints.close()


@pytest.mark.slow
def test_a_sentinel_may_be_lost_too(trio: RedisWithSentinel) -> None:
    trio.sentinels[0].kill()
    hints = Hints(options_of(trio))
    assert hints.is_up()
    old = kill_master(trio)
    await_promotion(trio, old)
    wait_for(hints.is_up, 10)
    hints.close()


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"sentinel_master": ""}, UnsafeBroker, "sentinel_master"),
        ({"socket_timeout": 0.0}, UnsafeBroker, "socket_timeout"),
        ({"sentinel_master": "another"}, BrokerUnavailable, "another"),
        ({"sentinel_password": ""}, BrokerUnavailable, "Authentication"),
    ],
)
def test_what_would_hang_or_find_nobody_is_told_at_start(
    trio: RedisWithSentinel, change: dict[str, object], error: type[Exception], said: str
) -> None:
    import msgspec

    with pytest.raises(error, match=said):
        check_broker(msgspec.structs.replace(options_of(trio), **change))
