"""The dispatcher on a real Postgres and a real Redis, with everything going wrong that can."""

from __future__ import annotations

import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis

from contract.desk_driver import submission
from docfleet.dispatch.chores import do_due
from docfleet.dispatch.leader import FileLeader, PostgresLeader
from docfleet.dispatch.pace import UNMANNED_WINDOW
from docfleet.dispatch.parts import DispatchOptions, DispatchParts
from docfleet.dispatch.run import _Dispatching as Dispatching
from docfleet.dispatch.run import run_dispatcher
from docfleet.dispatch.waking import PostgresWaking, SqliteWaking
from docfleet.domain.urgency import Urgency
from docfleet.errors import LedgerError
from docfleet.ledger import Ledger
from docfleet.ledger.access import Access
from docfleet.ledger.desk import Desk
from docfleet.ledger.service_values import WorkerFacts
from docfleet.queues.hints import Hints
from docfleet.queues.options import KEY_PREFIX, QueueOptions
from docfleet.stack.servers import PostgresServer, RedisServer, start_postgres, start_redis
from docfleet.store import MemoryStore
from running import wait_for

SLOTS = 4
WINDOW = 10
"""2.5 hints for each slot."""


class Always:
    """Two of these are two leaders at once."""

    def leads(self) -> bool:
        return True

    def resign(self) -> None: ...


class Place:
    """A service without workers: its servers, and what looks into them."""

    def __init__(self, postgres: PostgresServer, broker: RedisServer, database: str) -> None:
        self.postgres, self.broker = postgres, broker
        self.url = postgres.database_url(database)
        self.ledger = Ledger.open(self.url)
        self.desk = Desk(self.ledger)
        Access(self.ledger).ensure_tenant("acme", "Acme")
        self.store = MemoryStore()
        self.options = QueueOptions(broker.url, socket_timeout=1.0, connect_timeout=0.5)
        self.redis = redis.Redis.from_url(broker.url)
        self.shown: dict[str, float] = {}

    def accept(self, count: int = 1, **given: Any) -> list[str]:
        return [self.desk.accept(submission(**given)).document_id for _ in range(count)]

    def listed(self, queue: str = "pdf.normal") -> int:
        return self.redis.llen(KEY_PREFIX + queue)  # type: ignore[return-value]

    def announce(self, name: str = "worker-1", slots: int = SLOTS, pool: str = "pdf") -> None:
        self.ledger.announce(WorkerFacts(name, "here", pool, "local", slots, "1"))
        self.ledger.see_worker(name, "broker")

    def parts(self, **given: Any) -> DispatchParts:
        options = DispatchOptions(**{"tick_seconds": 0.2, **given.pop("options", {})})
        parts = DispatchParts(
            ledger=self.ledger,
            desk=self.desk,
            store=self.store,
            hints=Hints(self.options),
            leader=PostgresLeader(self.url, "local"),
            waking=PostgresWaking(self.url),
            options=options,
            show=self.shown.update,
        )
        return replace(parts, **given)

    def close(self) -> None:
        self.redis.close()
        self.ledger.close()


@contextmanager
def dispatching(parts: DispatchParts) -> Iterator[threading.Event]:
    stop = threading.Event()
    thread = threading.Thread(target=run_dispatcher, args=(parts, stop))
    thread.start()
    try:
        yield stop
    finally:
        stop.set()
        thread.join(20)
        assert not thread.is_alive()
        if parts.hints is not None:
            parts.hints.close()


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="dfdi", dir="/tmp"))
    made.chmod(0o711)
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="module")
def postgres(folder: Path) -> Iterator[PostgresServer]:
    with start_postgres(folder / "pg", durable=False) as server:
        yield server


@pytest.fixture(scope="module")
def broker(folder: Path) -> Iterator[RedisServer]:
    with start_redis(folder / "redis") as server:
        yield server


@pytest.fixture
def place(postgres: PostgresServer, broker: RedisServer, request: pytest.FixtureRequest) -> Iterator[Place]:
    name = f"d{abs(hash(request.node.name)):x}"
    postgres.make_database(name)
    found = Place(postgres, broker, name)
    found.redis.flushall()
    yield found
    found.close()


