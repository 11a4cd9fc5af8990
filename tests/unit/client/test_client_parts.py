"""Addresses, server-sent events, signatures, errors by code, the journal and result folders of `docfleet submit`."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docfleet.cli.fetching import Folders
from docfleet.cli.gathering import gather
from docfleet.cli.journal import Journal, document_key
from docfleet.client import verify_webhook
from docfleet.client.address import find_address
from docfleet.client.parallel import in_parallel
from docfleet.client.problems import error_of, errors_by_code
from docfleet.client.signatures import sign
from docfleet.client.sse import ServerEvent, parse_events
from docfleet.client.uploading import Upload, fields
from docfleet.errors import (
    BadSignature,
    DocfleetError,
    SourceUnreadable,
    UsageError,
    document_error_codes,
    request_error_codes,
)

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def headers(
    body: bytes, secret: str = SECRET, message: str = "msg_p5jXN8AQM9LWM0D4loKWxJek", now: int = 1614265330
) -> dict[str, str]:
    return {"Webhook-Id": message, "webhook-timestamp": str(now), "WEBHOOK-SIGNATURE": sign(secret, message, now, body)}


def test_the_published_example_of_standard_webhooks() -> None:
    """From the specification's own libraries: secret, id, time, body and signature."""
    body = b'{"test": 2432232314}'
    assert headers(body)["WEBHOOK-SIGNATURE"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert verify_webhook(headers(body), body, SECRET, now=1614265330.0) == {"test": 2432232314}


def test_the_service_signs_as_the_client_verifies() -> None:
    from docfleet.delivery import signing

    secret = signing.new_secret()
    signed = signing.sign(secret, "m", 7, b"{}")
    said = {"webhook-id": "m", "webhook-timestamp": "7", "webhook-signature": f"v1,AAAA v2,x {signed}"}
    assert verify_webhook(said, b"{}", secret, now=7.0) == {}


@pytest.mark.parametrize(
    "change", ["body", "secret", "id", "time", "old", "missing", "garbage", "no json", "bad secret"]
)
def test_what_is_not_genuine_is_refused(change: str) -> None:
    body, secret, now = b'{"a": 1}', SECRET, 1614265330.0
    said = headers(body)
    match change:
        case "body":
            body += b" "
        case "secret":
            secret = "whsec_" + base64.b64encode(b"x" * 24).decode()
        case "id":
            said["Webhook-Id"] = "msg_other"
        case "time":
            said["webhook-timestamp"] = "1614265331"
        case "old":
            now += 301
        case "missing":
            del said["webhook-timestamp"]
        case "garbage":
            said["WEBHOOK-SIGNATURE"] = "é,\x00 v1 v1,"
        case "no json":
            body = b"[1"
            said = headers(body)
        case "bad secret":
            secret = "whsec_%%%"
    with pytest.raises(BadSignature):
        verify_webhook(said, body, secret, now=now)


def test_addresses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="address"):
        find_address(environment={})
    with pytest.raises(UsageError, match="DOCFLEET_API_KEY"):
        find_address("http://h", environment={})
    found = find_address("https://h/", environment={"DOCFLEET_API_KEY": " df_x\n", "DOCFLEET_URL": "http://other"})
    assert (found.url, found.api_key) == ("https://h", "df_x")
    (tmp_path / "docfleet-data").mkdir()
    (tmp_path / "docfleet-data" / "access.json").write_text(
        '{"url": "http://127.0.0.1:1", "api_key": "df_file", "x": 1}'
    )
    assert find_address(environment={}).api_key == "df_file"
    with pytest.raises(UsageError, match="key"):
        find_address("http://evil.example", environment={})  # a key goes nowhere but to its own service
    for wrong in ("h:80", "ftp://h", "http://", "//h"):
        with pytest.raises(UsageError):
            find_address(wrong, "df_x", environment={})
    with pytest.raises(UsageError):
        find_address("http://h", "df_x\r\nHost: evil", environment={})
    with pytest.raises(UsageError, match="is not there"):
        find_address(environment={"DOCFLEET_ACCESS_FILE": "nowhere.json"})


def test_events_of_a_stream() -> None:
    lines = [
        "retry: 10",
        "",
        "id: 1",
        "data: a",
        "data:b",
        "",
        ": beat",
        "",
        "event: end",
        "data: c",
        "",
        "id: 2",
        "data: torn",
    ]
    assert list(parse_events(lines)) == [ServerEvent("1", "message", "a\nb"), ServerEvent("1", "end", "c")]


@given(st.lists(st.text()))
def test_no_stream_breaks_the_parser(lines: list[str]) -> None:
    for event in parse_events(lines):
        assert event.data or event.data == ""


@given(st.integers(400, 599), st.binary())
def test_no_answer_breaks_the_reader_of_errors(status: int, body: bytes) -> None:
    error = error_of(status, body)
    assert error.message
    assert error.code


