"""A password on its way through the API: sealed, and in no view, event, listing, log or row."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from docfleet.client import Client
from docfleet.store.passwords import open_passwords
from serving import PDF, Served, serving

SECRET = "harbour, lane % 88120 ü"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("passwords")


@pytest.fixture(scope="module")
def served(folder: Path) -> Iterator[Served]:
    with serving(folder) as running:
        yield running


@pytest.fixture
def api(served: Served) -> Iterator[httpx.Client]:
    with served.client() as client:
        yield client


def opened(served: Served, document_id: str) -> tuple[str, ...]:
    """What a worker that claims it now can open it with."""
    for claim in served.parts.ledger.claim("reader", limit=100):
        served.parts.ledger.hand_back(claim)
        document = claim.document
        if document.id == document_id and document.sealed_passwords is not None:
            key = served.parts.master_key
            return open_passwords(key, document.sealed_passwords, document.tenant, document.sha256)
    return ()


def test_in_a_form_behind_the_file_and_repeated(api: httpx.Client, served: Served) -> None:
    parts = [("file", ("a.pdf", PDF + b"form")), ("password", (None, "wrong")), ("password", (None, SECRET))]
    answer = api.post("/v1/documents", files=parts)
    assert answer.status_code == 202, answer.text
    assert "password" not in answer.text
    assert opened(served, answer.json()["id"]) == ("wrong", SECRET)


def test_beside_the_bytes_as_a_header(api: httpx.Client, served: Served) -> None:
    said = f"one,{quote(SECRET, safe='')}"
    answer = api.post("/v1/documents", content=PDF + b"header", headers={"Docfleet-Password": said})
    assert opened(served, answer.json()["id"]) == ("one", SECRET)


def test_from_python(served: Served) -> None:
    with Client(served.url, served.key()) as client:
        assert opened(served, client.submit(PDF + b"sdk one", password=SECRET).id) == (SECRET,)
        assert opened(served, client.submit(PDF + b"sdk two", password=["a,b", SECRET]).id) == ("a,b", SECRET)
        again = client.submit(PDF + b"sdk three").cancel().retry(password=SECRET)
        assert opened(served, again.id) == (SECRET,)


def test_not_in_an_address(api: httpx.Client) -> None:
    answer = api.post("/v1/documents", content=PDF, params={"password": SECRET})
    assert answer.status_code == 400
    assert "harbour" not in answer.text
    assert "Docfleet-Password" in answer.json()["detail"]


@pytest.mark.parametrize("given", [["x"] * 33, ["x" * 257]])
def test_not_too_many_and_not_too_long(api: httpx.Client, given: list[str]) -> None:
    many = [f"{text}{number}" for number, text in enumerate(given)]
    parts = [("file", ("a.pdf", PDF + b"many"))] + [("password", (None, text)) for text in many]
    answer = api.post("/v1/documents", files=parts)  # type: ignore[arg-type]
    assert answer.status_code == 400
    assert "xxxx" not in answer.text


def test_the_same_request_with_one_is_the_same_request(api: httpx.Client) -> None:
    def send(**fields: str) -> httpx.Response:
        files = {"file": ("a.pdf", PDF + b"idempotent")}
        return api.post("/v1/documents", files=files, data=fields, headers={"Idempotency-Key": "one-password"})

    first, again = send(password=SECRET), send(password=SECRET)
    assert again.json()["id"] == first.json()["id"]
    assert send().status_code == 422


def test_it_is_nowhere_to_be_read(api: httpx.Client, served: Served, folder: Path) -> None:
    key = {"Idempotency-Key": "nowhere"}
    files = {"file": ("a.pdf", PDF + b"nowhere")}
    id = api.post("/v1/documents", files=files, data={"password": SECRET}, headers=key).json()["id"]
    assert opened(served, id) == (SECRET,)
    events = {"accept": "application/json"}
    shown = [
        api.get(f"/v1/documents/{id}").text,
        api.get("/v1/documents").text,
        api.get(f"/v1/documents/{id}/events", headers=events).text,
    ]
    assert not any("88120" in text or "sealed" in text for text in shown)
    with sqlite3.connect(folder / "ledger.db") as database:
        dump = "\n".join(database.iterdump())
    database.close()
    assert id in dump
    assert "88120" not in dump
    assert b"88120".hex() not in dump.lower()
