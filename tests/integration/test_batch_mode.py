"""Pages read in batches: real ledger, store, sandbox and workers, and as counterpart the real `documentai-server`.

The cloud worker is a process of its own, which tests kill at chosen places.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from sqlalchemy import text
from test_cloud_worker import scan
from worker_service import TENANT, WorkerService, wait_for

from docfleet.documentai_server.app import DocumentAIServer
from docfleet.documentai_server.options import Listener, ServerOptions
from docfleet.documentai_server.readers import ReaderOptions
from docfleet.documentai_server.storage import StorageOptions
from docfleet.domain.cascade import Escalation, OnRefusal, Reason
from docfleet.domain.urgency import Urgency
from docfleet.domain.work import DocumentState, Step
from docfleet.ledger import Plan
from docfleet.ledger.service_values import Accepted, ReadingOptions
from docfleet.pipeline.assemble import StoredPages
from docfleet.worker.cloud.orders import CloudOrder, cloud_slices
from docfleet.worker.cloud.parts import ENGINE
from documentai_clients import client_over
from documentai_double import options_for
from ledger_driver import audit

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
batch_keeping.OLD_LOOK_SECONDS = 0.5
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
    """Document AI's language spoken by docfleet itself, with its buckets in a folder."""

    def __init__(self, folder: Path) -> None:
        self.buckets = folder / "buckets"
        options = ServerOptions(
            readers=ReaderOptions(settings={"reading": {"engine": "null"}}, readers=1, waiting=8),
            listeners=(Listener("plain"),),
            storage=StorageOptions(self.buckets),
            data_folder=folder / "data",
            emulation_port=0,
            grace_seconds=1.0,
        )
        self.running = DocumentAIServer(options)
        self.running.__enter__()
        self.address = str(self.running.addresses[0].grpc)

    def emulate(self, **plan: Any) -> None:
        httpx.put(f"{self.running.emulation_address}/emulation", json=plan).raise_for_status()

    def objects(self, bucket: str) -> list[str]:
        folder = self.buckets / bucket
        # `walk`, since `rglob` raises for a folder that goes while it looks
        found = (Path(root, name) for root, _, names in os.walk(folder) for name in names)
        return sorted(str(path.relative_to(folder)) for path in found)

    def operations(self, place: str = "us") -> list[Any]:
        """Every one there ever was."""
        name = f"projects/tests/locations/{place}"
        with client_over("grpc", self.running.addresses[0]) as client:
            return list(client.list_operations({"name": name}).operations)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path / "server")
    yield made
    made.running.__exit__(None, None, None)


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
            "overrides": {"prices": {"ocr": {"free_pages": 0}}},
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


def in_cloud(service: WorkerService, *widths: int, urgency: Urgency = Urgency.BULK) -> Accepted:
    """A scan whose pages a cloud engine is to read; its plan is made here and now."""
    ledger = service.runtime.ledger
    one = service.submit(scan(*widths), "scan.pdf", options=CLOUD, urgency=urgency)
    [claim] = ledger.claim_next("planner", ["pdf"])
    order = CloudOrder(
        ENGINE, OnRefusal.FAIL, tuple(Escalation(page, Reason.FORCED, "") for page in range(1, len(widths) + 1))
    )
    ledger.finish(claim, next_slices=cloud_slices(order), plan=Plan(len(widths)))
    return one


def wait_read(service: WorkerService, one: Accepted, seconds: float = 90) -> None:
    """Until every page of it has ended."""
    wait_for(lambda: {row.state for row in service.slices(one) if row.step == Step.CLOUD} == {"done"}, seconds)


def outcomes(service: WorkerService, one: Accepted) -> list[str]:
    return [record.page.outcome for record in service.runtime.ledger.pages_of(one.document_id)]


def widths_of(service: WorkerService, one: Accepted) -> list[int]:
    """Of its pages as the server saw them; their height is 200."""
    records = list(service.runtime.ledger.pages_of(one.document_id))
    wrapped = service.runtime.desk.wrapped_key(TENANT, one.document_id)
    pages = StoredPages(service.runtime.content_store(wrapped), records)
    sizes = [page.page.dimension for page in pages]
    return [round(size.width / size.height * 200) for size in sizes if size is not None]


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


def stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0


def test_bulk_documents_are_read_in_one_batch_and_urgent_ones_are_not(
    service: WorkerService, server: Server, cloud: Any
) -> None:
    given = (range(200, 201), range(210, 233), range(240, 243))
    accepted = [in_cloud(service, *each) for each in given]
    urgent = in_cloud(service, 300, 301, urgency=Urgency.NORMAL)
    process = cloud(service, old_seconds=0.5, batch_wait_seconds=4.0)
    for each, one in zip(given, accepted, strict=True):
        wait_read(service, one)
        assert outcomes(service, one) == ["read"] * len(each)
        assert widths_of(service, one) == list(each)
        costs = [record.page.cost_usd for record in service.runtime.ledger.pages_of(one.document_id)]
        assert costs == pytest.approx([MICROS / 1e6] * len(each))
    wait_read(service, urgent)
    [ended] = told(service, "batch_ended")
    assert (ended["read"], ended["failed"]) == (5, 0), "slices of ten pages"
    assert len(told(service, "request_answered")) == 1, "the urgent one"
    assert counters(service, *accepted) == {(0, 0)}
    assert money(service) == (29 * MICROS, 0, 0)
    # nothing of a customer stays behind, neither in the bucket nor as rows
    wait_for(lambda: not server.objects("us-bucket"))
    wait_for(lambda: not rows(service, "SELECT id FROM cloud_file"))
    stop(process)