def test_the_window_holds_a_few_hints_for_each_slot(place: Place) -> None:
    place.announce()
    place.accept(40)
    with dispatching(place.parts()):
        wait_for(lambda: place.ledger.count_hinted("pdf") == WINDOW, 10)
        time.sleep(1.5)
        assert place.listed() == WINDOW, "the window grew while nobody took anything"
        assert place.ledger.count_hinted("pdf") == WINDOW
        # a worker takes four: four others follow
        for slice_id, _ in place.ledger.hinted("pdf", 4):
            place.redis.rpop(KEY_PREFIX + "pdf.normal")
            assert place.ledger.claim_slice("worker-1/1", slice_id)
        wait_for(lambda: place.listed() == WINDOW, 5)


def test_a_pool_without_workers_has_few_hints_and_critical_goes_first(place: Place) -> None:
    place.accept(5)
    place.accept(5, urgency=Urgency.CRITICAL)
    with dispatching(place.parts()):
        wait_for(lambda: place.listed("pdf.critical") == UNMANNED_WINDOW, 10)
        time.sleep(0.5)
        assert place.listed("pdf.normal") == 0


def test_accepting_wakes_the_dispatcher(place: Place) -> None:
    place.announce()
    with dispatching(place.parts(options={"tick_seconds": 7.0})):
        place.accept()
        wait_for(lambda: place.listed() == 1, 10)
        time.sleep(3.5)  # until the pool counts as idle, and is looked at every 7 s
        place.accept()
        wait_for(lambda: place.listed() == 2, 3)


def test_a_wiped_redis_costs_a_moment(place: Place) -> None:
    place.announce()
    place.accept(30)
    with dispatching(place.parts()):
        wait_for(lambda: place.listed() == WINDOW, 10)
        place.redis.flushall()
        started = time.monotonic()
        wait_for(lambda: place.listed() == WINDOW, 10)
        assert time.monotonic() - started < 3.0


def test_a_lost_hint_is_sent_again_and_the_list_does_not_grow(place: Place) -> None:
    place.announce()
    place.accept(6)
    with dispatching(place.parts()):
        wait_for(lambda: place.ledger.count_hinted("pdf") == 6, 10)
        for _ in range(3):
            place.redis.rpop(KEY_PREFIX + "pdf.normal")
        wait_for(lambda: place.listed() == 6, 15)
        time.sleep(4)
        assert place.listed() == 6, "hints were sent again that were not lost"
        # all are still to be had: whoever works off the list finds every slice
        found: set[int] = set()
        deadline = time.monotonic() + 30
        while len(found) < 6 and time.monotonic() < deadline:
            message = place.redis.rpop(KEY_PREFIX + "pdf.normal")
            if message is None:
                time.sleep(0.05)
                continue
            claim = place.ledger.claim_slice("worker-1/1", slice_of(message))  # type: ignore[arg-type]
            if claim is not None:
                found.add(claim.slice_id)
        assert len(found) == 6


def slice_of(message: bytes) -> int:
    import base64
    import json

    body = json.loads(message)
    [[slice_id], _, _] = json.loads(base64.b64decode(body["body"]))
    return int(slice_id)


@pytest.mark.slow
def test_without_repair_a_lost_hint_is_lost(place: Place) -> None:
    place.announce()
    place.accept(3)
    with dispatching(place.parts(options={"repair": False})):
        wait_for(lambda: place.listed() == 3, 10)
        place.redis.flushall()
        time.sleep(5)
        assert place.listed() == 0


def test_a_broker_that_does_not_answer_costs_a_turn_one_wait(place: Place) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        place.options = QueueOptions(f"redis://127.0.0.1:{silent.getsockname()[1]}/0", 1.0, 0.5)
        place.announce()
        place.accept(3)
        parts = place.parts()
        dispatching = Dispatching(parts)
        do_due(dispatching.chores, time.monotonic)
        assert parts.hints is not None
        parts.hints.close()
        silent.setblocking(False)
        asked = 0
        with suppress(BlockingIOError):
            while True:
                silent.accept()[0].close()
                asked += 1
    assert asked == 1
    assert all(chore.breaker.is_open for chore in dispatching.chores if chore.name in ("epoch", "repair", "window"))


