"""`docfleet worker --pool cloud` against docfleet's own Document AI server, with Postgres and Redis: nothing here is a
double."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from test_cloud_kill import count, money
from worker_service import TENANT, WorkerService, page_image, wait_for

from docfleet.documentai_format import from_json, from_proto
from docfleet.documentai_server.app import DocumentAIServer
from docfleet.documentai_server.options import ServerOptions
from docfleet.documentai_server.readers import ReaderOptions
from docfleet.domain.document import Document
from docfleet.domain.work import DocumentState, Step
from docfleet.engines.documentai.calls import Answer, Call
from docfleet.ledger.service_values import Accepted, ReadingOptions
from docfleet.stack.servers import start_redis
from docfleet.stack.serving import environment_of
from documentai_clients import pdf_of
from ledger_driver import PostgresServer, audit

CLOUD = ReadingOptions(("txt", "json"), mode="ocr", engine="documentai")
"""Every page goes to the cloud; the server reads the text layers that are still there."""
GUILTY_PIXELS = 20_000


@pytest.fixture(scope="module")
def server() -> Iterator[DocumentAIServer]:
    """Refuses pages of more pixels than any of the others has."""
    settings = {"reading": {"engine": "null"}, "limits": {"max_page_pixels": GUILTY_PIXELS}}
    options = ServerOptions(
        readers=ReaderOptions(settings=settings, readers=1, waiting=60), emulation_port=0, grace_seconds=1.0
    )
    with DocumentAIServer(options) as running:
        yield running


@pytest.fixture
def service(server: DocumentAIServer, postgres: PostgresServer, tmp_path: Path) -> Iterator[WorkerService]:
    play(server, "")
    httpx.delete(f"{server.emulation_address}/emulation/counts").raise_for_status()
    documentai: dict[str, Any] = {
        "project": "tests", "endpoint": server.addresses[0].grpc, "insecure": True, "anonymous": True,
        "processors": [{"id": "ocr", "location": "us"}, {"id": "ocr", "location": "eu"}],
        "residency": {TENANT: ["eu"]},
        "overrides": {"quotas": {"online_requests_per_minute": {"*": 6000.0, "eu": 6000.0}}},
    }  # fmt: skip
    with start_redis(tmp_path / "redis") as redis:
        made = WorkerService(
            tmp_path, postgres.url(postgres.new_ledger()), redis.url, documentai=documentai,
            cascade={"calls_in_flight": 4},
        )  # fmt: skip
        made.worker(slots=2)
        try:
            yield made
        finally:
            made.close()


def play(server: DocumentAIServer, toml: str) -> None:
    address = f"{server.emulation_address}/emulation"
    answer = httpx.put(address, content=toml, headers={"content-type": "application/toml"})
    assert answer.status_code == 200, answer.text


def counts(server: DocumentAIServer) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = httpx.get(f"{server.emulation_address}/emulation").json()["counts"]["locations"]
    return found


@contextmanager
def cloud_worker(service: WorkerService) -> Iterator[subprocess.Popen[bytes]]:
    """The command as it is, told everything by its environment."""
    environment = {**os.environ, **environment_of(service.settings), "TMPDIR": str(service.folder)}
    with (service.folder / f"cloud-{os.urandom(3).hex()}.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "docfleet", "worker", "--pool", "cloud"], env=environment, stderr=log,
            cwd=service.folder, start_new_session=True,
        )  # fmt: skip
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            finally:
                process.kill()
                process.wait()


def told(number: int) -> list[str]:
    return [f"Document {number} begins here.", f"Document {number} ends there."]


def submit(service: WorkerService, numbers: range) -> dict[int, Accepted]:
    """Documents of two pages each, all planned."""
    made = {n: service.submit(pdf_of(*told(n)), f"{n}.pdf", options=CLOUD) for n in numbers}
    wait_for(lambda: count(service, "state = 'queued'") == len(made), 90)
    return made


def ends_well(service: WorkerService, number: int, accepted: Accepted) -> None:
    view = service.wait_end(accepted, 120)
    assert (view.state, view.code) == (DocumentState.SUCCEEDED, "")
    lines = service.result(accepted, "document.txt").decode().splitlines()
    assert [line for line in lines if line] == told(number)


@pytest.mark.slow
def test_what_the_server_says_comes_back_and_the_guilty_one_is_found(
    server: DocumentAIServer, service: WorkerService
) -> None:
    with service.dispatching():
        accepted = submit(service, range(6))
        guilty = service.submit(page_image(1200, 1000), "large.png", options=CLOUD)
        wait_for(lambda: count(service, "state = 'queued'") == 7, 60)
        with cloud_worker(service):
            for number, one in accepted.items():
                ends_well(service, number, one)
            view = service.wait_end(guilty, 60)
    assert (view.state, view.code) == (DocumentState.FAILED, "engine_refused")
    audit(service.runtime.ledger)
    assert set(counts(server)) == {"eu"}, "nothing may leave the tenant's residency"
    assert counts(server)["eu"]["asked"] <= 9, "packed, and halved until the guilty one was found"
    ours = from_json(service.result(accepted[0], "document.json"))
    theirs = directly(service, pdf_of(*told(0)))
    assert ours.text == theirs.text
    assert [words(page) for page in ours.pages] == [words(page) for page in theirs.pages]
    assert [page.number for page in ours.pages] == [1, 2]


def directly(service: WorkerService, content: bytes) -> Document:
    caller = service.runtime.open_documentai()
    try:
        answer = caller.call(Call(content, "application/pdf", 2, tenant=TENANT, patience=5.0))
    finally:
        caller.close()
    assert isinstance(answer, Answer)
    return from_proto(answer.document)


def words(page: Any) -> list[tuple[Any, list[float]]]:
    """Where each token stands in the text, and on the page."""
    found = []
    for token in page.tokens:
        corners = [round(side, 3) for corner in token.layout.box.corners for side in corner]
        found.append((token.layout.spans, corners))
    return found


@pytest.mark.slow
def test_killed_in_flight_nothing_is_lost_and_only_the_unknown_is_paid_twice(
    server: DocumentAIServer, service: WorkerService
) -> None:
    with service.dispatching():
        accepted = submit(service, range(10, 18))
        play(server, "latencies = [{fixed_seconds = 30.0}]")
        with cloud_worker(service) as first:
            wait_for(lambda: counts(server).get("eu", {}).get("under_way") and waiting(service) == 0, 60)
            os.kill(first.pid, signal.SIGKILL)
            first.wait()
        lost = counts(server)["eu"]["asked"]
        play(server, "")
        with cloud_worker(service):
            for number, one in accepted.items():
                ends_well(service, number, one)
    audit(service.runtime.ledger)
    slices = [row for one in accepted.values() for row in service.slices(one) if row.step == Step.CLOUD]
    assert {(row.crash_count, row.error_count, row.loss_count) for row in slices} == {(0, 0, 1)}
    assert counts(server)["eu"]["asked"] <= lost + len(accepted)
    money(service, len(accepted))


def waiting(service: WorkerService) -> int:
    return count(service, "state = 'queued'")


@pytest.mark.slow
def test_asked_to_stop_it_hands_back_what_is_not_in_flight(server: DocumentAIServer, service: WorkerService) -> None:
    with service.dispatching():
        play(server, "quotas = [{requests_per_minute = 6, burst_seconds = 1}]\nlatencies = [{fixed_seconds = 2.0}]")
        accepted = submit(service, range(20, 60))
        with cloud_worker(service) as first:
            wait_for(lambda: counts(server).get("eu", {}).get("under_way") and count(service, "state = 'done'"), 60)
            first.send_signal(signal.SIGTERM)
            assert first.wait(60) == 0
        done = count(service, "state = 'done'")
        assert 0 < done < len(accepted)
        assert count(service, "state = 'running'") == 0
        play(server, "")
        with cloud_worker(service):
            for number, one in accepted.items():
                ends_well(service, number, one)
    audit(service.runtime.ledger)
    assert count(service, "error_count + crash_count + loss_count > 0") == 0, "waiting is nobody's fault"


@pytest.mark.slow
def test_a_stale_lease_is_dropped_alone(server: DocumentAIServer, service: WorkerService) -> None:
    with service.dispatching():
        play(server, "latencies = [{fixed_seconds = 10.0}]")
        accepted = submit(service, range(70, 76))
        with cloud_worker(service):
            wait_for(lambda: counts(server).get("eu", {}).get("under_way") and waiting(service) == 0, 60)
            stale = next(row.id for row in service.slices(accepted[72]) if row.step == Step.CLOUD)
            wait_for(lambda: taken_back(service, stale), 9)
            play(server, "")
            for number, one in accepted.items():
                ends_well(service, number, one)
    audit(service.runtime.ledger)
    attempts = {n: [r.attempt for r in service.slices(one) if r.step == Step.CLOUD] for n, one in accepted.items()}
    assert attempts.pop(72) == [2]
    assert set(map(tuple, attempts.values())) == {(1,)}


def taken_back(service: WorkerService, slice_id: int) -> bool:
    """Ages the lease of a first attempt, as often as its worker renews it before the dispatcher looks."""
    aged = "UPDATE slice SET lease_until = lease_until - 60 WHERE id = :id AND state = 'running' AND attempt = 1"
    with service.runtime.ledger.unit_of_work() as session:
        return not session.execute(text(f"{aged} RETURNING id"), {"id": slice_id}).all()
