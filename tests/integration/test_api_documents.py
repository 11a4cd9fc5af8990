"""Submitting documents over a real socket, and looking at them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from docfleet.ledger.service_values import EventView
from serving import PDF, Served, serving, stored_contents, work_through


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("api"), max_file_bytes=4_000_000, stall_seconds=1.0) as running:
        yield running


@pytest.fixture
def api(served: Served) -> Iterator[httpx.Client]:
    with served.client() as client:
        yield client


def fresh(text: str) -> bytes:
    return PDF + text.encode()


def submit(api: httpx.Client, data: bytes, **options: object) -> httpx.Response:
    return api.post("/v1/documents", content=data, **options)  # type: ignore[arg-type]


def test_the_bytes_themselves(api: httpx.Client, served: Served) -> None:
    answer = submit(api, fresh("raw"), params={"name": "a.pdf", "priority": "high", "labels": ["k=v", "x=1=2"]})
    assert answer.status_code == 202, answer.text
    shown = answer.json()
    assert answer.headers["location"] == f"/v1/documents/{shown['id']}"
    assert (shown["name"], shown["priority"], shown["labels"]) == ("a.pdf", "high", {"k": "v", "x": "1=2"})
    assert (shown["media_type"], shown["pool"], shown["state"]) == ("application/pdf", "pdf", "received")
    assert api.get(shown["url"]).json() == shown


def test_a_form(api: httpx.Client) -> None:
    answer = api.post(
        "/v1/documents",
        files={"file": ('größe "1".pdf', fresh("form"), "image/png")},
        data={"priority": "bulk", "labels": '{"a": "b"}', "formats": "md, json", "deadline": "2026-03-14T09:26:53Z"},
    )
    assert answer.status_code == 202, answer.text
    shown = answer.json()
    assert shown["name"] == 'größe "1".pdf'
    assert (shown["priority"], shown["options"]["formats"]) == ("bulk", ["json", "md"])
    assert shown["deadline"] == "2026-03-14T09:26:53Z"
    assert shown["media_type"] == "application/pdf"


def test_stored_bytes_are_whole_and_encrypted(api: httpx.Client, served: Served) -> None:
    data = fresh("x" * 3_000_000)
    before = stored_contents(served.parts)
    shown = submit(api, data).json()
    [content] = stored_contents(served.parts) - before
    raw = served.parts.store.get(f"contents/{content}/source")
    assert b"PDF-1.7" not in raw
    from docfleet.store.encryption import EncryptedStore

    wrapped = served.parts.desk.wrapped_key("acme", shown["id"])
    plain = EncryptedStore(served.parts.store, served.parts.master_key.unwrap(wrapped))
    assert plain.get(f"contents/{content}/source") == data
    assert shown["size_bytes"] == len(data)


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (b"", 422, "empty"),
        (b" \n" * 50_000, 422, "empty"),
        (b"\x00" * 200_000, 422, "empty"),
        (b"PK\x05\x06" + bytes(18), 422, "empty"),
        (b"Dear Sir, this is a letter.\n" * 40, 422, "unsupported_type"),
        (b"\x00" * 100_000 + PDF, 422, "unsupported_type"),
        (PDF + bytes(4_000_000), 413, "payload_too_large"),
    ],
)  # fmt: skip
def test_what_is_refused_leaves_nothing(api: httpx.Client, served: Served, data: bytes, status: int, code: str) -> None:
    before = stored_contents(served.parts), api.get("/v1/documents").json()
    answer = submit(api, data)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["remedy"]
    assert (stored_contents(served.parts), api.get("/v1/documents").json()) == before


def test_an_archive_is_refused_with_a_way_out(api: httpx.Client, tmp_path: Path) -> None:
    import zipfile

    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.pdf", PDF)
    answer = submit(api, (tmp_path / "a.zip").read_bytes())
    assert answer.json()["code"] == "unsupported_type"
    assert "Unpack" in answer.json()["remedy"]


@pytest.mark.parametrize(
    "query",
    [
        {"priority": "urgent"}, {"formats": "docx"}, {"labels": "novalue"}, {"labels": "{1"}, {"labels": '{"a": 1}'},
        {"deadline": "tomorrow"}, {"deadline": "12345"}, {"deadline": "2026-03-14T09:26:53"}, {"reuse": "perhaps"},
        {"colour": "red"}, {"name": "x" * 501}, {"mode": "magic"}, {"name": "a\x00b"}, {"languages": "english!"},
    ],
)  # fmt: skip
def test_fields_that_make_no_sense(api: httpx.Client, served: Served, query: dict[str, str]) -> None:
    before = stored_contents(served.parts)
    for answer in (
        submit(api, fresh("f"), params=query),
        api.post("/v1/documents", files={"file": ("a.pdf", PDF)}, data=query),
    ):
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_request"), answer.text
    assert stored_contents(served.parts) == before


def test_a_repeated_request_makes_one_document(api: httpx.Client, served: Served) -> None:
    headers = {"idempotency-key": "once-1"}
    before = stored_contents(served.parts)
    first = submit(api, fresh("once"), headers=headers)
    again = submit(api, fresh("once"), headers=headers)
    assert first.json() == again.json()
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert len(stored_contents(served.parts) - before) == 1
    other = submit(api, fresh("other"), headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_mismatch")
    assert len(stored_contents(served.parts) - before) == 1


def test_a_storm_of_the_same_request(served: Served) -> None:
    before = stored_contents(served.parts)
    key = served.key()
    answers: list[httpx.Response] = []

    def one() -> None:
        with served.client(key) as client:
            answers.append(submit(client, fresh("storm"), headers={"idempotency-key": "storm"}))

    threads = [threading.Thread(target=one) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len(stored_contents(served.parts) - before) == 1


def test_the_same_bytes_take_earlier_results(api: httpx.Client, served: Served) -> None:
    before = stored_contents(served.parts)
    first = submit(api, fresh("twice")).json()
    assert first["id"] in work_through(served.parts)
    second = submit(api, fresh("twice")).json()
    assert (second["state"], second["duplicate_of"]) == ("succeeded", first["id"])
    third = submit(api, fresh("twice"), params={"reuse": "false"}).json()
    assert (third["state"], third["duplicate_of"]) == ("received", None)
    assert len(stored_contents(served.parts) - before) == 2
    assert api.delete(f"/v1/documents/{first['id']}").status_code == 204
    assert api.get(f"/v1/documents/{first['id']}").json()["code"] == "gone"
    assert api.get(f"/v1/documents/{second['id']}/results/json").json() == {"text": "hello"}


def test_a_client_that_goes_away_leaves_nothing(served: Served) -> None:
    import socket
    import time
    from urllib.parse import urlsplit

    before = stored_contents(served.parts)
    place = urlsplit(served.url)
    for sent in (100_000, 2_000_000):
        with socket.create_connection((place.hostname, place.port)) as connection:
            head = f"POST /v1/documents HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {served.key()}\r\n"
            connection.sendall(f"{head}Content-Length: 3000000\r\n\r\n".encode() + PDF + bytes(sent))
            time.sleep(0.2)
    time.sleep(0.5)
    assert stored_contents(served.parts) == before
    assert list(served.parts.store.list()) == [
        key for key in served.parts.store.list() if "source" in key or "res" in key
    ]


def test_an_upload_that_stalls_is_given_up(served: Served) -> None:
    import socket
    from urllib.parse import urlsplit

    place = urlsplit(served.url)
    with socket.create_connection((place.hostname, place.port), timeout=10) as connection:
        head = f"POST /v1/documents HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {served.key()}\r\n"
        connection.sendall(f"{head}Content-Length: 3000000\r\n\r\n".encode() + PDF)
        assert connection.recv(4096).startswith(b"HTTP/1.1 400")


def test_waiting_for_the_end(served: Served, api: httpx.Client) -> None:
    shown = submit(api, fresh("wait")).json()
    assert api.get(shown["url"], params={"wait": 0.1}).json()["state"] == "received"
    timer = threading.Timer(0.3, work_through, (served.parts,))
    timer.start()
    assert api.get(shown["url"], params={"wait": 10}).json()["state"] == "succeeded"
    timer.join()


def test_events_can_be_taken_up_where_they_broke_off(served: Served, api: httpx.Client) -> None:
    shown = submit(api, fresh("events")).json()
    threading.Timer(0.2, work_through, (served.parts,)).start()
    seen: list[tuple[str, str]] = []
    with api.stream("GET", f"{shown['url']}/events") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        cursor = ""
        for line in stream.iter_lines():
            if line.startswith("id: "):
                cursor = line[4:]
            if line.startswith("event: "):
                seen.append((cursor, line[7:]))
    kinds = [kind for _, kind in seen]
    assert kinds[0] == "document.received"
    assert kinds[-2:] == ["document.succeeded", "end"]
    assert len(kinds) == len({cursor for cursor, _ in seen}) + 1
    middle = len(seen) // 2
    with api.stream("GET", f"{shown['url']}/events", headers={"last-event-id": seen[middle][0]}) as stream:
        rest = [line[7:] for line in stream.iter_lines() if line.startswith("event: ")]
    assert rest == kinds[middle + 1 :]
    listing = api.get(f"{shown['url']}/events", headers={"accept": "application/json"}).json()
    assert [item["type"] for item in listing["items"]] == kinds[:-1]
    assert listing["next_cursor"] == seen[-2][0]
    assert EventView  # the cursor is the ledger's


def test_changing_and_cancelling(api: httpx.Client) -> None:
    shown = submit(api, fresh("change")).json()
    changed = api.patch(shown["url"], json={"priority": "critical"})
    assert changed.json()["priority"] == "critical"
    assert api.patch(shown["url"], json={}).status_code == 400
    assert api.delete(shown["url"]).json()["code"] == "conflict"
    assert api.post(f"{shown['url']}/cancel").json()["state"] == "cancelled"
    assert api.post(f"{shown['url']}/retry", json={}).json()["state"] == "received"


def test_listing(api: httpx.Client) -> None:
    made = [submit(api, fresh(f"list {n}"), params={"labels": "lot=7"}).json()["id"] for n in range(5)]
    found: list[str] = []
    cursor = None
    while True:
        query = {"label": "lot=7", "limit": 2} | ({"cursor": cursor} if cursor else {})
        page = api.get("/v1/documents", params=query).json()  # type: ignore[arg-type]
        found += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert found == made[::-1]
    assert api.get("/v1/documents", params={"cursor": "rubbish"}).status_code == 400
    assert api.get("/v1/documents", params={"limit": 0}).status_code == 400


def test_a_batch(served: Served, api: httpx.Client) -> None:
    batch = api.post("/v1/batches", json={"name": "lot", "labels": {"a": "b"}})
    assert batch.status_code == 201
    url = batch.json()["url"]
    inside = [submit(api, fresh(f"batch {n}"), params={"batch": batch.json()["id"]}).json()["id"] for n in range(3)]
    assert {item["id"] for item in api.get(f"{url}/documents").json()["items"]} == set(inside)
    assert api.post(f"{url}/seal").json()["sealed_at"]
    late = submit(api, fresh("late"), params={"batch": batch.json()["id"]})
    assert (late.status_code, late.json()["code"]) == (409, "conflict")
    work_through(served.parts)
    assert api.get(url).json()["documents"] == {"succeeded": 3}
    assert url in [item["url"] for item in api.get("/v1/batches").json()["items"]]
