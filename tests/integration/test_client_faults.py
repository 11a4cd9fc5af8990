"""The client against servers that refuse, stall, lie and break off."""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from docfleet.client import Client, Document, DocumentFacts, ResultFile, retry_after_of
from docfleet.errors import (
    DocfleetError,
    NotFound,
    Overloaded,
    RateLimited,
    ServiceError,
    ServiceUnreachable,
)
from faulty_server import Asked, Exchange, Script, faulty_server

ID = "0197c6a2f1e37b4c9d5e6f70"
DATA = bytes(range(256)) * 4000
SHA = hashlib.sha256(DATA).hexdigest()
RESULT = ResultFile("pdf", "searchable.pdf", "application/pdf", len(DATA), SHA)


def problem(code: str, **members: Any) -> bytes:
    return json.dumps({"code": code, "detail": f"It is {code}.", **members}).encode()


def document_json(state: str = "received") -> bytes:
    return json.dumps(
        {"id": ID, "state": state, "batch_id": "b", "a_new_member": {"of": ["a", "newer service"]}}
    ).encode()


def client_of(url: str, **options: float) -> Client:
    return Client(url, "df_key", **{"retry_seconds": 10.0, "timeout": 2.0, **options})


def in_turn(*steps: Callable[[Exchange, Asked], None]) -> Script:
    """The steps one after another; the last one for ever."""
    left = list(steps)
    return lambda exchange, asked: (left.pop(0) if len(left) > 1 else left[0])(exchange, asked)


def answers(status: int, body: bytes = b"", **headers: str) -> Callable[[Exchange, Asked], None]:
    return lambda exchange, asked: exchange.answer(status, body, {k.replace("_", "-"): v for k, v in headers.items()})


def hangs_up(exchange: Exchange, asked: Asked) -> None:
    exchange.hang_up()


def test_a_submission_is_sent_again_whole_and_under_the_same_key() -> None:
    script = in_turn(
        hangs_up,
        answers(503, problem("overloaded"), Retry_After="1"),
        answers(502, b"<html>a proxy</html>"),
        answers(202, document_json()),
    )
    with faulty_server(script) as server, client_of(server.url) as client:
        counted: Counter[str] = Counter()
        document = client.submit(DATA, on_sent=lambda size: counted.update(bytes=size))
    assert document.id == ID
    assert [asked.body == DATA for asked in server.asked] == [True] * 4
    assert len({asked.headers["Idempotency-Key"] for asked in server.asked}) == 1
    assert server.asked[2].at - server.asked[1].at >= 1.0, "Retry-After was not waited out"


def test_patience_ends() -> None:
    with faulty_server(answers(503, problem("overloaded"), Retry_After="60")) as server:
        with client_of(server.url) as client, pytest.raises(Overloaded) as told:
            client.submit(b"x")
        assert len(server.asked) == 1, "waiting for a minute is longer than the ten seconds given"
        assert retry_after_of(told.value) == 60
        assert told.value.message == "It is overloaded."
        with client_of(server.url, retry_seconds=0.0) as client, pytest.raises(Overloaded):
            client.me()


@pytest.mark.parametrize("status", [400, 403, 404, 409, 413, 422, 500])
def test_what_will_not_change_is_not_asked_again(status: int) -> None:
    with faulty_server(answers(status, problem("not_found"))) as server, client_of(server.url) as client:
        with pytest.raises(DocfleetError):
            client.submit(b"x")
        assert len(server.asked) == 1


def test_what_may_have_been_done_is_not_repeated_blindly() -> None:
    retried = Document(client_of("http://127.0.0.1:1").connection, DocumentFacts(ID, "failed"))
    with faulty_server(hangs_up) as server, client_of(server.url) as client:
        document = Document(client.connection, DocumentFacts(ID, "failed"))
        with pytest.raises(ServiceUnreachable):
            document.retry()
        assert len(server.asked) == 1
    retried._connection.close()
    script = in_turn(answers(429, problem("rate_limited"), Retry_After="0"), answers(200, document_json("received")))
    with faulty_server(script) as server, client_of(server.url) as client:
        assert Document(client.connection, DocumentFacts(ID, "failed")).retry().state == "received"


