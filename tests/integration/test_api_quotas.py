"""Quotas over the API, the SDK and the command line, as cloud workers use them: alone, and together through Redis."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from docfleet.api.app import make_app
from docfleet.client import Client
from docfleet.client.quotas import EndpointQuota, Quotas
from docfleet.domain.access import Role
from docfleet.domain.quota import BreakerState
from docfleet.engines.documentai.calling import Caller
from docfleet.engines.documentai.calls import Call
from docfleet.engines.documentai.facts import OCR
from docfleet.engines.documentai.options import DocumentAIOptions
from docfleet.errors import Forbidden
from docfleet.fleet.cloud_quotas import open_cloud_quotas
from docfleet.ledger.batch_rows import CLOUD_BATCH, CLOUD_FILE
from docfleet.queues.options import QueueOptions, connect
from docfleet.quota.board import FolderBoard, RedisBoard, open_board
from docfleet.quota.open import open_breakers, open_quota
from docfleet.stack.servers import RedisServer
from docfleet.worker.cloud.holding import Holding
from docfleet.worker.cloud.noting import Noting
from documentai_double import Refusal, caller_for, options_for, pages_document, rate_limited, running
from quota_driver import redis_client, redis_server
from serving import Served, listening, serving

SECRET = "df-test-key-that-nobody-may-see"


@contextmanager
def offering(folder: Path, options: DocumentAIOptions, client: Any | None = None) -> Iterator[Served]:
    """An API that looks at the quotas of these processors."""
    with serving(folder) as running_one:
        looking = open_cloud_quotas(options, client, folder, running_one.parts.ledger)
        parts = replace(running_one.parts, quotas=looking)
        app = make_app(parts)
        with listening(app) as url:
            yield Served(url, parts, app)


def told(served: Served) -> Quotas:
    with Client(served.url, served.key(role=Role.OPERATOR), retry_seconds=2) as client:
        return client.fleet.quotas()


def at(quotas: Quotas, location: str) -> EndpointQuota:
    return next(one for one in quotas.items if one.location == location)


def calls(caller: Caller) -> None:
    """Until one location refuses for want of quota, and the breaker of the other is open."""
    eu, us = (next(one for one in caller.endpoints(OCR) if one.location == place) for place in ("eu", "us"))
    until = time.monotonic() + 20
    while time.monotonic() < until:
        caller.call(Call(b"%PDF-1.4", "application/pdf", 2, patience=5.0))
        used = {one.endpoint: one.minute for one in caller.usage.told()}
        if eu in used and used[eu].throttled and caller.breakers.state(us.breaker) is BreakerState.OPEN:
            return
        time.sleep(0.1)
    raise AssertionError(used)


def throttling(location_gone: str = "us") -> Any:
    """A service that answers, then refuses for want of quota; one location is out of order."""
    answered = 0

    def answer(request: Any, metadata: dict[str, str]) -> Any:
        nonlocal answered
        if f"locations/{location_gone}" in request.name:
            import grpc

            raise Refusal(grpc.StatusCode.UNAVAILABLE, "gone")
        answered += 1
        if answered > 2:
            raise rate_limited(30.0)
        return pages_document(["one", "two"])

    return answer


def test_without_a_cloud_engine_it_says_so(tmp_path: Path) -> None:
    with serving(tmp_path) as served:
        quotas = told(served)
        assert (quotas.engine, quotas.items, quotas.workers) == (None, (), ())
        assert quotas.why is not None
        assert "No cloud engine" in quotas.why
        with Client(served.url, served.key(role=Role.SUBMITTER), retry_seconds=1) as client, pytest.raises(Forbidden):
            client.fleet.quotas()
    with offering(tmp_path / "offered", DocumentAIOptions()) as served:
        assert told(served).engine is None


def test_with_nobody_who_tells_limits_are_known_and_use_is_not(tmp_path: Path) -> None:
    with offering(tmp_path, options_for("nowhere:1", "eu", api_key=SECRET, anonymous=False)) as served:
        quotas = told(served)
        assert SECRET not in served_text(served)
    one = at(quotas, "eu")
    assert (quotas.engine, quotas.counted) == ("documentai", "alone")
    assert quotas.why is not None
    assert "No cloud worker has told" in quotas.why
    [use] = one.quotas
    assert (use.quota, use.limit, use.used, use.share, use.allowed) == ("requests", 120, None, None, None)
    assert (one.under_way, one.breaker, one.minute) == (None, None, None)


def served_text(served: Served) -> str:
    with served.client() as http:
        return http.get("/v1/quotas").text


def test_a_worker_alone_tells_through_the_data_folder(tmp_path: Path) -> None:
    with running(throttling()) as double:
        options = options_for(double.address, "us", "eu")
        caller = caller_for(options)
        noting = Noting(open_board(None, tmp_path), caller, "local")
        try:
            with offering(tmp_path, options) as served:
                calls(caller)
                noting.pin("host-1", 16, Holding())
                check_throttled(told(served), "alone")
                lines = at_the_command_line(served, tmp_path)
                assert "429s 1 min" in lines
                assert "eu ocr1: nothing is sent there now. The service asked for a pause." in lines
                [worker] = told(served).workers
                assert (worker.name, worker.calls, worker.waiting_pages) == ("host-1", 16, 0)
                noting.take_down("host-1")
                assert told(served).workers == ()
        finally:
            caller.close()


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


def test_together_through_redis_even_of_one_that_is_gone(tmp_path: Path, redis: RedisServer) -> None:
    redis_client(redis.url).flushall()
    with running(throttling()) as double:
        options = options_for(double.address, "us", "eu")
        facts = options.facts()
        caller = caller_for(
            options, quota=open_quota(facts.quota_limits, redis_client(redis.url)),
            breakers=open_breakers(redis_client(redis.url)),
        )  # fmt: skip
        noting = Noting(RedisBoard(redis_client(redis.url)), caller, "local")
        try:
            with offering(tmp_path, options, redis_client(redis.url)) as served:
                calls(caller)
                noting.pin("host-1", 16, Holding())
                check_throttled(told(served), "together")
                noting.take_down("host-1")
                # what all count together is known without anybody who tells
                left = told(served)
                assert at(left, "eu").slowdowns == 1
                assert at(left, "eu").minute is None
        finally:
            caller.close()


def check_throttled(quotas: Quotas, counted: str) -> None:
    eu, us = at(quotas, "eu"), at(quotas, "us")
    assert (quotas.counted, quotas.why) == (counted, None)
    assert eu.minute is not None
    assert us.minute is not None
    assert (eu.minute.answered, eu.minute.throttled, eu.minute.errors) == (2, 1, 0)
    assert (eu.minute.requests, eu.minute.pages) == (3, 6)
    assert eu.hour == eu.minute
    assert us.breaker is not None
    assert (us.breaker.state, us.breaker.reason, us.minute.errors) == ("open", "3 calls in a row failed", 3)
    assert 0 < us.breaker.left_seconds <= 5
    assert us.away == "Its breaker is open: 3 calls in a row failed."
    [use] = eu.quotas
    assert (use.used, use.share) == (3, 0.025)
    assert use.allowed is not None
    assert use.allowed < 70, "slowed down by a 429"
    assert eu.slowdowns == 1
    assert eu.paused_seconds is not None
    assert 20 < eu.paused_seconds <= 30
    assert eu.away == "The service asked for a pause."
    assert (eu.under_way, us.under_way) == (0, 0)


def test_a_redis_that_is_away_is_told_of(tmp_path: Path) -> None:
    away = connect(QueueOptions(broker_url="redis://127.0.0.1:1/0"))
    with offering(tmp_path, options_for("nowhere:1", "eu"), away) as served:
        quotas = told(served)
    assert quotas.why is not None
    assert "does not answer" in quotas.why
    assert at(quotas, "eu").breaker is None
    assert at(quotas, "eu").quotas[0].limit == 120


def test_a_note_of_another_version_is_left_out(tmp_path: Path) -> None:
    board = open_board(None, tmp_path)
    assert isinstance(board, FolderBoard)
    board.pin("newer", msgspec.json.encode({"engine": 7}))
    board.pin("broken", b"\xff\x00")
    with offering(tmp_path, options_for("nowhere:1", "eu")) as served:
        assert told(served).workers == ()


def test_batches_under_way_and_waiting(tmp_path: Path) -> None:
    with offering(tmp_path, options_for("nowhere:1", "eu")) as served:
        now = time.time()
        batch = {
            "group_json": "", "place": "eu", "output": "", "operation": "", "host": "", "grant_json": "", "tries": 0,
            "polls": 0, "due_at": now, "code": "", "message": "",
        }  # fmt: skip
        file = {
            "token": 1, "document_id": "d", "reservation_id": 1, "group_json": "", "place": "eu", "output": "",
            "code": "", "message": "", "made_at": now, "staged_at": now - 40,
        }  # fmt: skip
        with served.parts.ledger.unit_of_work() as session:
            for id_, state in (("1", "running"), ("2", "asking"), ("3", "ended")):
                session.execute(CLOUD_BATCH.insert().values(id=id_, state=state, made_at=now - 90, **batch))
            for slice_id, state, pages in ((1, "staged", 9), (2, "staged", 4), (3, "sent", 50), (4, "over", 7)):
                row = {"slice_id": slice_id, "state": state, "pages": pages, "key": f"k{slice_id}", **file}
                session.execute(CLOUD_FILE.insert().values(row))
        [one] = told(served).batches
    assert (one.location, one.running, one.asking, one.limit) == ("eu", 1, 1, 5)
    assert (one.sent_pages, one.waiting_files, one.waiting_pages) == (50, 2, 13)
    assert 85 < one.oldest_seconds < 120
    assert 35 < one.waiting_seconds < 70


def at_the_command_line(served: Served, folder: Path) -> str:
    (folder / "key").write_text(served.key())
    command = [sys.executable, "-m", "docfleet", "quotas", "--to", served.url, "--key-file", str(folder / "key")]
    for arguments in ([], ["--json"]):
        ran = subprocess.run(
            [*command, *arguments], capture_output=True, text=True, check=False,
            env={**os.environ, "DOCFLEET_LOG": "error"},
        )  # fmt: skip
        assert ran.returncode == 0, ran.stderr
        if arguments:
            assert json.loads(ran.stdout)["counted"] == "alone"
        else:
            lines = ran.stdout
    return lines
