"""What real processes tell of a real run: what is documented, all of it, and right when slots die and roles end."""

from __future__ import annotations

import json
import os
import signal
import socket
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families
from test_serve import connect, running

from docfleet.errors import DocfleetError
from docfleet.stack.servers import _free_port
from docfleet.telemetry.catalog import METRICS, PROCESS
from docfleet.telemetry.kinds import Told
from documentai_clients import pdf_of
from running import docfleet, end, start, wait_for

NOT_IN_THIS_RUN = {
    "docfleet_fleet_forecast_documents": "there is no history to forecast from",
    "docfleet_certificate_expiry_timestamp_seconds": "there is no TLS",
    "docfleet_broker_up": "there is no broker",
    "docfleet_dispatcher_hints_published_total": "there is no broker",
    "docfleet_webhook_deliveries_total": "there is no webhook",
}
"""Why a documented metric has no sample in the run below."""
Samples = Mapping[str, Mapping[tuple[tuple[str, str], ...], float]]


def scrape(port: int) -> Samples:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as answer:
        text = answer.read().decode()
    found: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
    return found


def total(samples: Samples, name: str, **labels: str) -> float:
    """Of all series with these labels."""
    return sum(value for series, value in samples.get(name, {}).items() if set(labels.items()) <= set(series))


def metrics_of(samples: Samples) -> set[str]:
    names = set()
    for name in samples:
        base = name.removesuffix("_bucket").removesuffix("_count").removesuffix("_sum")
        names.add(name if name in METRICS or name in PROCESS else base)
    return names


@pytest.fixture
def documentai(tmp_path: Path) -> Iterator[tuple[str, int]]:
    """(address, port of its metrics) of a Document AI server in a process of its own."""
    port = _free_port()
    process = start(
        "documentai-server", "--engine", "null", "--grpc-port", 0, "--rest-port", 0, "--readers", 1,
        env={"DOCFLEET_TELEMETRY__METRICS_PORT": str(port)},
    )  # fmt: skip
    try:
        assert process.stdout is not None
        line = process.stdout.readline().decode()
        assert " gRPC on " in line, process.stderr.read().decode() if process.stderr else ""
        yield line.strip().rpartition(" ")[2], port
    finally:
        end(process)


def test_a_run_tells_what_is_documented(tmp_path: Path, documentai: tuple[str, int]) -> None:
    endpoint, server_port = documentai
    port = _free_port()
    env = {
        "DOCFLEET_TELEMETRY__METRICS_PORT": str(port),
        "DOCFLEET_DOCUMENTAI__PROJECT": "tests",
        "DOCFLEET_DOCUMENTAI__PROCESSORS": json.dumps([{"id": "ocr", "location": "eu"}]),
        "DOCFLEET_DOCUMENTAI__ENDPOINT": endpoint,
        "DOCFLEET_DOCUMENTAI__INSECURE": "true",
        "DOCFLEET_DOCUMENTAI__ANONYMOUS": "true",
        "DOCFLEET_DOCUMENTAI__RESIDENCY": json.dumps({"default": ["eu"]}),
    }
    arguments = ("serve", "--port", 0, "--data", tmp_path / "data", "--slots", 2)
    with running(*arguments, folder=tmp_path, **env) as (process, said):
        client = connect(said["url"], said["api_key"])
        client.budgets.set(5.0, "stop", engine="documentai")
        documents = [client.submit(pdf_of(f"number {n}"), name=f"{n}.pdf") for n in range(3)]
        documents.append(client.submit(pdf_of("cloud"), name="cloud.pdf", engine="documentai", mode="ocr"))
        with pytest.raises(DocfleetError):
            client.submit(b"no document at all", name="none.pdf")
        assert {document.wait(90).state for document in documents} == {"succeeded"}
        wait_for(lambda: total(scrape(port), "docfleet_documents_in_time_total") == 4, 60)
        before = scrape(port)
        assert total(before, "docfleet_documents_ended_total", outcome="succeeded", pool="pdf") == 4
        assert total(before, "docfleet_document_duration_seconds_count") == 4
        assert total(before, "docfleet_engine_requests_total", process="cloud", outcome="ok") == 1
        assert total(before, "docfleet_slots", process="worker") == 2
        assert ".pdf" not in str(before), "a file's name"

        # what slots have measured outlives them
        slots = [one for one in psutil.Process(process.pid).children(recursive=True) if _is_slot(one)]
        assert len(slots) == 2
        for slot in slots:
            os.killpg(slot.pid, signal.SIGKILL)
        wait_for(lambda: total(scrape(port), "docfleet_slot_deaths_total", cause="worker_died") == 2, 60)
        wait_for(lambda: "docfleet_pool_stuck" in scrape(port), 60)
        after = scrape(port)
        for name in ("docfleet_stage_duration_seconds_count", "docfleet_slices_total"):
            assert total(after, name, process="worker") == total(before, name, process="worker") > 3
        told = metrics_of(after) | metrics_of(scrape(server_port))
        assert {dict(series)["process"] for series in after["process_open_fds"]} == {"serve", "worker", "cloud"}

    assert told <= {*METRICS, *PROCESS}
    assert {*METRICS, *PROCESS} - told == set(NOT_IN_THIS_RUN), "documented, and not told"


def _is_slot(process: psutil.Process) -> bool:
    return "docfleet.worker.slot" in process.cmdline()


@pytest.mark.parametrize(
    "role",
    [
        ("dispatcher",),
        pytest.param(("worker", "--pool", "pdf"), marks=pytest.mark.slow),
        pytest.param(("api", "--port", "0"), marks=pytest.mark.slow),
    ],
)
def test_a_port_that_is_taken_ends_a_role_with_a_sentence(role: tuple[str, ...], tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        env = {
            "DOCFLEET_SERVICE__DATA_FOLDER": str(tmp_path / "data"),
            "DOCFLEET_TELEMETRY__METRICS_PORT": str(taken.getsockname()[1]),
        }
        ran = docfleet(*role, env=env, seconds=60)
    assert ran.exit_code == 2
    assert "Metrics cannot be served on 127.0.0.1" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_who_tells_a_metric_is_one_of_those_who_run() -> None:
    assert {metric.told for metric in METRICS.values()} == set(Told)