@pytest.mark.parametrize(
    "dies_at",
    [
        ("submit", "after"),
        pytest.param(("submit", "before"), marks=pytest.mark.slow),
        pytest.param(("poll", "before"), marks=pytest.mark.slow),
    ],
    ids="-".join,
)
def test_a_worker_that_is_killed_costs_nothing_twice(
    on_postgres: WorkerService, server: Server, cloud: Any, dies_at: tuple[str, str]
) -> None:
    service = on_postgres
    accepted = [in_cloud(service, width, width + 1) for width in (200, 210)]
    first = cloud(service, dies_at=dies_at, batch_wait_seconds=5.0)
    assert first.wait(60) == -signal.SIGKILL
    assert {row.state for one in accepted for row in service.slices(one) if row.step == Step.CLOUD} == {"queued"}
    second = cloud(service)
    for width, one in zip((200, 210), accepted, strict=True):
        wait_read(service, one)
        assert widths_of(service, one) == [width, width + 1]
    assert len(server.operations()) == rows(service, "SELECT count(*) FROM cloud_batch")[0][0]
    assert not told(service, "request_answered")
    assert money(service) == (4 * MICROS, 0, 0)
    slices = [row for one in accepted for row in service.slices(one) if row.step == Step.CLOUD]
    assert {(row.error_count, row.crash_count, row.loss_count, row.attempt) for row in slices} == {(0, 0, 0, 2)}
    wait_for(lambda: not server.objects("us-bucket"))
    stop(second)
    audit(service.runtime.ledger)


@pytest.mark.slow
def test_a_bad_file_goes_on_alone_and_a_cancelled_one_is_dropped(
    on_postgres: WorkerService, server: Server, cloud: Any
) -> None:
    service = on_postgres
    good, bad, cancelled = (in_cloud(service, width) for width in (200, 210, 220))
    process = cloud(service, batch_wait_seconds=6.0)
    parked = "SELECT key, slice_id FROM cloud_file WHERE state = 'staged' ORDER BY slice_id"
    wait_for(lambda: len(rows(service, parked)) == 3, 60)
    by_document = {row.document_id: row for row in rows(service, "SELECT document_id, key FROM cloud_file")}
    folder = server.buckets / "us-bucket" / "docfleet"
    (folder / by_document[bad.document_id].key).write_bytes(b"nothing")
    service.runtime.desk.cancel(TENANT, cancelled.document_id)
    wait_for(lambda: not (folder / by_document[cancelled.document_id].key).exists())
    for width, one in ((200, good), (210, bad)):
        wait_read(service, one)
        assert (outcomes(service, one), widths_of(service, one)) == (["read"], [width])
    [ended] = told(service, "batch_ended")
    assert (ended["read"], ended["failed"]) == (1, 1)
    assert len(told(service, "request_answered")) == 1, "the bad one, by itself"
    assert service.view(cancelled).state is DocumentState.CANCELLED
    assert money(service) == (2 * MICROS, 0, 0)
    wait_for(lambda: not server.objects("us-bucket"))
    stop(process)


@pytest.mark.slow
def test_cancelled_while_its_batch_runs_it_is_paid_for_and_deleted(
    on_postgres: WorkerService, server: Server, cloud: Any
) -> None:
    service = on_postgres
    server.emulate(latencies=[{"type": "batch", "fixed_seconds": 6.0}])
    kept, cancelled = (in_cloud(service, width) for width in (200, 210))
    process = cloud(service)
    wait_for(lambda: told(service, "batch_began"), 60)
    service.runtime.desk.cancel(TENANT, cancelled.document_id)
    wait_read(service, kept)
    wait_for(lambda: not server.objects("us-bucket"))
    wait_for(lambda: money(service)[1] == 0)
    settled, _, lost = money(service)
    assert (settled - lost, lost in (0, MICROS)) == (MICROS, True)
    stop(process)


@pytest.mark.slow
def test_each_tenant_stays_in_its_location(on_postgres: WorkerService, server: Server, cloud: Any) -> None:
    service = on_postgres
    one = in_cloud(service, 200)
    process = cloud(service, "us", "eu", residency={TENANT: ("eu",)})
    wait_read(service, one)
    assert (len(server.operations("us")), len(server.operations("eu"))) == (0, 1)
    assert not (server.buckets / "us-bucket").exists() or not server.objects("us-bucket")
    stop(process)


@pytest.mark.slow
def test_what_cannot_be_asked_for_is_read_by_requests(on_postgres: WorkerService, server: Server, cloud: Any) -> None:
    service = on_postgres
    server.emulate(errors=[{"type": "batch", "rate": 1.0, "code": "PERMISSION_DENIED"}])
    accepted = [in_cloud(service, width) for width in (200, 210)]
    process = cloud(service)
    for width, one in zip((200, 210), accepted, strict=True):
        wait_read(service, one)
        assert widths_of(service, one) == [width]
    assert told(service, "batch_given_up")
    assert counters(service, *accepted) == {(0, 0)}
    assert money(service) == (2 * MICROS, 0, 0)
    wait_for(lambda: not server.objects("us-bucket"))
    stop(process)
