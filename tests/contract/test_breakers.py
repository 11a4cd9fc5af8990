"""What breakers do, those of one process alone and those shared through Redis."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from docfleet.domain.quota import Breakers, BreakerState, Passage
from docfleet.quota.breaker import BreakerPolicy
from docfleet.quota.open import open_breakers
from docfleet.stack.servers import RedisServer
from quota_driver import redis_client, redis_server

Make = Callable[..., Breakers]
POLICY = BreakerPolicy(silent_seconds=0.0, open_seconds=1.0, probe_seconds=2.0)
EU = "eu-documentai.googleapis.com"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture(params=["local", "shared"])
def make(request: pytest.FixtureRequest) -> Iterator[Make]:
    """The breakers of one more process; those of one process alone know nothing of others."""
    if request.param == "local":
        known: dict[BreakerPolicy, Breakers] = {}
        yield lambda policy=POLICY: known.setdefault(policy, open_breakers(policy=policy))
        return
    running: RedisServer = request.getfixturevalue("server")
    clients = [redis_client(running.url) for _ in range(2)]
    clients[0].flushall()
    yield lambda policy=POLICY: open_breakers(clients.pop(), policy)


def called(breakers: Breakers, ok: bool) -> Passage:
    passage = breakers.may_call(EU)
    if passage:
        breakers.record(EU, passage, ok, 1.0)
    return passage


def test_from_closed_to_open_and_back(make: Make) -> None:
    here, there = make(), make()
    for _ in range(3):
        assert called(here, False)
    assert there.state(EU) is BreakerState.OPEN
    refused = there.may_call(EU)
    assert not refused
    assert refused.reason == "3 calls in a row failed"
    assert there.may_call("us-documentai.googleapis.com"), "another endpoint is another matter"
    time.sleep(refused.seconds + 0.01)
    assert here.state(EU) is BreakerState.HALF_OPEN
    first, second, third = there.may_call(EU), here.may_call(EU), there.may_call(EU)
    assert first.probe
    assert second.probe
    assert not third
    here.cancel(EU, second)
    another = there.may_call(EU)
    assert another.probe
    there.record(EU, first, True, 1.0)
    there.record(EU, another, True, 1.0)
    assert here.state(EU) is BreakerState.CLOSED


def test_a_dead_probe_is_noticed(make: Make) -> None:
    breakers = make()
    for _ in range(3):
        called(breakers, False)
    time.sleep(1.01)
    assert breakers.may_call(EU).probe
    time.sleep(2.01)
    assert not breakers.may_call(EU), "it counts as failed"
    time.sleep(2.01)
    assert breakers.may_call(EU).probe


def test_calls_at_the_same_time_are_all_counted(make: Make) -> None:
    breakers, failed = make(BreakerPolicy(min_calls=100, failure_share=0.01, failures_in_a_row=1000)), []

    def work() -> None:
        try:
            called(breakers, False)
            for _ in range(10):
                called(breakers, True)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    # 88 so far: it opens with the hundredth
    for _ in range(11):
        called(breakers, False)
    assert breakers.state(EU) is BreakerState.CLOSED
    called(breakers, False)
    assert breakers.state(EU) is BreakerState.OPEN


def test_without_redis_each_process_knows_what_it_saw(server: RedisServer) -> None:
    client = redis_client(server.url, timeout=0.3)
    client.flushall()
    breakers = open_breakers(client, POLICY)
    for _ in range(2):
        called(breakers, False)
    server.kill()
    try:
        called(breakers, False)
        assert breakers.state(EU) is BreakerState.OPEN, "two failures before and one after"
        time.sleep(1.01)
        for _ in range(2):
            assert called(breakers, True).probe
        assert breakers.state(EU) is BreakerState.CLOSED
    finally:
        server.restart(empty=True)
    deadline = time.monotonic() + 10
    while not client.keys("docfleet:breaker:*"):
        assert time.monotonic() < deadline
        called(breakers, True)
        time.sleep(0.1)
    client.set(f"docfleet:breaker:{EU}", b"\xffnot ours")
    assert called(breakers, True), "what another version left is overwritten"
    client.close()
