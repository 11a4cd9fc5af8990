"""Many processes under one quota: what they send together, while Redis is there, gone, and back empty."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from docfleet.domain.quota import Grant, QuotaLimits, Wait
from docfleet.quota.shared import SharedQuota
from docfleet.stack.servers import RedisServer
from quota_driver import KEY, most_in, redis_client, redis_server

CALLER = """
import json, os, random, sys, time
sys.path[:0] = [sys.argv[1]]
options = json.loads(sys.argv[2])
skew = options["skew"]
if skew:
    real, steady = time.time, time.monotonic
    time.time = lambda: real() + skew
    time.monotonic = lambda: steady() + skew
from docfleet.domain.quota import Grant, QuotaLimits
from docfleet.quota.shared import SharedQuota
from quota_driver import KEY, redis_client
limits = QuotaLimits(**options["limits"])
client = redis_client(options["url"], timeout=0.5)
# when each call was granted, by one clock for all processes: the machine's
quota = SharedQuota(client, lambda _: limits, sharers=options["sharers"])
print("ready", flush=True)
end = time.perf_counter() + options["seconds"]
while time.perf_counter() < end:
    answer = quota.ask(KEY, pages=options["pages"], urgent=options["urgent"])
    if isinstance(answer, Grant):
        print(json.dumps([time.clock_gettime(time.CLOCK_MONOTONIC), answer.origin]), flush=True)
        if options["dies"]:
            os.kill(os.getpid(), 9)
        quota.succeeded(answer)
    else:
        time.sleep(min(answer.seconds, 0.05) * random.uniform(0.2, 1.0))
