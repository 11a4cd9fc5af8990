"""A service as its users run it: every trace from the upload to the webhook, and no word of theirs in any log."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from test_serve import running

from docfleet.telemetry.events import EVENTS, FIELDS
from engine_packages import install
from running import ROOT, SAMPLES, wait_for
from trace_collector import Collector, Seen, check_chain, collecting, names

NAME = "Kowalczyk-Personalakte.pdf"
PASSWORD = "Hushhush-Geheimnis"
SECRET_PATH, SECRET_QUERY = "verborgener-pfad", "geheimertoken"
CLIENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
READ = ("invoice-01.pdf", "contract.pdf", "letter-fr.pdf", "bank-statement.pdf")


@contextmanager
def receiver() -> Iterator[tuple[str, list[dict[str, str]]]]:
    """A webhook that refuses its first message, and the headers it got."""
    import threading
    from http.server import BaseHTTPRequestHandler, HTTPServer

    got: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            got.append({name.lower(): value for name, value in self.headers.items()})
            self.send_response(500 if len(got) == 1 else 204)
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/{SECRET_PATH}?token={SECRET_QUERY}", got
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("site")
    install("docfleet_engine_faulty", tmp_path_factory.mktemp("build"), target)
    return target


def submit(api: httpx.Client, data: bytes, name: str = NAME, headers: dict[str, str] | None = None, **form: str) -> str:
    answer = api.post("/v1/documents", files={"file": (name, data)}, data=form, headers=headers)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def ended(api: httpx.Client, document: str) -> dict[str, Any]:
    found = api.get(f"/v1/documents/{document}", params={"wait": 60}).json()
    assert found["finished_at"], found
    return dict(found)


def is_told(spans: list[Seen]) -> bool:
    return {"document", "POST /v1/documents", "POST webhook"} <= set(names(spans))


def test_traces_from_upload_to_webhook_and_logs_without_a_word(tmp_path: Path, faulty: Path) -> None:
    with collecting() as collector, receiver() as (hook, got):
        settings = {
            "DOCFLEET_LOG": "debug",
            "DOCFLEET_TELEMETRY__OTLP_ENDPOINT": collector.url,
            "DOCFLEET_DELIVERY__ALLOW_PRIVATE": "true",
            "DOCFLEET_API__ENGINES": "null,raises",
            "PYTHONPATH": f"{faulty}:{ROOT / 'src'}",
        }
        with running("serve", "--port", "0", folder=tmp_path, **settings) as (_, said):
            headers = {"authorization": f"Bearer {said['api_key']}"}
            with httpx.Client(base_url=said["url"], headers=headers, timeout=90) as api:
                key = said["api_key"]
                assert api.post("/v1/webhooks", json={"url": hook}).status_code == 201
                _use(api, collector, got)
            strange = {"authorization": "Bearer df_0123456789abcdef_wrongwrongwrong"}
            assert httpx.get(f"{said['url']}/v1/documents?name={NAME}", headers=strange).status_code == 401
    _check_log((tmp_path / "errors.log").read_text(encoding="utf-8"), key)


def _use(api: httpx.Client, collector: Collector, got: list[dict[str, str]]) -> None:
    first = submit(api, (SAMPLES / READ[0]).read_bytes(), headers={"traceparent": CLIENT})
    assert ended(api, first)["state"] == "succeeded"
    wait_for(lambda: got, 30)
    # its message was refused; all others are at work while it waits for its second try
    scan = (SAMPLES / "letter-de.png").read_bytes()
    broken = submit(api, scan, "Müller-Lüdenscheidt.png", engine="raises", mode="ocr")
    again = submit(api, (SAMPLES / READ[0]).read_bytes())
    others = [submit(api, (SAMPLES / name).read_bytes(), f"Wiśniewska {name}") for name in READ[1:]]
    locked = submit(api, (SAMPLES / "password-protected.pdf").read_bytes(), password=PASSWORD)
    damaged = submit(api, (SAMPLES / "unrepairable.pdf").read_bytes())

    _, trace_id, span_id, _ = CLIENT.split("-")
    spans = collector.wait(first, lambda found: is_told(found) and names(found)["POST webhook"] == 2, 60)
    check_chain(spans, remote=span_id)
    assert {one.trace_id for one in spans} == {trace_id}
    tries = [one for one in spans if one.name == "POST webhook"]
    assert [one.attributes.get("http.response.status_code") for one in tries] == [500, 204]
    assert [one.error for one in tries] == ["500", ""]
    sent = [one["traceparent"] for one in got if trace_id in one["traceparent"]]
    assert sent == [f"00-{trace_id}-{one.span_id}-01" for one in tries]

    assert ended(api, again)["duplicate_of"] == first
    spans = collector.wait(again, is_told)
    check_chain(spans)
    [whole] = [one for one in spans if one.name == "document"]
    assert [link[0] for link in whole.links] == [trace_id]
    assert whole.trace_id != trace_id

    assert {ended(api, one)["state"] for one in others} == {"succeeded"}
    assert ended(api, locked)["code"] == "password_wrong"
    assert ended(api, damaged)["state"] == "failed"
    assert ended(api, broken)["state"] == "failed"
    spans = collector.wait(broken, is_told)
    check_chain(spans)
    assert "Müller" not in str(collector.spans)
    assert NAME not in str(collector.spans)
    _check_words(json.dumps([one.attributes for one in collector.spans]))


def _check_log(log: str, key: str) -> None:
    lines = [json.loads(line) for line in log.splitlines()]
    assert {"slice_ended", "delivery_tried", "worker_started"} <= {line["event"] for line in lines}
    for line in lines:
        assert line["event"] in EVENTS
        assert set(line) <= set(FIELDS) | {"event", "level", "part", "timestamp"}, line
    traced = [line for line in lines if line["event"] == "slice_ended"]
    assert all(line["document"] and len(line["trace_id"]) == 32 and line["span_id"] for line in traced)
    for secret in (key, key.rpartition("_")[2], "wrongwrong", NAME, PASSWORD, SECRET_PATH, SECRET_QUERY, "127.0.0.1"):
        assert secret not in log
    for name in ("Kowalczyk", "Wiśniewska", "Wi\\u015bniewska", "Müller", "M\\u00fcller", "denscheidt"):
        assert name not in log
    _check_words(log)


def _check_words(said: str) -> None:
    words = _words()
    assert len(words) > 300
    found = {word for word in re.findall(r"[^\W\d_]{6,}", said.casefold()) if word in words}
    assert not found


def _words() -> set[str]:
    """Of six letters and more of all documents that were read, but for those docfleet itself speaks with."""
    words: set[str] = set()
    for name in (*READ, "letter-de.png"):
        truth = json.loads((ROOT / "tests" / "samples_truth" / f"{name}.json").read_text(encoding="utf-8"))
        for page in truth["pages"]:
            words |= set(re.findall(r"[^\W\d_]{6,}", " ".join(page["text"]).casefold()))
    own = " ".join([*EVENTS, *FIELDS, "docfleet.telemetry succeeded webhook number module local reason invoice pages"])
    return words - set(re.findall(r"[^\W\d_]{6,}", own.casefold()))


@pytest.mark.slow
def test_a_process_that_ends_does_not_wait_for_a_collector_that_hangs(tmp_path: Path) -> None:
    settings = {"DOCFLEET_TELEMETRY__OTLP_ENDPOINT": "http://192.0.2.1:4318"}
    with running("serve", "--port", "0", folder=tmp_path, **settings) as (process, said):
        with httpx.Client(
            base_url=said["url"], headers={"authorization": f"Bearer {said['api_key']}"}, timeout=90
        ) as api:
            ended(api, submit(api, (SAMPLES / READ[0]).read_bytes()))
        started = time.monotonic()
        process.terminate()
        assert process.wait(40) == 0
        assert time.monotonic() - started < 20


@pytest.mark.parametrize(
    ("endpoint", "says"),
    [
        ("collector:4318", "no http:// or https:// address"),
        pytest.param("http://x", "cannot be read", marks=pytest.mark.slow),
    ],
)
def test_what_is_set_wrongly_is_one_sentence(endpoint: str, says: str, tmp_path: Path) -> None:
    from running import docfleet

    env = {
        "DOCFLEET_TELEMETRY__OTLP_ENDPOINT": endpoint,
        "DOCFLEET_SERVICE__DATA_FOLDER": str(tmp_path / "data"),
        "DOCFLEET_TELEMETRY__OTLP_HEADERS_FILE": str(tmp_path / "nowhere") if "cannot" in says else "",
    }
    ran = docfleet("serve", "--port", "0", env={name: value for name, value in env.items() if value})
    assert ran.exit_code == 2
    assert says in ran.stderr
    assert "Traceback" not in ran.stderr