def test_errors_of_every_shape() -> None:
    cases: list[tuple[int, bytes, type[DocfleetError], str]] = [
        (404, problem("not_found"), NotFound, "not_found"),
        (429, problem("rate_limited"), RateLimited, "rate_limited"),
        (418, problem("teapot", remedy="Tea."), ServiceError, "teapot"),
        (500, b"<html>", ServiceError, "service_error"),
        (500, b"\xff\xfe", ServiceError, "service_error"),
        (500, b"[1]", ServiceError, "service_error"),
        (307, b"", ServiceError, "service_error"),
    ]
    for status, body, kind, code in cases:
        with faulty_server(answers(status, body, Location="http://elsewhere/")) as server:
            with client_of(server.url, retry_seconds=0.0) as client, pytest.raises(DocfleetError) as told:
                client.me()
            assert type(told.value) is kind
            assert (told.value.code, told.value.status) == (code, status)
            assert told.value.message
            assert len(server.asked) == 1
    with (
        faulty_server(answers(200, b'{"id": 7}')) as server,
        client_of(server.url) as client,
        pytest.raises(ServiceError),
    ):
        client.document(ID)


def test_nobody_there_is_a_sentence() -> None:
    with client_of("http://127.0.0.1:1", retry_seconds=0.0) as client, pytest.raises(ServiceUnreachable) as told:
        client.me()
    assert "127.0.0.1:1" in told.value.message
    assert told.value.exit_code == 2
    with client_of("http://no-such-host.invalid", retry_seconds=0.0) as client, pytest.raises(ServiceUnreachable):
        client.me()


def test_a_server_that_says_nothing_is_given_up() -> None:
    with faulty_server(lambda exchange, asked: time.sleep(3)) as server:
        asked = time.monotonic()
        with client_of(server.url, timeout=0.3, retry_seconds=0.0) as client, pytest.raises(ServiceUnreachable):
            client.me()
        assert time.monotonic() - asked < 2


def event(number: int, to: str, slice_id: int | None = None) -> str:
    told = {
        "id": f"1-{number}",
        "type": "x",
        "document_id": ID,
        "slice_id": slice_id,
        "from": "",
        "to": to,
        "cause": "",
    }
    return f"id: 1-{number}\nevent: document.{to}\ndata: {json.dumps(told)}\n\n"


def stream_script(*streams: str, over_after: int) -> Script:
    """Event streams one after another, each cut off at its end; the document ends after so many."""
    left = list(streams)
    told = 0

    def script(exchange: Exchange, asked: Asked) -> None:
        nonlocal told
        if not asked.path.split("?")[0].endswith("/events"):
            exchange.answer(200, document_json("succeeded" if told >= over_after else "running"))
        elif "json" in asked.headers.get("Accept", ""):
            exchange.answer(200, b'{"items": [], "next_cursor": null}')
        else:
            exchange.begin_stream()
            told += 1
            if left:
                exchange.say(left.pop(0))

    return script


def test_a_broken_stream_is_taken_up_where_it_broke() -> None:
    streams = (
        event(1, "received") + event(2, "running") + 'id: 1-3\nevent: document.assembling\ndata: {"id": "1-3", "doc',
        event(3, "assembling"),
        event(4, "succeeded") + 'event: end\ndata: {"state": "succeeded"}\n\n',
    )
    with faulty_server(stream_script(*streams, over_after=3)) as server, client_of(server.url) as client:
        document = Document(client.connection, DocumentFacts(ID, "received"))
        told = [one.to_state for one in document.events()]
    assert told == ["received", "running", "assembling", "succeeded"]
    ids = [asked.headers.get("Last-Event-ID") for asked in server.asked if "event-stream" in asked.headers["Accept"]]
    assert ids == [None, "1-2", "1-3"]


