"""Real Prometheus and Alertmanager over real processes: what breaks pages somebody, and dashboards have data."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from monitored_service import Monitored, accepted
from webhook_receivers import receiver
from worker_service import page_image

from monitoring_source import dashboards, grafana

pytestmark = pytest.mark.slow
KILLS = 411
"""Width of the page that kills whoever reads it."""
GOOD, BAD = 12, 6


@pytest.fixture(scope="module")
def monitored(engines: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Monitored]:
    with receiver(accepted) as pages:
        made = Monitored(tmp_path_factory.mktemp("monitored"), engines, pages)
        try:
            made.start_all()
            yield made
        finally:
            made.close()


def ended(monitored: Monitored, outcome: str) -> float:
    return monitored.value(f'sum(docfleet_documents_ended_total{{outcome="{outcome}"}})') or 0.0


def filled_in(query: str) -> str:
    for name, value in (("$__rate_interval", "1m"), ("$__range", "5m")):
        query = query.replace(name, value)
    for variable in ("region", "pool", "priority", "endpoint"):
        query = query.replace(f"${variable}", ".*")
    return query


def test_after_a_normal_run_every_panel_has_data(monitored: Monitored) -> None:
    """But those that say why they may have none."""
    for number in range(GOOD):
        monitored.submit(page_image(300, 200 + number), f"{number}.png")
    monitored.wait_for(lambda: ended(monitored, "succeeded") == GOOD, 120)
    panels = [(board.name, panel) for board in dashboards.ALL for panel in grafana.panels_of(board)]
    queries = [
        (f"{name}: {panel.title}", query.expr) for name, panel in panels if not panel.empty for query in panel.queries
    ]

    def without_data() -> list[str]:
        # a forecast an hour ago is none of a service that is a minute old
        return [
            f"{where}\n    {query}"
            for where, query in queries
            if "offset 1h" not in query and not monitored.query(filled_in(query))
        ]

    try:
        monitored.wait_for(lambda: not without_data(), 90)
    except AssertionError:
        pytest.fail("no data:\n" + "\n".join(without_data()))
    # the others at least are queries
    for _, panel in panels:
        for query in panel.queries:
            monitored.query(filled_in(query.expr))


def test_a_fleet_that_is_well_wakes_nobody_and_its_rules_work(monitored: Monitored) -> None:
    for rule in monitored.rules():
        assert rule["health"] == "ok", (rule["name"], rule.get("lastError"))
    assert [event["payload"]["summary"] for event in monitored.events()] == []
    firing = {one["metric"]["alertname"] for one in monitored.query('ALERTS{alertstate="firing", severity="critical"}')}
    assert firing == set()


def test_metrics_of_the_ledger_name_no_process(monitored: Monitored) -> None:
    found = {one["metric"]["instance"] for one in monitored.query("docfleet_documents_accepted_total")}
    assert found == {"ledger"}


def test_documents_that_break_page_somebody(monitored: Monitored) -> None:
    """Six documents kill whoever reads them: each is given up the third time, by our fault."""
    for number in range(BAD):
        monitored.submit(page_image(KILLS, 200 + number), f"poison-{number}.png")
    monitored.wait_for(lambda: events_of(monitored, "DocfleetAvailabilityBurn"), 240)
    assert ended(monitored, "broken") >= 5
    event = events_of(monitored, "DocfleetAvailabilityBurn")[0]
    payload = event["payload"]
    assert event["event_action"] == "trigger"
    assert payload["severity"] == "critical"
    assert payload["group"] == "here"
    assert payload["summary"].startswith("Documents end broken in the region here: ")
    assert {link["text"]: link["href"] for link in event["links"]} == {
        "Runbook": "docs/runbooks/availability-burn.md",
        "Dashboard": "http://127.0.0.1:3000/d/docfleet-objectives?var-region=here",
    }
    assert "99.9 %" in payload["custom_details"]["what"]
    # the labels that only links need go no further
    alerts = httpx.get(f"{monitored.alertmanager}/api/v2/alerts", timeout=10).json()
    assert alerts
    assert not [name for alert in alerts for name in alert["labels"] if name.startswith("docfleet_")]


RUNBOOKS = Path(__file__).parents[2] / "docs" / "runbooks"
SERVERS = ("docfleet dispatcher", "docfleet worker")


def commands_of_runbooks() -> Iterator[str]:
    """Each once, but those that run until they are stopped, and those that need what the reader has to bring."""
    lines = {
        line
        for page in RUNBOOKS.glob("*.md")
        for block in re.findall(r"^```\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
        for line in block.splitlines()
    }
    for line in sorted(lines):
        if line.startswith("docfleet ") and not line.startswith(SERVERS) and "history.csv" not in line:
            yield line


def test_what_pages_of_alarms_name_can_be_typed(monitored: Monitored) -> None:
    """Over this service, which has dead letters of the test before."""
    address = {"DOCFLEET_URL": f"http://127.0.0.1:{monitored.ports['http']}"}
    for tenant in ("acme", "system"):
        monitored.docfleet("tenants", "create", tenant)
    keys = {
        True: monitored.docfleet("keys", "create", "night", "--tenant", "system", "--role", "admin"),
        False: monitored.key,
    }
    said = {
        line: monitored.docfleet(*shlex.split(line)[1:], **address, DOCFLEET_API_KEY=keys["--all-tenants" in line])
        for line in commands_of_runbooks()
    }
    assert len(said) > 8
    assert "worker_died" in said["docfleet dead-letters groups"]
    assert "worker_died" in said["docfleet dead-letters list --code worker_died"]
    assert said["docfleet overview --all-tenants"] != "Nothing needs attention."


def test_a_dispatcher_that_is_killed_pages_and_one_that_leads_again_resolves(monitored: Monitored) -> None:
    monitored.kill("dispatcher")
    monitored.wait_for(lambda: events_of(monitored, "DocfleetNoLeader"), 90)
    event = events_of(monitored, "DocfleetNoLeader")[0]
    assert event["payload"]["summary"] == "No dispatcher leads the region here."
    del monitored.processes["dispatcher"]
    monitored.start("dispatcher", "dispatcher")
    monitored.wait_for(
        lambda: [
            one
            for one in monitored.events()
            if (one["event_action"], one["dedup_key"]) == ("resolve", event["dedup_key"])
        ],
        120,
    )


def events_of(monitored: Monitored, alarm: str) -> list[dict[str, Any]]:
    """Events of PagerDuty that an alarm has made."""
    return [
        event
        for event in monitored.events()
        if event["event_action"] == "trigger" and event["payload"].get("class") == alarm
    ]