def test_redis_away_and_back_again(place: Place) -> None:
    place.announce()
    place.accept(3)
    with dispatching(place.parts()):
        wait_for(lambda: place.ledger.count_hinted("pdf") == 3, 10)
        place.broker.kill()
        place.accept(3)
        [claim] = [place.ledger.claim_slice("dead/1", place.ledger.hinted("pdf", 1)[0][0])]
        assert claim is not None
        pass_time(place, 16)
        # leases are taken back all the while
        wait_for(lambda: state_of(place, claim.slice_id) == "queued", 10)
        place.broker.restart(empty=True)
        pass_time(place, 300)

        def is_refilled() -> bool:
            # a worker that is not seen has no slots to fill a window for; a hint that was not noted is sent twice
            place.announce()
            return place.ledger.count_hinted("pdf") == 6 and place.listed() >= 6

        wait_for(is_refilled, 60)


def test_postgres_crashes_and_comes_back(place: Place) -> None:
    place.announce()
    place.accept(3)
    with dispatching(place.parts()):
        # noted, not only published: what was published only would be published again, as it should
        wait_for(lambda: place.ledger.count_hinted("pdf") == 3, 10)
        place.postgres.kill()
        time.sleep(1.5)
        place.postgres.start()
        accept_patiently(place)
        wait_for(lambda: place.listed() >= 4 and place.ledger.count_hinted("pdf") == place.listed(), 15)


def test_who_kept_a_slice_while_the_database_was_away_keeps_it(place: Place) -> None:
    place.accept(2)
    kept, dead = place.ledger.claim_next("host-1-ab/0-1", ["pdf"]), place.ledger.claim_next("host-2-cd/0-1", ["pdf"])
    with dispatching(place.parts()):
        wait_for(lambda: place.desk.open_documents() == 2, 10)
        place.postgres.kill()
        place.postgres.start()
        with place.ledger.unit_of_work() as session:
            session.execute(_text("UPDATE slice SET lease_until = lease_until - 60"))
        time.sleep(1.0)
        assert place.ledger.beat("host-1-ab/0-1", kept) == frozenset()
        wait_for(lambda: place.ledger.count_hinted("pdf") == 1, 10)
        assert place.ledger.beat("host-1-ab/0-1", kept) == frozenset()
        assert place.ledger.beat("host-2-cd/0-1", dead) == {dead[0].slice_id}


def test_two_leaders_at_once_cost_no_more_than_hints(place: Place) -> None:
    place.announce(slots=20)
    with dispatching(place.parts(leader=Always())), dispatching(place.parts(leader=Always())):
        place.accept(40)
        taken: dict[int, int] = {}
        duplicates = 0
        deadline = time.monotonic() + 30
        while len(taken) < 40 and time.monotonic() < deadline:
            message = place.redis.rpop(KEY_PREFIX + "pdf.normal")
            if message is None:
                time.sleep(0.01)
                continue
            claim = place.ledger.claim_slice("worker-1/1", slice_of(message))  # type: ignore[arg-type]
            if claim is None:
                duplicates += 1
                continue
            taken[claim.slice_id] = taken.get(claim.slice_id, 0) + 1
        assert len(taken) == 40
        assert set(taken.values()) == {1}


def test_one_leads_and_another_follows_when_it_is_gone(place: Place) -> None:
    first, second = PostgresLeader(place.url, "local"), PostgresLeader(place.url, "local")
    elsewhere = PostgresLeader(place.url, "other region")
    assert first.leads()
    assert not second.leads()
    assert elsewhere.leads()
    assert first.leads()
    with psycopg.connect(place.url, autocommit=True) as connection:
        killed = connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND pid <> pg_backend_pid() "
            "AND granted ORDER BY pid LIMIT 1"
        ).fetchall()
        assert killed == [(True,)]
    wait_for(lambda: not first.leads() or second.leads(), 5)
    assert first.leads() != second.leads()
    for leader in (first, second, elsewhere):
        leader.resign()
    assert second.leads()
    second.resign()


