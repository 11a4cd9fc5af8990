"""What is seen of quotas and breakers, and the notes of cloud workers: in one process alone and through Redis."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from docfleet.domain.quota import BreakerState, Grant, QuotaKey, QuotaLimits
from docfleet.quota.board import NOTED, Board, FolderBoard, RedisBoard
from docfleet.quota.breaker import BreakerPolicy
from docfleet.quota.breakers_local import LocalBreakers
from docfleet.quota.local import LocalQuota
from docfleet.quota.looking import LocalLooks, Looks, SharedLooks
from docfleet.quota.open import open_breakers, open_quota
from docfleet.stack.servers import RedisServer
from quota_driver import redis_client, redis_server

KEY = QuotaKey("p", "eu", "OCR")
OTHER = QuotaKey("p", "us", "OCR")
LIMITS = QuotaLimits(requests_per_minute=6000.0, place_seconds=30.0)
POLICY = BreakerPolicy(silent_seconds=0.0, open_seconds=5.0)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture(params=["local", "shared"])
def parts(request: pytest.FixtureRequest) -> tuple[Any, Any, Looks]:
    """(quota, breakers, how they are looked at)"""
    if request.param == "local":
        quota, breakers = open_quota(lambda key: LIMITS), open_breakers(policy=POLICY)
        assert isinstance(quota, LocalQuota)
        assert isinstance(breakers, LocalBreakers)
        return quota, breakers, LocalLooks(quota, breakers)
    running: RedisServer = request.getfixturevalue("server")
    clients = [redis_client(running.url) for _ in range(3)]
    clients[0].flushall()
    return (
        open_quota(lambda key: LIMITS, clients[0]),
        open_breakers(clients[1], POLICY),
        SharedLooks(clients[2], POLICY),
    )


def granted(quota: Any) -> Grant:
    until = time.monotonic() + 5.0
    while time.monotonic() < until:
        answer = quota.ask(KEY)
        if isinstance(answer, Grant):
            return answer
        time.sleep(answer.seconds)
    raise AssertionError("no leave in five seconds")


def test_a_quota_nobody_used_is_as_new(parts: tuple[Any, Any, Looks]) -> None:
    seen = parts[2].look([KEY, OTHER], ["eu"])
    assert seen.quotas[KEY] == seen.quotas[OTHER]
    assert (seen.quotas[KEY].factor, seen.quotas[KEY].under_way) == (1.0, 0)
    assert seen.breakers["eu"].state is BreakerState.CLOSED


def test_calls_under_way_and_what_refusals_have_taught(parts: tuple[Any, Any, Looks]) -> None:
    quota, _, looks = parts
    first, second = granted(quota), granted(quota)
    assert looks.look([KEY], []).quotas[KEY].under_way == 2
    quota.succeeded(first)
    quota.throttled(second, retry_after=20.0)
    seen = looks.look([KEY, OTHER], []).quotas
    assert (seen[KEY].under_way, seen[KEY].slowdowns) == (0, 1)
    assert 0.4 < seen[KEY].factor <= 0.5
    assert 18.0 < seen[KEY].paused_seconds <= 20.0
    assert seen[OTHER].factor == 1.0


def test_an_open_breaker_and_why(parts: tuple[Any, Any, Looks]) -> None:
    _, breakers, looks = parts
    breakers.record("eu", breakers.may_call("eu"), True, 1.0)
    for _ in range(2):
        breakers.record("eu", breakers.may_call("eu"), False, 1.0)
    seen = looks.look([], ["eu"]).breakers["eu"]
    assert (seen.state, seen.calls, seen.failures) == (BreakerState.CLOSED, 3, 2)
    breakers.record("eu", breakers.may_call("eu"), False, 1.0)
    seen = looks.look([], ["eu", "us"]).breakers["eu"]
    assert (seen.state, seen.reason) == (BreakerState.OPEN, "3 calls in a row failed")
    assert 3.0 < seen.left_seconds <= 5.0
    assert seen.open_seconds is not None
    assert seen.open_seconds < 2.0


def test_looking_changes_nothing(server: RedisServer) -> None:
    client = redis_client(server.url)
    client.flushall()
    SharedLooks(client).look([KEY, OTHER], ["eu", "us"])
    RedisBoard(client).notes()
    assert client.dbsize() == 0
    quota = open_quota(lambda key: LIMITS, redis_client(server.url))
    granted(quota)
    before = {name: client.dump(name) for name in sorted(client.keys())}
    SharedLooks(client).look([KEY], ["eu"])
    assert {name: client.dump(name) for name in sorted(client.keys())} == before


def test_what_another_version_wrote_stops_nobody(server: RedisServer) -> None:
    client = redis_client(server.url)
    client.flushall()
    client.set("docfleet:breaker:eu", b"\x00 nothing of ours")
    assert SharedLooks(client).look([], ["eu"]).breakers["eu"].state is BreakerState.CLOSED


# --- notes

Late = Callable[[str, float], None]


@pytest.fixture(params=["folder", "redis"])
def board(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Board, Late]:
    """With the means to make a note older than it is."""
    if request.param == "folder":
        folder = tmp_path / "notes"

        def aged(author: str, seconds: float) -> None:
            for path in folder.glob(f"*{author[-4:]}*.json"):
                os.utime(path, (time.time() - seconds,) * 2)

        return FolderBoard(folder), aged
    running: RedisServer = request.getfixturevalue("server")
    client = redis_client(running.url)
    client.flushall()
    return RedisBoard(client), lambda author, seconds: client.zincrby(NOTED, -seconds, author)


def test_notes_are_replaced_and_taken_down(board: tuple[Board, Late]) -> None:
    pinned, _ = board
    assert pinned.notes() == []
    pinned.pin("host-1", b"one")
    pinned.pin("host-2", b"two")
    pinned.pin("host-1", b"three")
    assert [(note.author, note.text) for note in pinned.notes()] == [("host-1", b"three"), ("host-2", b"two")]
    assert all(note.age_seconds < 5 for note in pinned.notes())
    pinned.take_down("host-1")
    pinned.take_down("nobody")
    assert [note.author for note in pinned.notes()] == ["host-2"]


def test_notes_that_nobody_renews_are_not_shown_and_go_at_last(board: tuple[Board, Late]) -> None:
    pinned, aged = board
    pinned.pin("gone", b"one")
    aged("gone", 31.0)
    assert pinned.notes() == []
    pinned.pin("gone", b"back")
    assert [note.text for note in pinned.notes()] == [b"back"]
    aged("gone", 4000.0)
    pinned.pin("here", b"two")
    assert [note.author for note in pinned.notes()] == ["here"]


@pytest.mark.parametrize("name", ["../../etc/passwd", ".", "..", "a/b", "ümlaut host", "%2e"])
def test_a_name_is_a_name_and_no_path(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "deep" / "notes"
    FolderBoard(folder).pin(name, b"text")
    assert [path.parent for path in tmp_path.rglob("*.json")] == [folder]
    assert [(note.author, note.text) for note in FolderBoard(folder).notes()] == [(name, b"text")]


def test_notes_are_for_their_user_alone(tmp_path: Path) -> None:
    FolderBoard(tmp_path / "notes").pin("host", b"text")
    [path] = (tmp_path / "notes").glob("*.json")
    assert path.stat().st_mode & 0o077 == 0


@pytest.mark.slow
def test_a_board_that_is_not_there_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    FolderBoard(tmp_path / "file").pin("host", b"text")
    FolderBoard(tmp_path / "file").take_down("host")
    assert FolderBoard(tmp_path / "file").notes() == []
    away = RedisBoard(redis.Redis(port=1, socket_connect_timeout=0.2))
    away.pin("host", b"text")
    away.take_down("host")
    with pytest.raises(redis.RedisError):
        away.notes()
