"""Demand, reasons, forecasts and metrics over the API, the SDK and the command line."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import msgspec
import pytest
from sqlalchemy import text

from docfleet.client import Client
from docfleet.domain.access import Permission, Role
from docfleet.domain.scaling import ScalingPolicy
from docfleet.domain.urgency import Pool
from docfleet.errors import Forbidden, NotFound
from docfleet.fleet.caps import NO_CAPS
from docfleet.fleet.deciding import Decider, Deciding, PoolPlan
from docfleet.fleet.forecast.base import Forecast, Score, Trust
from docfleet.fleet.gauges import NAMES, exposition
from docfleet.fleet.outlook import Forecasts, Kept
from docfleet.ledger.fleet_book import FleetBook
from docfleet.ledger.fleet_history import HOUR
from docfleet.telemetry import metrics
from docfleet.telemetry.catalog import METRICS, PROCESS
from serving import PDF, Served, serving


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("fleet")) as running:
        yield running


@pytest.fixture
def book(served: Served) -> FleetBook:
    return FleetBook(served.parts.ledger, served.parts.options.region)


@pytest.fixture
def client(served: Served) -> Iterator[Client]:
    with Client(served.url, served.key(), retry_seconds=2) as opened:
        yield opened


def decide(served: Served, book: FleetBook) -> None:
    plan = PoolPlan(ScalingPolicy(max_workers=20), 2.0)
    parts = Deciding(
        book, served.parts.ledger.workers, {Pool.PDF: plan}, lambda pool, times: NO_CAPS, Forecasts(book, 0.9, True)
    )
    Decider(parts).look(0.0)


def test_a_pool_nobody_decided_on_is_an_error_and_no_zero(served: Served) -> None:
    with served.client() as http:
        answer = http.get("/v1/fleet/demand/cloud")
    assert (answer.status_code, answer.json()["code"]) == (503, "demand_unknown")
    assert "workers" not in answer.json()


def test_what_is_wanted_and_why(served: Served, book: FleetBook, client: Client) -> None:
    decide(served, book)
    client.submit(PDF, name="a.pdf")
    decide(served, book)
    demand = client.fleet.demand("pdf")
    assert demand.workers >= 1
    assert " pdf workers: " in demand.reason
    assert {need.rule for need in demand.needs} >= {"target", "arrivals", "minimum"}
    assert demand.load is not None
    assert [(one.priority, one.waiting_documents) for one in demand.load.by_priority] == [("normal", 1)]
    assert demand.age_seconds < 30
    assert [one.pool for one in client.fleet.demands()] == ["pdf"]
    log = client.fleet.decisions("pdf", limit=5)
    assert log[0].reason == demand.reason
    assert client.fleet.decisions("pdf", before=log[-1].id) == []


def test_a_demand_that_nobody_renews_is_no_number(served: Served, book: FleetBook, client: Client) -> None:
    decide(served, book)
    with served.parts.ledger.unit_of_work() as session:
        session.execute(text("UPDATE fleet_demand SET decided_at = decided_at - 61"))
    with served.client() as http:
        answer = http.get("/v1/fleet/demand/pdf")
    assert (answer.status_code, answer.json()["code"]) == (503, "demand_unknown")
    assert client.fleet.demands()[0].age_seconds > 60, "people still see it, with its age"


def test_what_there_is_not_is_refused(served: Served) -> None:
    with served.client() as http:
        assert http.get("/v1/fleet/demand/gpu").status_code in (400, 404, 422)
        assert http.get("/v1/fleet/decisions?limit=0").status_code in (400, 422)
        assert http.get("/v1/fleet/history/pdf?step=second").status_code in (400, 422)


@pytest.mark.parametrize("path", ["/v1/fleet/demand", "/v1/fleet/demand/pdf", "/v1/fleet/decisions", "/metrics"])
def test_only_those_who_may_see_the_fleet_see_it(served: Served, path: str) -> None:
    with served.client(served.key(role=Role.SUBMITTER)) as http:
        assert http.get(path).status_code == 403
    with httpx.Client(base_url=served.url) as http:
        assert http.get(path).status_code == 401
    scraper = served.key(role=Role.OPERATOR, scopes=(Permission.READ_FLEET,))
    with served.client(scraper) as http:
        assert http.get("/metrics").status_code == 200
        assert http.get("/v1/documents").status_code == 403


def test_a_submitter_is_told_so_by_the_sdk(served: Served) -> None:
    with Client(served.url, served.key(role=Role.SUBMITTER), retry_seconds=2) as client, pytest.raises(Forbidden):
        client.fleet.demands()


def test_metrics_are_those_declared(served: Served, book: FleetBook, client: Client) -> None:
    client.submit(PDF + b"%% that waits", name="waits.pdf")
    decide(served, book)
    with served.client() as http:
        answer = http.get("/metrics")
        as_open = http.get("/metrics", headers={"accept": "application/openmetrics-text; version=1.0.0"})
    assert answer.headers["content-type"].startswith("text/plain")
    assert as_open.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert as_open.text.endswith("# EOF\n")
    lines = answer.text.splitlines()
    told = {line.split()[2] for line in lines if line.startswith("# TYPE")}
    assert set(NAMES) <= told <= {*METRICS, *PROCESS}
    samples = [line for line in lines if line.startswith("docfleet_fleet_")]
    assert samples
    sample = re.compile(r'docfleet_fleet_\w+\{pool="\w+",(priority="\w+",)?region="[^"]*"\} -?[0-9.e+-]+')
    assert all(sample.fullmatch(line) for line in samples)


def test_without_the_package_the_fleet_is_told_all_the_same(served: Served, book: FleetBook) -> None:
    decide(served, book)
    lines = exposition(book.demands()).splitlines()
    assert {line.split()[2] for line in lines if line.startswith("# TYPE")} == set(NAMES)
    sample = re.compile(r'docfleet_fleet_\w+\{pool="\w+",region="[^"]*"(,priority="\w+")?\} -?[0-9.e+]+')
    samples = [line for line in lines if not line.startswith("#")]
    assert samples
    assert all(sample.fullmatch(line) for line in samples)


def test_requests_are_told_by_the_template_of_their_route(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "BOOK", metrics.Book())
    monkeypatch.setattr(metrics, "_enabled", True)
    with served.client() as http:
        for path in ("/v1/documents/0123456789abcdef0123456789abcdef", "/v1/nothing-of-this-name/x", "/v1/me"):
            http.get(path)
        http.head("/healthz")
        http.request("TRACE", "/v1/me")
        text = http.get("/metrics").text
    counts = {
        (found["method"], found["route"], found["status"])
        for found in re.finditer(
            r'duration_seconds_count\{method="(?P<method>\w+)",route="(?P<route>[^"]+)",status="(?P<status>\w+)"\} 1',
            text,
        )
    }
    assert counts == {
        ("GET", "/v1/documents/{document_id}", "4xx"),
        ("GET", "none", "4xx"),
        ("GET", "/v1/me", "2xx"),
        ("HEAD", "/healthz", "2xx"),
        ("other", "/v1/me", "4xx"),
    }
    assert 'docfleet_refusals_total{code="not_found"} 2.0' in text
    assert "docfleet_http_requests_in_flight 1.0" in text
    assert "0123456789abcdef" not in text


def test_a_forecast_is_shown_with_its_models(book: FleetBook, client: Client) -> None:
    with pytest.raises(NotFound):
        client.fleet.forecast("image")
    start = book.now() // HOUR * HOUR
    made = Forecast(
        "seasonal", start, 3600.0, (0.05, 0.5, 0.95), ((1.0,) * 48, (5.0,) * 48, (9.0,) * 48),
        (Score("seasonal", 0.12), Score("last value", 0.3)), Trust(True, "11 of 12 held"),
    )  # fmt: skip
    book.keep_forecast("pdf", HOUR, msgspec.json.encode(Kept(made)).decode())
    told = client.fleet.forecast("pdf")
    assert (told.model, told.trusted, told.levels) == ("seasonal", True, (0.05, 0.5, 0.95))
    assert [score.model for score in told.scores] == ["seasonal", "last value"]
    assert len(told.values[1]) == 48


def test_history_is_what_happened(served: Served, book: FleetBook, client: Client) -> None:
    before = sum(step.arrived for step in client.fleet.history("pdf").items)
    for number in range(3):
        client.submit(PDF + b"%% %d" % number, name=f"{number}.pdf")
    for _ in range(3):
        book.count_events()
    now = sum(step.arrived for step in client.fleet.history("pdf", "five_minutes", 1.0).items)
    assert now >= before + 3


def docfleet(served: Served, folder: Path, *arguments: str) -> str:
    (folder / "key").write_text(served.key())
    ran = subprocess.run(
        [sys.executable, "-m", "docfleet", "fleet", *arguments, "--to", served.url, "--key-file", str(folder / "key")],
        capture_output=True, text=True, check=False, env={**os.environ, "DOCFLEET_LOG": "error"},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_at_the_command_line(served: Served, book: FleetBook, tmp_path: Path) -> None:
    decide(served, book)
    assert "pdf" in docfleet(served, tmp_path, "status")
    [demand] = json.loads(docfleet(served, tmp_path, "status", "--json"))
    assert demand["pool"] == "pdf"
    said = docfleet(served, tmp_path, "explain", "pdf")
    assert "What each rule asks for" in said
    assert "The latest changes" in said
    assert "Nobody has decided" in docfleet(served, tmp_path, "explain", "image")
    told = json.loads(docfleet(served, tmp_path, "explain", "pdf", "--json"))
    assert told["decisions"]