def test_a_leader_that_is_frozen_leads_no_more(place: Place) -> None:
    frozen, second = (PostgresLeader(place.url, "local", idle_seconds=1.0) for _ in range(2))
    try:
        assert frozen.leads()
        assert not second.leads()
        wait_for(second.leads, 10)
        assert not frozen.leads()
        assert not frozen.leads(), "it has a new connection, and stands in line"
    finally:
        frozen.resign()
        second.resign()


def test_the_lock_of_a_file(tmp_path: Path) -> None:
    first, second = FileLeader(tmp_path / "lock"), FileLeader(tmp_path / "lock")
    assert first.leads()
    assert not second.leads()
    first.resign()
    assert second.leads()
    second.resign()


def test_a_database_that_is_away_is_no_leader_and_no_reason_to_fail(place: Place) -> None:
    nowhere = PostgresLeader("postgresql:///x?host=/nowhere&user=docfleet", "local")
    assert not nowhere.leads()
    waking = PostgresWaking("postgresql:///x?host=/nowhere&user=docfleet")
    started = time.monotonic()
    assert not waking.wait(0.2)
    assert time.monotonic() - started >= 0.19


def test_house_is_kept_without_a_broker(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "ledger.db") as ledger:
        desk, store = Desk(ledger), MemoryStore()
        Access(ledger).ensure_tenant("acme", "Acme")
        one = submission()
        store.put(f"contents/{one.content_id}/source", b"bytes")
        document = desk.accept(one).document_id
        claim = ledger.claim_next("dead/1", ["pdf"])[0]
        parts = DispatchParts(
            ledger, desk, store, None, FileLeader(tmp_path / "lock"), SqliteWaking(tmp_path / "ledger.db"),
            DispatchOptions(tick_seconds=0.2),
        )  # fmt: skip
        with dispatching(parts):
            with ledger.unit_of_work() as session:
                session.execute(_text("UPDATE slice SET lease_until = lease_until - 60 WHERE lease_until IS NOT NULL"))
            wait_for(lambda: _state(ledger, claim.slice_id) == "queued", 10)
            desk.cancel("acme", document)
            desk.delete("acme", document)
            wait_for(lambda: not list(store.list("contents")), 20)


def test_the_alarm_goes_on_when_nothing_drains(place: Place) -> None:
    from docfleet.dispatch.alarm import Alarm

    place.accept(2)
    alarm = Alarm(place.ledger, stuck_seconds=30.0)
    alarm.look(now=0.0)
    with place.ledger.unit_of_work() as session:
        session.execute(_text("UPDATE slice SET created_at = created_at - 100, available_at = available_at - 100"))
    assert alarm.look(now=31.0)['docfleet_pool_stuck{pool="pdf"}'] == 1.0
    assert alarm.look(now=32.0)['docfleet_oldest_waiting_seconds{pool="pdf"}'] >= 100
    from docfleet.domain.work import Step
    from docfleet.ledger import NewSlice, Plan

    claim = place.ledger.claim_next("worker-1/1", ["pdf"])[0]
    place.ledger.finish(claim, next_slices=[NewSlice(Step.LOCAL, 1, 1)], plan=Plan(1))
    assert alarm.look(now=33.0)['docfleet_pool_stuck{pool="pdf"}'] == 0.0


def _text(statement: str) -> Any:
    from sqlalchemy import text

    return text(statement)


def _state(ledger: Ledger, slice_id: int) -> str:
    with ledger.reading() as session:
        return str(session.execute(_text(f"SELECT state FROM slice WHERE id = {slice_id}")).scalar_one())


def state_of(place: Place, slice_id: int) -> str:
    return _state(place.ledger, slice_id)


def pass_time(place: Place, seconds: float) -> None:
    with place.ledger.unit_of_work() as session:
        session.execute(_text(f"UPDATE slice SET available_at = available_at - {seconds}"))
        session.execute(_text(f"UPDATE slice SET lease_until = lease_until - {seconds} WHERE lease_until IS NOT NULL"))


def accept_patiently(place: Place) -> None:
    def accepted() -> bool:
        try:
            place.accept()
        except LedgerError:
            return False
        return True

    wait_for(accepted, 20)