"""


class Callers:
    """Processes that ask as often as they may. `skew`: by how much each one's clocks are off."""

    def __init__(self, url: str, limits: dict[str, Any], count: int, seconds: float, **options: Any) -> None:
        base = {"url": url, "limits": limits, "seconds": seconds, "sharers": count, "pages": 0, "urgent": False}
        self.running = []
        for number in range(count):
            told = {**base, "skew": 0.0, "dies": False, **options}
            told["skew"] *= number - count // 2
            self.running.append(
                subprocess.Popen(
                    [sys.executable, "-c", CALLER, str(Path(__file__).parents[1]), json.dumps(told)],
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
        for process in self.running:
            assert process.stdout
            assert process.stdout.readline() == "ready\n"

    def grants(self) -> list[tuple[float, str]]:
        """(seconds of the machine's clock, origin) of all of them, once they have ended."""
        # not communicate(): it would pass over what came with the first line
        said = [process.stdout.read() for process in self.running if process.stdout]
        return sorted((at, origin) for text in said for at, origin in map(json.loads, text.splitlines()))

    def kill(self) -> None:
        for process in self.running:
            process.kill()
            process.communicate()


@contextmanager
def callers(*arguments: Any, **options: Any) -> Iterator[Callers]:
    started = Callers(*arguments, **options)
    try:
        yield started
    finally:
        started.kill()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path) as running:
        yield running


PLAIN = {"requests_per_minute": 1200, "headroom": 0.0, "burst_seconds": 0.5, "urgent_share": 0.2}
"""Twenty a second, ten ahead of their time at most."""
LATE = 0.05
"""A grant is noted a little after it was given; so two may be noted closer together."""


def within_bounds(times: list[float], rate: float, burst: float, spans: tuple[float, ...] = (0.5, 1, 3, 5)) -> None:
    for span in spans:
        assert most_in(times, span) <= rate * (span + LATE) + burst, f"within {span} s"


def test_in_no_window_more_than_the_rate_whatever_their_clocks_say(server: RedisServer) -> None:
    with callers(server.url, PLAIN, 4, 6.0, skew=60.0) as started:
        grants = started.grants()
    times = [at for at, _ in grants]
    assert {origin for _, origin in grants} == {"shared"}
    within_bounds(times, 20, 10)
    assert len(times) >= 0.93 * 20 * (times[-1] - times[0]), "and hardly less"


def test_urgent_calls_get_their_share_and_starve_nobody(server: RedisServer) -> None:
    limits = {**PLAIN, "urgent_share": 0.3}
    with callers(server.url, limits, 3, 6.0) as plain, callers(server.url, limits, 1, 6.0, urgent=True) as urgent:
        everybody, favoured = len(plain.grants()), len(urgent.grants())
    share = favoured / (everybody + favoured)
    print(f"urgent: {share:.2f} of all")
    # alone against three it would get a quarter; three tenths are its own, of the rest it may have its part
    assert 0.28 <= share <= 0.75


@pytest.mark.slow
def test_redis_goes_and_an_empty_one_comes(server: RedisServer) -> None:
    with callers(server.url, PLAIN, 3, 9.0) as started:
        time.sleep(2.5)
        server.kill()
        gone = time.clock_gettime(time.CLOCK_MONOTONIC)
        time.sleep(3.0)
        server.restart(empty=True)
        back = time.clock_gettime(time.CLOCK_MONOTONIC)
        grants = started.grants()
    times = [at for at, _ in grants]
    alone = [at for at, origin in grants if origin == "local"]
    assert alone, "work goes on while Redis is away"
    # a burst of each of them at most, besides the rate
    within_bounds(times, 20, 10 + 3 * 10 / 3 + 3)
    away = [at for at in times if gone + 0.6 < at < back]
    assert len(away) >= 0.6 * 20 * (back - gone - 0.6), "with all of the quota, divided"
    assert max(alone) < back + 5.0, "and with Redis again soon after it is back"
    assert [origin for _, origin in grants][-1] == "shared"


def test_places_of_the_dead_come_back(server: RedisServer) -> None:
    limits = {"concurrent": 3, "place_seconds": 2.0}
    with callers(server.url, limits, 3, 10.0, dies=True) as started:
        assert len(started.grants()) == 3
    client = redis_client(server.url)
    quota = SharedQuota(client, lambda _: QuotaLimits(**limits), 1)
    refused = quota.ask(KEY)
    assert isinstance(refused, Wait)
    assert refused.reason == "concurrent"
    deadline = time.monotonic() + 3
    while not isinstance(answer := quota.ask(KEY), Grant):
        assert time.monotonic() < deadline
        time.sleep(answer.seconds)
    client.close()


def test_calls_under_way_still_count_when_redis_goes_and_when_it_is_back(server: RedisServer) -> None:
    client = redis_client(server.url, timeout=0.5)
    quota = SharedQuota(client, lambda _: QuotaLimits(concurrent=2), 1)
    held = [quota.ask(KEY), quota.ask(KEY)]
    assert all(isinstance(grant, Grant) for grant in held)
    server.kill()
    alone = quota.ask(KEY)
    assert isinstance(alone, Wait), "two are under way, whoever counted them"
    assert quota.is_away
    server.restart(empty=True)
    deadline = time.monotonic() + 10
    while quota.is_away:
        assert time.monotonic() < deadline
        time.sleep(0.1)
        assert quota.free(KEY) == 0.0
    again = quota.ask(KEY)
    assert isinstance(again, Wait), "the new one was told of them"
    for grant in held:
        assert isinstance(grant, Grant)
        quota.succeeded(grant)
    assert quota.free(KEY) == 2.0
    client.close()


def test_what_was_learnt_outlives_redis(server: RedisServer) -> None:
    limits = QuotaLimits(600, headroom=0.0, urgent_share=0.0, burst_seconds=0.1)
    client = redis_client(server.url, timeout=0.5)
    quota = SharedQuota(client, lambda _: limits, 1)
    for _ in range(3):
        while not isinstance(grant := quota.ask(KEY), Grant):
            time.sleep(grant.seconds)
        quota.throttled(grant)
    quota.ask(KEY)
    server.restart(empty=True)
    deadline = time.monotonic() + 10
    while True:
        quota.ask(KEY)
        if client.ping() and (found := client.hget("docfleet:quota:project/eu/OCR_PROCESSOR", "factor")):
            break
        assert time.monotonic() < deadline
    assert float(found) < 0.8
    client.close()


def test_one_question_is_one_round_trip_and_keys_are_ours(server: RedisServer) -> None:
    client = redis_client(server.url)
    quota = SharedQuota(client, lambda _: QuotaLimits(600_000, 600_000, 1000), 1)
    quota.ask(KEY)
    before = client.info("stats")["total_commands_processed"]
    started = time.perf_counter()
    for _ in range(200):
        quota.ask(KEY, pages=3)
    each = (time.perf_counter() - started) / 200
    calls = client.info("commandstats")["cmdstat_evalsha"]["calls"]
    assert calls >= 201
    assert client.info("stats")["total_commands_processed"] >= before
    print(f"one question: {each * 1e6:.0f} µs")
    assert all(name.startswith(b"docfleet:") for name in client.keys("*"))
    client.close()
