"""A cloud worker that is killed in the middle of its calls: nothing is lost, nothing comes twice, the money is told.

The worker is a process of its own, with the real client over real gRPC to a small server in this process.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import select, text
from test_cloud_worker import CLOUD, image
from worker_service import TENANT, WorkerService, wait_for

from cloud_double import page_names
from docfleet.domain.work import DocumentState, Step
from docfleet.ledger.budgets import Budgets
from docfleet.ledger.money_rows import RESERVATION
from docfleet.ledger.rows import EVENT
from documentai_double import Double, options_for, pages_document, running
from ledger_driver import PostgresServer, audit

_RUN = """
import json, sys
from docfleet.settings import Settings
from docfleet.telemetry import configure_logs
from docfleet.worker.cloud.service import run_cloud_worker
given = json.loads(sys.stdin.readline())
configure_logs("info")
sys.exit(run_cloud_worker(Settings.model_validate(given["settings"] | {"documentai": given["options"]})))
"""
DOCUMENTS = range(200, 212)


@pytest.fixture
def service(postgres: PostgresServer, tmp_path: Path) -> Iterator[WorkerService]:
    service = WorkerService(tmp_path, postgres.url(postgres.new_ledger()))
    yield service
    service.close()


def start(service: WorkerService, double: Double) -> subprocess.Popen[bytes]:
    options = options_for(
        double.address, "us", "eu", overrides={"quotas": {"online_requests_per_minute": {"*": 6000.0}}}
    )
    given: dict[str, Any] = {
        "settings": service.settings.model_dump(mode="json"), "options": msgspec.to_builtins(options)
    }  # fmt: skip
    with (service.folder / f"cloud-{os.urandom(3).hex()}.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", _RUN], stdin=subprocess.PIPE, stderr=log, start_new_session=True
        )
    assert process.stdin is not None
    process.stdin.write(json.dumps(given).encode() + b"\n")
    process.stdin.close()
    return process


def count(service: WorkerService, condition: str) -> int:
    with service.runtime.ledger.reading() as session:
        return int(
            session.execute(text(f"SELECT count(*) FROM slice WHERE step = 'cloud' AND {condition}")).scalar_one()
        )


@pytest.mark.slow
def test_killed_in_the_middle_of_its_calls(service: WorkerService) -> None:
    let_go = threading.Event()

    def answer(request: Any, metadata: dict[str, str]) -> Any:
        names = page_names(request.raw_document.content)
        let_go.wait(60)
        return pages_document([f"{name}\n" for name in names])

    service.worker(slots=2)
    accepted = {width: service.submit(image(width), f"{width}.png", options=CLOUD) for width in DOCUMENTS}
    wait_for(lambda: count(service, "state = 'queued'") == len(accepted), 60)
    with running(answer) as double, service.dispatching(hints=False):
        first = start(service, double)
        wait_for(lambda: double.requests and count(service, "state = 'running'") == len(accepted), 60)
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
        let_go.set()
        second = start(service, double)
        try:
            for width, one in accepted.items():
                assert service.wait_end(one, 90).state is DocumentState.SUCCEEDED
                assert service.result(one, "document.txt").decode().split() == [f"{width}x200"]
        finally:
            second.send_signal(signal.SIGTERM)
            assert second.wait(60) == 0
    ledger = service.runtime.ledger
    audit(ledger)
    slices = [row for one in accepted.values() for row in service.slices(one) if row.step == Step.CLOUD]
    # a whole worker that dies is nobody's crash
    assert {(row.crash_count, row.error_count, row.loss_count, row.attempt) for row in slices} == {(0, 0, 1, 2)}
    with ledger.reading() as session:
        ended = session.execute(select(EVENT.c.slice_id).where(EVENT.c.to_state == "done")).scalars().all()
    assert len(ended) == len(set(ended))
    money(service, len(accepted))


def money(service: WorkerService, documents: int) -> None:
    """What the dead worker had reserved counts as spent; what was read is settled at the price told of its pages."""
    budgets: Budgets = service.runtime.budgets
    budgets.repair_reservations(0.0)
    budgets.fold()
    with service.runtime.ledger.reading() as session:
        states = session.execute(select(RESERVATION.c.state, RESERVATION.c.slice_id)).all()
    assert {state for state, _ in states} == {"settled", "lost"}
    assert len({slice_id for state, slice_id in states if state == "settled"}) == documents
    told = sum(view.cost_usd for view in service.runtime.desk.documents(TENANT, limit=100).items)
    sums = budgets.month_spend(TENANT)
    settled, lost = sum(one.settled_micros for one in sums), sum(one.lost_micros for one in sums)
    assert sum(one.reserved_micros for one in sums) == 0
    assert settled - lost == round(told * 1e6)


def test_asked_to_stop_it_ends_its_calls(service: WorkerService) -> None:
    def answer(request: Any, metadata: dict[str, str]) -> Any:
        threading.Event().wait(1.0)
        return pages_document([f"{name}\n" for name in page_names(request.raw_document.content)])

    service.worker(slots=2)
    one = service.submit(image(200), options=CLOUD)
    with running(answer) as double:
        process = start(service, double)
        wait_for(lambda: len(double.requests) == 1, 60)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    assert service.wait_end(one).state is DocumentState.SUCCEEDED
    assert len(double.requests) == 1
