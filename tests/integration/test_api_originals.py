"""The submitted file again: read back, read anew by another engine, labelled, and gone once it is deleted."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from docfleet.client import Client
from docfleet.domain.access import Role
from docfleet.errors import Gone
from serving import PDF, Served, serving, stored_contents, work_through


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("originals")) as running:
        yield running


@pytest.fixture(scope="module")
def api(served: Served) -> Iterator[httpx.Client]:
    with served.client() as client:
        yield client


def a_pdf() -> bytes:
    return PDF + b"%" + os.urandom(200_000).hex().encode()


def submit(api: httpx.Client, data: bytes, **said: str) -> dict[str, object]:
    answer = api.post("/v1/documents", content=data, params={"name": "größe.pdf", **said})
    assert answer.status_code == 202, answer.text
    shown: dict[str, object] = answer.json()
    return shown


def test_the_file_comes_back_as_it_was_sent(served: Served, api: httpx.Client) -> None:
    data = a_pdf()
    url = f"{submit(api, data)['url']}/source"
    answer = api.get(url)
    assert answer.content == data
    assert answer.headers["etag"] == f'"{hashlib.sha256(data).hexdigest()}"'
    assert answer.headers["content-type"] == "application/pdf"
    assert answer.headers["content-disposition"] == "attachment; filename*=UTF-8''gr%C3%B6%C3%9Fe.pdf"
    assert "sandbox" in answer.headers["content-security-policy"]
    part = api.get(url, headers={"range": "bytes=100000-100009"})
    assert (part.status_code, part.content) == (206, data[100_000:100_010])
    assert api.get(url, headers={"range": f"bytes={len(data)}-"}).status_code == 416
    assert api.head(url).headers["content-length"] == str(len(data))
    with served.client(served.key("rival")) as rival:
        assert rival.get(url).status_code == 404
    with served.client(served.key(role=Role.AUDITOR)) as auditor:
        assert auditor.get(url).status_code == 403


def test_a_deleted_file_is_gone(served: Served, api: httpx.Client) -> None:
    url = str(submit(api, a_pdf())["url"])
    work_through(served.parts)
    assert api.delete(url).status_code == 204
    assert api.get(f"{url}/source").status_code == 410
    assert api.post(f"{url}/read-again", json={}).status_code == 410


def test_read_again_makes_another_document_of_the_same_bytes(served: Served, api: httpx.Client) -> None:
    data = a_pdf()
    first = submit(api, data, labels="customer=4711")
    work_through(served.parts, {"document.txt": b"one"})
    contents = stored_contents(served.parts)
    answer = api.post(f"{first['url']}/read-again", json={"engine": "tesseract", "mode": "ocr"})
    assert answer.status_code == 202, answer.text
    second = answer.json()
    assert second["id"] != first["id"]
    assert answer.headers["location"] == second["url"]
    assert (second["options"]["engine"], second["options"]["mode"]) == ("tesseract", "ocr")
    assert second["labels"] == {"customer": "4711", "read-again-of": first["id"]}
    assert (second["name"], second["sha256"], second["duplicate_of"]) == (first["name"], first["sha256"], None)
    assert stored_contents(served.parts) == contents
    work_through(served.parts, {"document.txt": b"two"})
    assert api.get(f"{second['url']}/results/txt").content == b"two"
    assert api.get(f"{first['url']}/results/txt").content == b"one"
    events = api.get(f"{second['url']}/events", headers={"accept": "application/json"}).json()["items"]
    assert events[0]["cause"] == f"reads {first['id']} again"
    # each keeps the bytes for the other
    assert api.delete(str(first["url"])).status_code == 204
    assert api.get(f"{second['url']}/source").content == data
    assert api.get(f"{second['url']}/results/txt").content == b"two"
    assert api.delete(second["url"]).status_code == 204
    assert api.get(f"{second['url']}/source").status_code == 410


def test_the_same_options_are_read_anew_unless_results_may_be_reused(served: Served, api: httpx.Client) -> None:
    first = submit(api, a_pdf())
    work_through(served.parts)
    again = api.post(f"{first['url']}/read-again").json()
    assert (again["state"], again["duplicate_of"]) == ("received", None)
    work_through(served.parts)
    reused = api.post(f"{first['url']}/read-again", json={"reuse": True}).json()
    assert reused["state"] == "succeeded"
    assert reused["duplicate_of"] in (first["id"], again["id"])


def test_read_again_is_done_once_under_one_key(served: Served, api: httpx.Client) -> None:
    first = submit(api, a_pdf())
    head = {"idempotency-key": "again-1"}
    one, two = (api.post(f"{first['url']}/read-again", json={"mode": "ocr"}, headers=head) for _ in range(2))
    assert one.json()["id"] == two.json()["id"]
    assert two.headers["idempotent-replayed"] == "true"
    other = api.post(f"{first['url']}/read-again", json={"mode": "text"}, headers=head)
    assert other.json()["code"] == "idempotency_mismatch"
    work_through(served.parts)


@pytest.mark.parametrize("body", [{"engine": "no such"}, {"mode": "fast"}, {"formats": ["doc"]}, {"colour": "red"}])
def test_read_again_refuses_what_it_does_not_know(api: httpx.Client, body: dict[str, object]) -> None:
    url = submit(api, PDF)["url"]
    assert api.post(f"{url}/read-again", json=body).status_code == 400


def test_labels_change_in_any_state(served: Served, api: httpx.Client) -> None:
    url = str(submit(api, a_pdf(), labels="a=1")["url"])
    assert api.patch(url, json={"labels": {"b": "2"}}).json()["labels"] == {"a": "1", "b": "2"}
    work_through(served.parts)
    shown = api.patch(url, json={"labels": {"a": None, "b": "3"}}).json()
    assert (shown["state"], shown["labels"]) == ("succeeded", {"b": "3"})
    listed = api.get("/v1/documents", params={"label": "b=3"}).json()["items"]
    assert [item["id"] for item in listed] == [shown["id"]]
    assert not api.get("/v1/documents", params={"label": "b=2"}).json()["items"]
    many = {f"k{number}": "v" for number in range(32)}
    assert api.patch(url, json={"labels": many}).status_code == 400
    assert api.patch(url, json={"labels": {"": "x"}}).status_code == 400
    assert api.patch(url, json={}).status_code == 400
    with served.client(served.key("rival")) as rival:
        assert rival.patch(url, json={"labels": {"b": "4"}}).status_code == 404


def test_the_client_library(served: Served, tmp_path: Path) -> None:
    data = a_pdf()
    with Client(served.url, served.key()) as client:
        document = client.submit(data, name="a.pdf", labels={"x": "1"})
        assert document.source() == data
        assert document.download_source(tmp_path / "a.pdf").read_bytes() == data
        again = document.read_again(engine="tesseract")
        assert again.id != document.id
        assert again.facts.labels == {"x": "1", "read-again-of": document.id}
        assert document.label({"x": None}).facts.labels == {}
        work_through(served.parts)
        document.delete()
        with pytest.raises(Gone):
            document.source()