def test_every_code_comes_back_as_its_class() -> None:
    for code, cls in {**request_error_codes(), **document_error_codes()}.items():
        error = error_of(cls.status, json.dumps({"code": code, "detail": "Why."}).encode())
        assert type(error) is cls
        assert error.message == "Why."
    assert errors_by_code()["internal"] is DocfleetError


def test_the_journal_stands_a_torn_line(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    journal = Journal(path)
    journal.note_batch("march", "b1")
    journal.note_document("k1", "d1", "b1", "a.pdf", "a")
    with path.open("ab") as file:
        file.write(b'{"key": "k2", "docum')
    again = Journal(path)
    assert again.batch("march") == "b1"
    assert again.document("k1").document_id == "d1"  # type: ignore[union-attr]
    assert again.document("k2") is None
    assert again.folders() == {"a": "a.pdf"}
    again.note_batch("march", "b1", sealed=True)
    assert Journal(path).batch("march") is None


def test_the_journal_forgets(tmp_path: Path) -> None:
    Journal(tmp_path / "j").note_document("k", "d", "b", "n", "")
    assert Journal(tmp_path / "j", kept_seconds=60).document("k") is not None
    assert Journal(tmp_path / "j", kept_seconds=-1).document("k") is None
    nowhere = Journal(None)
    nowhere.note_document("k", "d", "b", "n", "")
    assert nowhere.document("k") is not None


def test_keys_tell_apart_what_differs() -> None:
    keys = {
        document_key(*said)
        for said in [
            ("s", "n", "b", {}),
            ("t", "n", "b", {}),
            ("s", "m", "b", {}),
            ("s", "n", "c", {}),
            ("s", "n", "b", {"x": 1}),
        ]
    }
    assert len(keys) == 5
    assert document_key("s", "n", "b", {"x": 1, "y": 2}) == document_key("s", "n", "b", {"y": 2, "x": 1})


def test_folders_are_given_once(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "ours").mkdir()
    (tmp_path / "ours" / "outcome.json").write_text("{}")
    folders = Folders(tmp_path, {"scan": "old.pdf"})
    assert folders.give("theirs", "a") == "theirs-2"
    assert folders.give("ours", "b") == "ours"
    assert folders.give("Scan", "new.pdf") == "Scan-2"
    assert folders.give("scan", "old.pdf") == "scan"
    assert folders.give("Ledger", "c") == "Ledger-2"


def test_in_parallel_reads_ahead_no_further_than_it_works() -> None:
    most, under_way, lock = 0, 0, threading.Lock()
    taken: list[int] = []

    def things() -> object:
        for n in range(50):
            taken.append(n)
            yield n

    def work(n: int) -> int:
        nonlocal most, under_way
        with lock:
            under_way += 1
            most = max(most, under_way)
        with lock:
            under_way -= 1
        return n * 2

    found = in_parallel(work, things(), 3)  # type: ignore[arg-type]
    first = next(found)
    assert len(taken) <= 4
    assert sorted([first, *found]) == [n * 2 for n in range(50)]
    assert most <= 3


@pytest.mark.parametrize(
    ("source", "said"),
    [(123, "123 is no document"), ("nowhere.pdf", "no file nowhere.pdf"), (".", "is a folder"), (None, "None is no")],
)
def test_what_is_no_document_is_told(source: Any, said: str) -> None:
    with pytest.raises((UsageError, SourceUnreadable), match=said):
        Upload(source)


def test_a_file_opened_as_text_is_told() -> None:
    with open(__file__) as file, pytest.raises(UsageError, match='"rb"'):
        Upload(file)  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [{"deadline": "tomorrow"}, {"labels": ["a=b"]}, {"formats": "json"}])
def test_fields_of_a_wrong_kind_are_told(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=rf"(?i){next(iter(wrong))[:5]}.*say"):
        fields(**wrong)


def test_features_as_they_are_sent() -> None:
    assert fields(features=["tables", "image_quality"])["features"] == "tables,image_quality"
    assert fields(features=[])["features"] == "none"
    assert "features" not in fields()


def test_the_service_is_not_told_where_a_file_lies(tmp_path: Path) -> None:
    (tmp_path / "in" / "march").mkdir(parents=True)
    (tmp_path / "in" / "march" / "a.pdf").write_bytes(b"%PDF-1.4 a")
    (tmp_path / "in" / "b.pdf").write_bytes(b"%PDF-1.4 b")
    items = list(gather([str(tmp_path / "in"), str(tmp_path / "in" / "b.pdf")], tmp_path))
    assert sorted(item.sent_as for item in items) == ["b.pdf", "march/a.pdf"]


def test_the_client_loads_no_engine_and_no_http_before_it_is_needed() -> None:
    code = "import sys, docfleet.client; print([m for m in sys.modules if m.split('.')[0] in %r])"
    heavy = {
        "httpx",
        "numpy",
        "cv2",
        "pypdfium2",
        "pikepdf",
        "openvino",
        "onnxruntime",
        "sqlalchemy",
        "pydantic",
        "tink",
    }
    done = subprocess.run([sys.executable, "-c", code % heavy], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