def test_where_streams_do_not_come_through_the_listing_is_asked() -> None:
    events = [json.loads(event(n, to).split("data: ")[1]) for n, to in enumerate(("received", "running", "succeeded"))]
    told: list[str] = []

    def script(exchange: Exchange, asked: Asked) -> None:
        if not asked.path.split("?")[0].endswith("/events"):
            exchange.answer(200, document_json("succeeded" if len(told) > 1 else "running"))
        elif "json" in asked.headers.get("Accept", ""):
            after = asked.path.partition("after=")[2]
            known = [one["id"] for one in events].index(after) + 1 if after else 0
            told.append(after)
            exchange.answer(200, json.dumps({"items": events[known : known + 1], "next_cursor": "x"}).encode())
        else:
            exchange.answer(200, b"{}", {"Content-Type": "application/json"})

    with faulty_server(script) as server, client_of(server.url) as client:
        document = Document(client.connection, DocumentFacts(ID, "received"))
        assert [one.to_state for one in document.events()] == ["received", "running", "succeeded"]


def cutting(data: bytes, size: int, etag: str = SHA) -> Script:
    """Sends so many bytes of what is asked for and hangs up; honours ranges."""

    def script(exchange: Exchange, asked: Asked) -> None:
        start = int(asked.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-"))
        assert not start or asked.headers["If-Range"] == f'"{SHA}"'
        whole = etag != SHA or not start
        rest = data if whole else data[start:]
        exchange.send_response(200 if whole else 206)
        exchange.send_header("Content-Length", str(len(rest)))
        exchange.end_headers()
        exchange.wfile.write(rest[:size])
        exchange.hang_up()

    return script


def download(url: str, target: Path, **options: float) -> Path:
    with client_of(url, **options) as client:
        facts = DocumentFacts(ID, "succeeded", results=[RESULT])
        return Document(client.connection, facts).download("pdf", target)


def test_a_download_survives_any_number_of_cuts(tmp_path: Path) -> None:
    with faulty_server(cutting(DATA, 100_000)) as server:
        assert download(server.url, tmp_path / "a.pdf").read_bytes() == DATA
        assert len(server.asked) == 11
    assert [path.name for path in tmp_path.iterdir()] == ["a.pdf"]


def test_a_download_that_gets_nowhere_is_given_up_and_goes_on_later(tmp_path: Path) -> None:
    with faulty_server(in_turn(cutting(DATA, 300_000), hangs_up)) as server, pytest.raises(ServiceUnreachable):
        download(server.url, tmp_path / "a.pdf", retry_seconds=0.0)
    assert not (tmp_path / "a.pdf").exists()
    with faulty_server(cutting(DATA, len(DATA))) as server:
        assert download(server.url, tmp_path / "a.pdf").read_bytes() == DATA
        assert server.asked[0].headers["Range"] == "bytes=300000-"


def test_wrong_bytes_never_appear_under_the_name(tmp_path: Path) -> None:
    with faulty_server(cutting(DATA[:-1] + b"!", len(DATA))) as server, pytest.raises(ServiceError):
        download(server.url, tmp_path / "a.pdf")
    assert not (tmp_path / "a.pdf").exists()


@pytest.mark.parametrize("path", ["../evil", "/etc/passwd", "a/../../b", "a\\..\\b", ""])
def test_a_path_of_the_service_leads_nowhere_else(path: str, tmp_path: Path) -> None:
    file = ResultFile("json", path, size_bytes=1, sha256=SHA)
    with client_of("http://127.0.0.1:1", retry_seconds=0.0) as client:
        document = Document(client.connection, DocumentFacts(ID, "succeeded", results=[file]))
        with pytest.raises(ServiceError):
            document.download_all(tmp_path / "results")
    assert not list(tmp_path.rglob("*"))


def test_the_key_is_in_no_text() -> None:
    with client_of("http://127.0.0.1:1") as client:
        assert "df_key" not in repr(client.connection.address)
