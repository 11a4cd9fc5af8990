"""The API when something fails or somebody misbehaves: refused early, told honestly, and nobody else disturbed."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from docfleet.api import connection as arriving
from docfleet.api.limits import SharedLimits
from docfleet.api.parts import ApiOptions
from docfleet.errors import LedgerUnavailable, StoreError
from docfleet.ledger.service_values import Submission, Submitted
from docfleet.stack.servers import start_redis
from docfleet.store import FolderStore, MemoryStore
from docfleet.store.base import Data
from serving import PDF, Served, serving, stored_contents


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with serving(tmp_path, max_concurrent_uploads=4, stall_seconds=5.0) as running:
        yield running


def submit(client: httpx.Client, data: bytes = PDF, **headers: str) -> httpx.Response:
    return client.post("/v1/documents", content=data, headers=headers)


def assert_problem(answer: httpx.Response, status: int, code: str) -> None:
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    if status in (429, 503):
        assert int(answer.headers["retry-after"]) >= 1


def test_without_its_database(tmp_path: Path, served: Served) -> None:
    with served.client() as client:
        assert submit(client).status_code == 202
        assert client.get("/readyz").json()["ledger"] == "up"
        database = tmp_path / "ledger.db"
        served.parts.ledger.close()
        for part in tmp_path.glob("ledger.db*"):
            part.rename(part.with_name(f"away-{part.name}"))
        database.mkdir()
        time.sleep(3.1)  # what is known of keys is believed for three seconds
        answer = submit(client, PDF + b"1")
        assert answer.status_code == 503 or answer.json()["code"] == "ledger", answer.text
        assert "ledger.db" not in answer.text
        assert client.get("/readyz").status_code == 503
        assert client.get("/healthz").status_code == 200
        database.rmdir()
        for part in tmp_path.glob("away-*"):
            part.rename(part.with_name(part.name.removeprefix("away-")))
        assert submit(client, PDF + b"1").status_code == 202


def test_a_commit_whose_answer_was_lost_keeps_its_bytes(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    take = served.parts.desk.submit

    def lost(submission: Submission) -> Submitted:
        take(submission)
        raise LedgerUnavailable("the connection broke while the answer was awaited")

    with served.client() as client:
        monkeypatch.setattr(served.parts.desk, "submit", lost)
        assert_problem(submit(client, PDF, **{"idempotency-key": "k"}), 503, "ledger_unavailable")
        monkeypatch.undo()
        again = submit(client, PDF, **{"idempotency-key": "k"})
        assert again.headers["idempotent-replayed"] == "true"
        [document] = client.get("/v1/documents").json()["items"]
        assert document["id"] == again.json()["id"]
    view = served.parts.desk.document("acme", document["id"])
    assert stored_contents(served.parts) == {view.content_id}


class _FailingStore(MemoryStore):
    failing = False
    puts = 0

    def put(self, key: str, data: Data) -> None:
        self.puts += 1
        if self.failing:
            raise StoreError("/secret/place cannot be written")
        super().put(key, data)

    def check(self) -> None:
        if self.failing:
            raise StoreError("/secret/place cannot be written")


def test_without_its_store(tmp_path: Path) -> None:
    store = _FailingStore()
    with serving(tmp_path, store=store) as served, served.client() as client:
        store.failing = True
        for number in range(6):
            answer = submit(client, PDF + bytes([number]))
            assert_problem(answer, 503, "service_unavailable")
            assert "secret" not in answer.text
        assert store.puts == 3, "after three failures the store is left alone for a while"
        assert client.get("/v1/documents").json()["items"] == []
        assert client.get("/readyz").json()["store"] == "down"
        store.failing = False
        time.sleep(5.1)
        assert submit(client).status_code == 202


def test_more_than_can_be_kept(tmp_path: Path) -> None:
    with serving(tmp_path, max_tenant_waiting_documents=2) as served, served.client() as client:
        for number in range(2):
            assert submit(client, PDF + bytes([number])).status_code == 202
        time.sleep(1.1)  # the count is good for a second
        assert_problem(submit(client, PDF + b"x"), 503, "overloaded")
        with served.client(served.key("rival")) as other:
            assert submit(other).status_code == 202


def test_a_disk_that_is_nearly_full(tmp_path: Path) -> None:
    with serving(tmp_path, min_free_bytes=1 << 60) as served, served.client() as client:
        assert_problem(submit(client), 503, "overloaded")
        assert stored_contents(served.parts) == set()


def test_too_many_requests(tmp_path: Path) -> None:
    with serving(tmp_path, requests_per_minute=5) as served, served.client() as client:
        answers = [client.get("/v1/me") for _ in range(7)]
        assert [answer.status_code for answer in answers] == [200] * 5 + [429] * 2
        assert_problem(answers[-1], 429, "rate_limited")
        with served.client() as other_key:
            assert other_key.get("/v1/me").status_code == 200


def test_limits_shared_through_redis_and_without_it(tmp_path: Path) -> None:
    async def take(limits: SharedLimits, times: int) -> list[bool]:
        return [await limits.take("key") > 0 for _ in range(times)]

    async def scenario(url: str, stop: Any) -> None:
        one, two = SharedLimits(url, 6), SharedLimits(url, 6)
        assert await take(one, 4) == [False] * 4
        assert await take(two, 4) == [False, False, True, True]
        stop()
        began = time.monotonic()
        assert await take(one, 6) == [False] * 6, "without Redis each process counts for itself"
        assert await take(one, 1) == [True]
        assert time.monotonic() - began < 2
        await one.close()
        await two.close()

    with start_redis(tmp_path / "redis") as redis:
        asyncio.run(scenario(redis.url, redis.kill))


def test_slow_uploads_hold_up_nobody_else(served: Served) -> None:
    """One tenant's stalled uploads fill its share of the places; another tenant's go through meanwhile."""
    place = urlsplit(served.url)
    head = f"POST /v1/documents HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {served.key()}\r\n"
    slow = [socket.create_connection((place.hostname, place.port)) for _ in range(3)]
    for connection in slow:
        connection.sendall(f"{head}Content-Length: 3000000\r\n\r\n".encode() + PDF)
    time.sleep(0.3)
    with served.client() as same, served.client(served.key("rival")) as other:
        assert_problem(submit(same), 503, "overloaded")
        began = time.monotonic()
        assert submit(other).status_code == 202
        assert time.monotonic() - began < 2
        for connection in slow:
            connection.close()
        time.sleep(0.3)
        assert submit(same).status_code == 202


def test_many_uploads_at_once_are_each_whole(served: Served) -> None:
    data = [PDF + os.urandom(800_000) for _ in range(3)]
    states: list[int] = []

    def one(mine: bytes) -> None:
        with served.client() as client:
            states.append(submit(client, mine).status_code)

    threads = [threading.Thread(target=one, args=(mine,)) for mine in data]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert states == [202] * 3
    assert len(stored_contents(served.parts)) == 3


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/nothing", 404),
        ("GET", "/v1/documents/", 404),
        ("PUT", "/v1/documents", 405),
        ("GET", "/v1/documents/..%2f..%2fetc", 404),
        ("GET", f"/v1/documents/{'a' * 40_000}", 431),
        ("GET", "/v1/documents/%00", 404),
        ("GET", "/v1/documents?name=%00", 400),
        ("GET", "/v1/documents?created_after=99999-01-01T00:00:00Z", 400),
    ],
)
def test_odd_requests_are_problems(served: Served, method: str, path: str, status: int) -> None:
    with served.client() as client:
        answer = client.request(method, path)
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["status"] == status
        assert answer.headers["x-request-id"]


DEEP = b'{"a":' * 10_000 + b"1" + b"}" * 10_000


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b"null",
        b'{"source_url": 1}',
        b'{"name": "\\ud800"}',
        b"\xff",
        b"{" * 2_000_000,
        b"[" * 100_000,
        DEEP,
    ],
)
def test_odd_bodies_are_problems(served: Served, body: bytes) -> None:
    with served.client() as client:
        for path in ("/v1/documents", "/v1/batches", "/v1/keys"):
            answer = client.post(path, content=body, headers={"content-type": "application/json"})
            assert 400 <= answer.status_code < 500, (path, answer.text)
            assert answer.headers["content-type"] == "application/problem+json"


def test_sentences_are_about_the_request_and_not_about_pydantic(served: Served) -> None:
    with served.client() as client:
        for fields, said in (
            ({"labels": DEEP.decode()}, "The labels are no JSON object."),
            ({"name": "a\0"}, "name: holds a character that cannot be stored."),
            ({"name": "x" * 501}, "name: String should have at most 500 characters."),
        ):
            answer = client.post("/v1/documents", files={"file": ("a.pdf", PDF)}, data=fields)
            assert_problem(answer, 400, "bad_request")
            assert answer.json()["detail"] == said
        answer = client.post("/v1/batches", content=b"{", headers={"content-type": "application/json"})
        assert "JSON" in answer.json()["detail"]


def test_what_is_no_http_disturbs_nobody(served: Served) -> None:
    place = urlsplit(served.url)
    for sent in (b"\x16\x03\x01\x00\xff", b"GET / HTTP/9.9\r\n\r\n", b"GET /" + b"a" * 200_000):
        with socket.create_connection((place.hostname, place.port)) as connection:
            connection.sendall(sent)
    with served.client() as client:
        assert client.get("/healthz").status_code == 200


def test_a_head_that_does_not_end_holds_no_connection(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arriving, "HEAD_SECONDS", 0.6)
    place = urlsplit(served.url)
    head = b"GET /healthz HTTP/1.1\r\nHost: x\r\n"
    with (
        socket.create_connection((place.hostname, place.port)) as silent,
        socket.create_connection((place.hostname, place.port)) as dripping,
        socket.create_connection((place.hostname, place.port)) as second,
    ):
        second.sendall(head + b"\r\n")
        answer = b""
        while b"alive" not in answer:
            answer += second.recv(65_536)
        second.sendall(head)
        for _ in range(3):
            dripping.sendall(head if _ == 0 else b"x: y\r\n")
            time.sleep(0.25)
        for each in (silent, dripping, second):
            each.settimeout(5)
            assert each.recv(65_536) == b""


def test_a_slow_answer_outlives_the_time_of_a_head(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arriving, "HEAD_SECONDS", 0.3)
    with served.client() as client:
        id = submit(client).json()["id"]
        for _ in range(2):  # on one connection
            assert client.get(f"/v1/documents/{id}?wait=1").json()["state"] == "received"


def test_a_place_for_a_stream_that_is_taken_in_between(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    admission = served.app.state.admission
    monkeypatch.setattr(admission, "check_stream", lambda tenant: None)
    monkeypatch.setattr(served.app.state.admission, "_options", ApiOptions(max_streams=1))
    with served.client() as client, admission.streaming("acme"):
        id = submit(client).json()["id"]
        answer = client.get(f"/v1/documents/{id}/events")
        assert (answer.status_code, answer.text) == (200, "retry: 5000\n\n")


def test_from_an_object_store(tmp_path: Path) -> None:
    inbox = FolderStore(tmp_path / "inbox")
    inbox.put("2026/a.pdf", PDF)
    place = f"file://{tmp_path}/inbox"
    with serving(tmp_path, allowed_sources=(place,)) as served, served.client() as client:
        answer = client.post("/v1/documents", json={"source_url": f"{place}/2026/a.pdf", "labels": {"a": "b"}})
        assert answer.status_code == 202, answer.text
        assert (answer.json()["name"], answer.json()["labels"]) == ("a.pdf", {"a": "b"})
        assert_problem(client.post("/v1/documents", json={"source_url": f"{place}/b.pdf"}), 404, "not_found")
        outside = client.post("/v1/documents", json={"source_url": f"file://{tmp_path}/ledger.db"})
        assert_problem(outside, 403, "source_not_allowed")


def test_a_second_app_of_the_same_process_takes_large_uploads_too(tmp_path: Path) -> None:
    for number in range(2):
        folder = tmp_path / str(number)
        folder.mkdir()
        with serving(folder) as served, served.client() as client:
            assert submit(client, PDF + bytes(3_000_000)).status_code == 202
            assert client.post("/v1/batches", content=b"[" * 3_000_000).json()["code"] == "payload_too_large"


@pytest.mark.parametrize("flood", [b"X-Header: " + b"a" * 1000 + b"\r\n", b"a" * 1000])
def test_a_head_without_end_is_cut_off(served: Served, flood: bytes) -> None:
    place = urlsplit(served.url)
    sent = 0
    with socket.create_connection((place.hostname, place.port), timeout=5) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nY: ")
        try:
            while sent < 20_000_000:
                connection.sendall(flood * 10)
                sent += 10 * len(flood)
        except OSError:
            pass
    assert sent < 10_000_000
    with served.client() as client:
        # a body that arrives with its head is none of it, and connections are used again
        for number in range(3):
            assert submit(client, PDF + bytes([number]) * 900_000).status_code == 202


def test_a_method_that_is_not_there_is_told_those_that_are(served: Served) -> None:
    with served.client() as client:
        place = f"/v1/documents/{submit(client).json()['id']}"
        answer = client.put(place)
        assert_problem(answer, 405, "bad_request")
        assert answer.headers["allow"] == "DELETE, GET, HEAD, PATCH"
        assert client.put("/v1/documents").headers["allow"] == "GET, HEAD, POST"


def test_a_problem_leads_to_what_it_means(served: Served) -> None:
    with served.client("") as client:
        assert client.get("/").headers["location"] == "docs"
        types = set(re.findall(r'"type":\s*"([^"]+#[a-z_]+)"', client.get("/openapi.json").text))
        assert len(types) > 15
        for page, _, code in (kind.partition("#") for kind in types):
            assert f'id="{code}"' in client.get(page).text, code


@pytest.mark.parametrize(
    ("sent", "says"),
    [
        ({"content": PDF, "params": {"priorty": "high"}}, "priorty: There is no such field."),
        ({"json": ["s3://a/b"]}, "body: Input should be a JSON object."),
        ({"content": PDF, "headers": {"Content-Encoding": "gzip"}}, "Content-Encoding gzip"),
    ],
)
def test_refusals_speak_of_the_request(served: Served, sent: dict[str, Any], says: str) -> None:
    with served.client() as client:
        answer = client.post("/v1/documents", **sent)
        assert_problem(answer, 400, "bad_request")
        assert says in answer.json()["detail"]
        unnamed = client.post("/v1/keys", json={"name": "", "role": "viewer"})
        assert unnamed.json()["detail"] == "body.name: String should have at least 1 character."
