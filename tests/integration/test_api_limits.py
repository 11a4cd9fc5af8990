"""Request limits that several processes share through a real Redis."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from docfleet.api.limits import SharedLimits
from docfleet.stack.servers import RedisServer, start_redis

PER_MINUTE = 600
REPLICAS = 4


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    folder = Path(tempfile.mkdtemp(prefix="docfleet-limits-"))
    try:
        with start_redis(folder) as server:
            yield server
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class _Counted(SharedLimits):
    asked = 0

    async def _ask(self, *given: object) -> float:
        _Counted.asked += 1
        return await super()._ask(*given)  # type: ignore[arg-type]


async def _storm(url: str, key: str, requests: int, at_a_time: int) -> tuple[int, float]:
    """`requests` spread over the replicas, so many at a time; how many were allowed, and the last wait."""
    limits = [_Counted(url, PER_MINUTE) for _ in range(REPLICAS)]
    allowed, wait = 0, 0.0
    for start in range(0, requests, at_a_time):
        turns = range(start, min(requests, start + at_a_time))
        for said in await asyncio.gather(*(limits[turn % REPLICAS].take(key) for turn in turns)):
            allowed, wait = allowed + (said == 0), said
    for one in limits:
        await one.close()
    return allowed, wait


@pytest.mark.parametrize("at_a_time", [1, 8, 50])
def test_replicas_share_a_limit_and_seldom_ask(redis: RedisServer, at_a_time: int) -> None:
    _Counted.asked = 0
    allowed, wait = asyncio.run(_storm(redis.url, f"key-{at_a_time}", PER_MINUTE * 2, at_a_time))
    # a minute may begin in the middle, and what is left of the one before is reckoned and not counted
    assert PER_MINUTE * 0.97 <= allowed <= PER_MINUTE * 1.01
    assert 0 < wait <= 60
    assert _Counted.asked < PER_MINUTE * 1.8, "half of the requests are over the limit, and each of those asks"


def test_requests_far_from_the_limit_are_told_together(redis: RedisServer) -> None:
    _Counted.asked = 0
    allowed, _ = asyncio.run(_storm(redis.url, "calm", PER_MINUTE // 4, 1))
    assert allowed == PER_MINUTE // 4
    assert _Counted.asked < allowed / 3
