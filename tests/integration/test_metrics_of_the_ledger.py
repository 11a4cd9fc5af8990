"""What the leading dispatcher tells out of the ledger: its own sums, never an error, and only while it leads."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import insert, text, update

from docfleet.domain.budgeting import ALL, BudgetPolicy, Refused
from docfleet.domain.load import PoolLoad
from docfleet.domain.retry import Failure
from docfleet.domain.scaling import Decision, ScalingMemory
from docfleet.domain.tallying import Measure
from docfleet.errors import EngineFailed, PasswordRequired
from docfleet.fleet.forecast.base import Forecast, Score, Trust
from docfleet.fleet.outlook import Kept
from docfleet.ledger.dialect import database_now
from docfleet.ledger.fleet_history import HOUR
from docfleet.ledger.money_rows import SPEND
from docfleet.ledger.money_values import Ask
from docfleet.ledger.report_values import ReportKind, StoredReport
from docfleet.ledger.reports import Reports
from docfleet.ledger.service_rows import WORKER
from docfleet.ledger.service_values import WorkerFacts
from docfleet.ledger.standing import look
from docfleet.ledger.tallies import TallyRow
from docfleet.runtime import Runtime
from docfleet.settings import Settings
from docfleet.stack.ledger_metrics import LedgerMetrics, of_forecast, of_tallies
from docfleet.telemetry import catalog
from docfleet.telemetry.kinds import Metric
from docfleet.telemetry.metrics import Measured
from ledger_driver import PostgresServer
from service_driver import submit

REGION = "eu"


@pytest.fixture(params=["sqlite", "postgres"])
def runtime(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Runtime]:
    service = {"data_folder": str(tmp_path), "region": REGION}
    if request.param == "postgres":
        server: PostgresServer = request.getfixturevalue("postgres")
        service["ledger_url"] = server.url(server.new_ledger())
    with Runtime(Settings.model_validate({"service": service})) as made:
        made.access.ensure_tenant("acme", "Acme")
        yield made


@pytest.fixture
def leading() -> threading.Event:
    found = threading.Event()
    found.set()
    return found


@pytest.fixture
def told(runtime: Runtime, leading: threading.Event) -> LedgerMetrics:
    return LedgerMetrics(runtime, leading, ("pdf", "image"))


def values(told: LedgerMetrics, metric: Metric) -> dict[tuple[str, ...], float]:
    return {one.labels: one.value for one in told.readings() if one.metric == metric.name}


def settle(runtime: Runtime) -> None:
    for _ in range(3):
        # on Postgres a look counts what the look before has seen
        while runtime.tallies.count_events():
            pass


def fail(runtime: Runtime, name: str, error: type[Exception]) -> None:
    ledger = runtime.ledger
    submit(ledger, name)
    [claim] = ledger.claim_next("w/0", ["pdf"])
    ledger.fail(claim, Failure.of_error(error("It is so.")))


def test_sums_are_those_of_the_ledger(runtime: Runtime, told: LedgerMetrics) -> None:
    told.refresh()
    # what has not happened is 0, and not missing: the first of its kind is an increase
    ended = (REGION, "pdf", "normal", "failed")
    assert values(told, catalog.ENDED)[ended] == 0
    assert values(told, catalog.DEAD_LETTERS_MADE)[REGION, "pdf", "engine_failed"] == 0
    submit(runtime.ledger, "waits.pdf", count=3)
    for _ in range(3):
        # whoever ends first decides nothing
        claims = runtime.ledger.claim_next("w/0", ["pdf"])
        runtime.ledger.hand_back(claims[0], "handed_back", 0.0)
    settle(runtime)
    told.refresh()
    assert values(told, catalog.ACCEPTED)[REGION, "pdf", "normal"] == 3
    assert values(told, catalog.RETRIES)[REGION, "pdf", "wait"] == 3
    assert values(told, catalog.COUNTED_AT)[REGION,] > 0
    assert values(told, catalog.DEAD_LETTERS)[()] == 0


def test_reports_that_fail_are_told_until_one_is_made_or_nobody_tries_any_more(
    runtime: Runtime, told: LedgerMetrics
) -> None:
    reports = Reports(runtime.ledger)
    told.refresh()
    assert values(told, catalog.REPORTS_FAILING) == {(): 0}
    reports.failed("acme", ReportKind.MONTH, "2026-01", "report_failed", "It is so.", [60.0])
    reports.failed("acme", ReportKind.MONTH, "2025-12", "report_failed", "Of a month nobody wants.", [-9000.0])
    told.refresh()
    assert values(told, catalog.REPORTS_FAILING) == {(): 1}
    made = StoredReport("reports/x/report.pdf", b"key", "0" * 64, 1)
    reports.keep("acme", ReportKind.MONTH, "2026-01", made, complete=True)
    told.refresh()
    assert values(told, catalog.REPORTS_FAILING) == {(): 0}


def test_failures_are_told_by_whose_fault_they_are(runtime: Runtime, told: LedgerMetrics) -> None:
    fail(runtime, "locked.pdf", PasswordRequired)
    for _ in range(3):
        [claim] = runtime.ledger.claim_next("w/0", ["pdf"]) or [None]
        if claim is not None:
            runtime.ledger.fail(claim, Failure.of_error(EngineFailed("It is so.")))
    settle(runtime)
    told.refresh()
    ended = values(told, catalog.ENDED)
    assert (ended[REGION, "pdf", "normal", "failed"], ended[REGION, "pdf", "normal", "broken"]) == (1, 0)
    assert values(told, catalog.DEAD_LETTERS)[()] == 1
    assert values(told, catalog.DEAD_LETTERS_MADE)[REGION, "pdf", "password_required"] == 1


def row(measure: Measure, amount: float, detail: str = "", region: str = "", pool: str = "pdf") -> TallyRow:
    return TallyRow(region, pool, "normal", measure, detail, amount)


def test_histograms_hold_what_the_tallies_hold() -> None:
    rows = [
        row(Measure.DURATION, 4, "5"),
        row(Measure.DURATION, 2, "10", REGION),
        row(Measure.DURATION, 1, "+Inf"),
        row(Measure.DURATION_SUM, 90000.5),
        row(Measure.DURATION, 9, "5", "us"),
        row(Measure.PAGES, 3, "their_engine"),
        row(Measure.PAGES, 4, "her_engine"),
    ]
    found = {(one.metric, one.labels): one for one in of_tallies(rows, REGION)}
    durations = found[catalog.DOCUMENT_DURATION.name, (REGION, "pdf", "normal")]
    bounds = (*catalog.DOCUMENT_DURATION.buckets, float("inf"))
    assert {bounds[index]: count for index, count in durations.counts.items()} == {5.0: 4, 10.0: 2, float("inf"): 1}
    assert durations.value == 90000.5
    assert found[catalog.PAGES_READ.name, (REGION, "pdf", "other")].value == 7
    assert not [key for key in found if key[1][0] == "us"]


def test_every_measure_is_told() -> None:
    details = {Measure.DURATION: "5", Measure.WAIT: "5", Measure.ENDED: "broken", Measure.RETRIES: "crash"}
    for measure in Measure:
        told = of_tallies([row(measure, 7, details.get(measure, ""))], REGION)
        assert [one for one in told if one.value == 7 or 7 in one.counts.values()], measure


def test_a_dispatcher_that_leads_no_more_says_nothing_of_the_fleet(
    told: LedgerMetrics, leading: threading.Event
) -> None:
    told.refresh()
    assert values(told, catalog.LEADS) == {(REGION,): 1.0}
    assert values(told, catalog.DEAD_LETTERS)
    leading.clear()
    # at once, and not only after the next look
    fleet = {one.metric for one in told.readings()} & {
        one.name for one in catalog.METRICS.values() if one.is_of_the_fleet
    }
    assert not fleet
    told.refresh()
    assert {one.metric: one.value for one in told.readings()} == {catalog.LEADS.name: 0.0, catalog.LEDGER_UP.name: 1.0}


def test_a_ledger_that_fails_is_told_and_costs_nothing_that_is_known(told: LedgerMetrics, runtime: Runtime) -> None:
    def rename(old: str, new: str) -> None:
        with runtime.ledger.unit_of_work() as session:
            session.execute(text(f"ALTER TABLE {old} RENAME TO {new}"))

    submit(runtime.ledger)
    settle(runtime)
    assert values(told, catalog.LEDGER_UP) == {(): 0.0}, "nobody has asked it yet"
    told.refresh()
    assert values(told, catalog.LEDGER_UP) == {(): 1.0}
    rename("tally", "gone")
    told.refresh()
    assert values(told, catalog.LEDGER_UP) == {(): 0.0}
    assert values(told, catalog.ACCEPTED)[REGION, "pdf", "normal"] == 1
    rename("gone", "tally")
    told.refresh()
    assert values(told, catalog.LEDGER_UP) == {(): 1.0}


def test_budgets_nearest_their_limit_come_first_and_a_month_of_its_own_counts(
    runtime: Runtime, told: LedgerMetrics
) -> None:
    budgets = runtime.budgets
    month = budgets.taken()[0]
    for number in range(4):
        runtime.access.ensure_tenant(f"t{number}", "T")
        budgets.set_budget(f"t{number}", "documentai", (number + 1) * 1_000_000, BudgetPolicy.STOP)
    budgets.set_budget("t1", "documentai", 0, BudgetPolicy.STOP, month)
    budgets.set_budget(ALL, ALL, 7_500_000, BudgetPolicy.STOP)
    with runtime.ledger.unit_of_work() as session:
        for tenant, spent in (("t2", 1_500_000), ("t3", 3_900_000)):
            session.execute(
                insert(SPEND).values(
                    tenant_id=tenant, engine="documentai", processor=ALL, month=month, reserved_micros=spent // 2,
                    settled_micros=spent - spent // 2, pages=1,
                )
            )  # fmt: skip
    nearest = look(runtime.ledger, None, most_budgets=2).budgets
    assert [(one.tenant, one.spent_micros) for one in nearest] == [("t3", 3_900_000), ("t2", 1_500_000)]
    told.refresh()
    limits, spent = values(told, catalog.BUDGET_LIMIT), values(told, catalog.BUDGET_SPENT)
    assert set(limits) == set(spent)
    assert limits["all/all/monthly",] == 7.5
    assert limits[f"t1/documentai/{month}",] == 0.0
    assert ("t1/documentai/monthly",) not in limits
    assert spent["t3/documentai/monthly",] == 3.9
    assert set(values(told, catalog.BUDGET_REFUSING).values()) == {0.0}
    ask = Ask(1, 1, "acme", "documentai", "OCR_PROCESSOR", 6_500)
    [refused] = budgets.reserve([ask])
    assert isinstance(refused, Refused)
    told.refresh()
    refusing = values(told, catalog.BUDGET_REFUSING)
    assert {budget for (budget,), value in refusing.items() if value} == {"all/all/monthly"}
    budgets.set_budget(ALL, ALL, 9_000_000, BudgetPolicy.STOP)
    told.refresh()
    assert set(values(told, catalog.BUDGET_REFUSING).values()) == {0.0}


def test_workers_that_end_are_counted_once_each(runtime: Runtime, told: LedgerMetrics) -> None:
    ledger = runtime.ledger
    for number in range(3):
        ledger.announce(WorkerFacts(f"w{number}", "host", "pdf", REGION, 2, "1"))
    ledger.end_worker("w0", "stopped")
    told.refresh()
    # what ended before anybody looked was told by whoever led then
    assert sum(values(told, catalog.WORKERS_ENDED).values()) == 0
    ledger.end_worker("w1", "stalled")
    with ledger.unit_of_work() as session:
        session.execute(update(WORKER).where(WORKER.c.name == "w2").values(seen_at=database_now() - 59.9))
    time.sleep(0.2)
    for _ in range(2):
        told.refresh()
        counts = {cause: count for (_, _, cause), count in values(told, catalog.WORKERS_ENDED).items() if count}
        assert counts == {"stalled": 1.0, "silent": 1.0}


def test_demand_forecast_and_regions_are_told(runtime: Runtime, told: LedgerMetrics) -> None:
    book = runtime.fleet_book
    start = book.now() // HOUR * HOUR
    made = Forecast(
        "seasonal", start, 3600.0, (0.05, 0.5, 0.95), ((1.0,) * 48, (5.0,) * 48, (9.0,) * 48),
        (Score("seasonal", 0.12),), Trust(True, "11 of 12 held"),
    )  # fmt: skip
    book.keep_forecast("pdf", HOUR, msgspec.json.encode(Kept(made)).decode())
    book.decide(
        Decision("pdf", book.now(), 3, 1, "waiting", (), (), ScalingMemory()),
        PoolLoad("pdf", book.now(), workers=1),
        "",
    )
    told.refresh()
    assert values(told, catalog.FORECAST)[REGION, "pdf", "24h", "0.95"] == 9.0
    assert values(told, catalog.WORKERS_WANTED)["pdf", REGION] == 3
    assert values(told, catalog.REGION_SEEN)[REGION,] == pytest.approx(book.now(), abs=30)


def test_a_forecast_says_nothing_of_hours_it_does_not_reach_to() -> None:
    by_five_minutes = Forecast("last", 0.0, 300.0, (0.5,), ((2.0,) * 24,), (), Trust(True, ""))
    found = of_forecast(by_five_minutes, REGION, "pdf", 0.0)
    assert {one.labels[2]: one.value for one in found if one.labels[3] == "0.5"} == {"1h": 24.0}
    assert of_forecast(Forecast("none", 0.0, 300.0, (0.5,), (), (), Trust(False, "")), REGION, "pdf", 0.0) == []


def test_a_scrape_asks_the_ledger_nothing(told: LedgerMetrics, runtime: Runtime) -> None:
    told.refresh()
    before = told.readings()
    runtime.ledger.close()
    after: list[Measured] = told.readings()
    assert [one.metric for one in after] == [one.metric for one in before]
