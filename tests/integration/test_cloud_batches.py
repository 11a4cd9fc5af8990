"""Pages read in batches: real ledger, store, sandbox and workers, and as counterpart the real `documentai-server`.

The cloud worker is a process of its own, which tests kill at chosen places.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import select, text
from test_cloud_worker import scan
from worker_service import TENANT, WorkerService, wait_for

from docfleet.domain.budgeting import BudgetPolicy
from docfleet.domain.urgency import Urgency
from docfleet.domain.work import DocumentState, Step
from docfleet.ledger.money_rows import RESERVATION
from docfleet.ledger.service_values import Accepted, ReadingOptions
from documentai_double import options_for
from ledger_driver import PostgresServer, audit, postgres_server
from running import end, start

CLOUD = ReadingOptions(("json",), engine="documentai")
MICROS = 1500
_RUN = """
import json, os, signal, sys
from docfleet.settings import Settings
from docfleet.telemetry import configure_logs
from docfleet.engines.documentai import batch
from docfleet.worker.cloud import batch_keeping
from docfleet.worker.cloud.service import run_cloud_worker
given = json.loads(sys.stdin.readline())
configure_logs("info")
batch_keeping.TURN_SECONDS = 0.1
batch_keeping.SWEEP_SECONDS = 0.2
batch_keeping.HOLD_SECONDS = 3.0
batch_keeping.UNSURE_SECONDS = 2.0
batch_keeping.SURE_PAUSE_SECONDS = 0.3
batch_keeping.OLD_SECONDS = given["old_seconds"]
method, when = given["dies_at"] or ("", "")
if method:
    works = getattr(batch.Batches, method)
    def dies(*arguments, **named):
        answer = works(*arguments, **named) if when == "after" else None
        os.kill(os.getpid(), signal.SIGKILL)
    setattr(batch.Batches, method, dies)
sys.exit(run_cloud_worker(Settings.model_validate(given["settings"] | {"documentai": given["options"]})))
"""


class Server:
    """`docfleet documentai-server` with its state in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.buckets = folder / "buckets"
        self.process = start(
            *("documentai-server", "--grpc-port", 0, "--rest-port", 0, "--engine", "null", "--readers", 1),
            *("--data", folder / "data", "--storage", self.buckets),
        )
        found: dict[str, str] = {}
        assert self.process.stdout is not None
        while len(found) < 2:
            line = self.process.stdout.readline().decode()
            assert line, "the server did not start"
            if told := re.match(r"docfleet Document AI (gRPC|REST) on (\S+)", line):
                found[told[1]] = told[2]
        self.address = found["gRPC"]

    def objects(self, bucket: str) -> list[str]:
        folder = self.buckets / bucket
        return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())

    def operations(self) -> int:
        import sqlite3

        [file] = (self.folder / "data").glob("operations*.sqlite*") or [None]
        with sqlite3.connect(file) as connection:
            return int(connection.execute("SELECT count(*) FROM operation").fetchone()[0])


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    with postgres_server() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgres"])
def service(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[WorkerService]:
    url = ""
    if request.param == "postgres":
        postgres: PostgresServer = request.getfixturevalue("postgres")
        url = postgres.url(postgres.new_database())
    made = WorkerService(tmp_path, url)
    yield made
    made.close()


@pytest.fixture
def on_postgres(postgres: PostgresServer, tmp_path: Path) -> Iterator[WorkerService]:
    made = WorkerService(tmp_path, postgres.url(postgres.new_database()))
    yield made
    made.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path / "server")
    yield made
    end(made.process)
    made.process.communicate()


@pytest.fixture
def workers() -> Iterator[list[subprocess.Popen[bytes]]]:
    started: list[subprocess.Popen[bytes]] = []
    yield started
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait()


@pytest.fixture
def cloud(server: Server, workers: list[subprocess.Popen[bytes]]) -> Callable[..., subprocess.Popen[bytes]]:
    def run(
        service: WorkerService,
        *locations: str,
        dies_at: tuple[str, str] | None = None,
        old_seconds: float = 3600.0,
        **changes: Any,
    ) -> subprocess.Popen[bytes]:
        more: dict[str, Any] = {
            "batch_uri": "gs://{location}-bucket/docfleet",
            "batch_store_url": f"file://{server.buckets}/{{location}}-bucket/docfleet",
            "batch_wait_seconds": 1.0,
            **changes,
        }
        options = options_for(server.address, *(locations or ("us",)), **more)
        ids = tuple(msgspec.structs.replace(one, id="ocr") for one in options.processors)
        options = msgspec.structs.replace(options, processors=ids)
        given = {
            "settings": service.settings.model_dump(mode="json"), "options": msgspec.to_builtins(options),
            "dies_at": dies_at, "old_seconds": old_seconds,
        }  # fmt: skip
        with (service.folder / f"cloud-{os.urandom(3).hex()}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-c", _RUN], stdin=subprocess.PIPE, stderr=log, start_new_session=True
            )
        workers.append(process)
        assert process.stdin is not None
        process.stdin.write(json.dumps(given).encode() + b"\n")
        process.stdin.close()
        return process

    return run


def planned(service: WorkerService, documents: int) -> None:
    """Waits until all that so many documents need is the cloud step."""
    query = "SELECT count(DISTINCT document_id) FROM slice WHERE step = 'cloud'"
    wait_for(lambda: rows(service, query)[0][0] == documents, 90)


def submit(service: WorkerService, data: bytes, urgency: Urgency = Urgency.BULK) -> Accepted:
    return service.submit(data, options=CLOUD, urgency=urgency)


def widths(service: WorkerService, one: Accepted) -> list[int]:
    """Of the pages as the server saw them; their height is 200."""
    pages = json.loads(service.result(one, "document.json"))["pages"]
    return [round(page["dimension"]["width"] / page["dimension"]["height"] * 200) for page in pages]


def rows(service: WorkerService, query: str) -> list[Any]:
    with service.runtime.ledger.reading() as session:
        return list(session.execute(text(query)).all())


def money(service: WorkerService) -> tuple[int, int, int]:
    """(settled, reserved, lost), in micro-dollars."""
    service.runtime.budgets.fold()
    sums = service.runtime.budgets.month_spend(TENANT)
    return (
        sum(one.settled_micros for one in sums),
        sum(one.reserved_micros for one in sums),
        sum(one.lost_micros for one in sums),
    )


def told(service: WorkerService, event: str) -> list[dict[str, Any]]:
    """What any cloud worker logged."""
    found = []
    for path in service.folder.glob("cloud-*.log"):
        entries = [json.loads(line) for line in path.read_text().splitlines() if line.startswith("{")]
        found += [entry for entry in entries if entry["event"] == event]
    return found


def counters(service: WorkerService, *accepted: Accepted) -> set[tuple[int, int]]:
    slices = [row for one in accepted for row in service.slices(one) if row.step == Step.CLOUD]
    return {(row.error_count, row.crash_count) for row in slices}


def test_bulk_documents_are_read_in_one_batch_and_urgent_ones_are_not(
    service: WorkerService, server: Server, cloud: Any
) -> None:
    service.worker(slots=2)
    pages = (range(200, 201), range(210, 233), range(240, 243))
    accepted = [submit(service, scan(*each)) for each in pages]
    urgent = submit(service, scan(300, 301), Urgency.NORMAL)
    planned(service, 4)
    process = cloud(service, old_seconds=0.5)
    for each, one in zip(pages, accepted, strict=True):
        view = service.wait_end(one, 90)
        assert (view.state, view.pages_read) == (DocumentState.SUCCEEDED, len(each))
        assert widths(service, one) == list(each)
        assert view.cost_usd == pytest.approx(len(each) * MICROS / 1e6)
    assert service.wait_end(urgent).state is DocumentState.SUCCEEDED
    [ended] = told(service, "batch_ended")
    assert (ended["read"], ended["failed"]) == (5, 0)  # slices of ten pages
    assert len(told(service, "request_answered")) == 1, "the urgent one"
    assert counters(service, *accepted) == {(0, 0)}
    assert money(service) == (29 * MICROS, 0, 0)
    # nothing of a customer stays behind, neither in the bucket nor as rows
    wait_for(lambda: not server.objects("us-bucket"))
    wait_for(lambda: not rows(service, "SELECT 1 FROM cloud_file UNION ALL SELECT 1 FROM cloud_batch"))
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    audit(service.runtime.ledger)
