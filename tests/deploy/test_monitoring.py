"""Rules and dashboards are what the source makes, they parse, and they name what there is."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from alarm_cases import WORK
from alarm_cases_engines import ENGINES
from alarm_cases_objectives import OBJECTIVES
from alarm_cases_plumbing import PLUMBING
from deploy_tools import module_of, server
from docfleet.telemetry.catalog import METRICS, PROCESS, samples_of
from docfleet.telemetry.kinds import Metric
from docfleet.telemetry.labels import OTHER, values_of
from monitoring_source import MONITORING, ROOT, RULES, alarms, dashboards, deployed_groups, grafana, scraping

FOREIGN = {
    "up", "ALERTS", "alertmanager_notifications_failed_total", "prometheus_rule_evaluation_failures_total",
}  # fmt: skip
"""Of Prometheus and Alertmanager themselves; `test_monitoring_alive.py` sees that they tell them."""
TARGET_LABELS = {"job", "instance", "le"}
WORDS = {
    "by", "on", "ignoring", "group_left", "group_right", "and", "or", "unless", "bool", "offset", "without", "inf",
}  # fmt: skip
BY_NAME: dict[str, Metric] = {sample: one for one in METRICS.values() for sample in samples_of(one)}
RECORDED = {rule["record"]: rule for group in deployed_groups() for rule in group["rules"] if "record" in rule}
write_monitoring = module_of(ROOT / "tools" / "write_monitoring.py")


def rule_queries() -> Iterator[tuple[str, str]]:
    for group in deployed_groups():
        for rule in group["rules"]:
            yield f"{group['name']}: {rule.get('record') or rule['alert']}", rule["expr"]


def dashboard_queries() -> Iterator[tuple[str, str]]:
    """(where, query) of every panel, variable and annotation, as a viewer's browser would send it."""
    for path in sorted((MONITORING / "grafana" / "dashboards").glob("*.json")):
        board = json.loads(path.read_text(encoding="utf-8"))
        for panel in board["panels"]:
            for target in panel.get("targets", []):
                yield f"{path.stem}: {panel['title']}", filled_in(target["expr"])
        for variable in board["templating"]["list"]:
            if variable["type"] == "query":
                metric = re.fullmatch(r"label_values\((\w+), \w+\)", variable["definition"])
                assert metric is not None
                yield f"{path.stem}: ${variable['name']}", metric[1]
        for annotation in board["annotations"]["list"]:
            yield f"{path.stem}: {annotation['name']}", annotation["expr"]


def filled_in(query: str) -> str:
    """With what Grafana puts in for its variables."""
    query = query.replace("$__rate_interval", "1m").replace("$__range", "6h")
    return re.sub(r"\$\w+", ".*", query)


QUERIES = [*rule_queries(), *dashboard_queries()]


def names_in(query: str) -> set[str]:
    """Names of metrics, and of nothing else that stands in a query."""
    bare = re.sub(r'"(?:[^"\\]|\\.)*"', "", query)
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]", "", bare)
    bare = re.sub(r"\b(?:by|on|ignoring|group_left|group_right|without) *\([^)]*\)", "", bare)
    bare = re.sub(r"offset +\w+", "", bare)
    found = set(re.findall(r"(?<![\w.])[a-zA-Z_:][\w:]*(?! *\()(?![\w:])", bare))
    return found - WORDS - {name for name in found if re.search(rf"{name} *\(", bare)}


def matchers_in(query: str) -> Iterator[tuple[str, str, str]]:
    """(metric, label, value) for each matcher."""
    for name, inside in re.findall(r"([a-zA-Z_:][\w:]*)\{([^}]*)\}", query):
        for label, value in re.findall(r'(\w+) *(?:=~|!~|!=|=) *"([^"]*)"', inside):
            yield name, label, value


# --- the files -------------------------------------------------------------------------------------------------------


def test_what_is_committed_is_what_the_source_makes() -> None:
    assert not write_monitoring.stale(), "make dashboards"


def test_nothing_else_lies_where_grafana_looks() -> None:
    found = {path.stem for path in (MONITORING / "grafana" / "dashboards").glob("*.json")}
    assert found == set(dashboards.DASHBOARDS)


def test_prometheus_takes_its_files(tmp_path: Path) -> None:
    for name in ("prometheus.yml", "rules.yml"):
        (tmp_path / name).write_bytes((MONITORING / "prometheus" / name).read_bytes())
    ran = subprocess.run(
        [server("promtool"), "check", "config", str(tmp_path / "prometheus.yml")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert re.search(r"\d{3} rules found", ran.stdout)


def test_rules_of_kubernetes_are_the_same() -> None:
    path = ROOT / "deploy/kubernetes/components/monitoring/rules.yaml"
    groups = yaml.safe_load(path.read_text(encoding="utf-8"))["spec"]["groups"]
    for group in groups:
        for rule in group["rules"]:
            if "alert" in rule:
                assert rule["labels"].pop("namespace") == "docfleet"
    assert groups == yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]


# --- queries ---------------------------------------------------------------------------------------------------------


def test_every_query_parses(tmp_path: Path) -> None:
    rules = [{"record": f"q:{index}", "expr": query} for index, (_, query) in enumerate(QUERIES)]
    file = tmp_path / "queries.yml"
    file.write_text(json.dumps({"groups": [{"name": "queries", "rules": rules}]}), encoding="utf-8")
    ran = subprocess.run(
        [server("promtool"), "check", "rules", "--lint=none", str(file)], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize(("where", "query"), QUERIES, ids=[where for where, _ in QUERIES])
def test_a_query_names_metrics_there_are(where: str, query: str) -> None:
    names = names_in(query)
    assert names or query == "vector(1)" or "docfleet_target_seconds" in where
    assert names <= BY_NAME.keys() | PROCESS.keys() | RECORDED.keys() | FOREIGN, where


@pytest.mark.parametrize(("where", "query"), QUERIES, ids=[where for where, _ in QUERIES])
def test_a_query_asks_for_labels_there_are(where: str, query: str) -> None:
    for name, label, value in matchers_in(query):
        if name not in BY_NAME:
            continue
        metric = BY_NAME[name]
        assert label in {*metric.labels, *TARGET_LABELS}, (name, label)
        known = values_of(metric, label) if label in metric.labels else ()
        if known and not re.search(r"[.*+]", value):
            assert set(value.split("|")) <= {*known, OTHER}, (name, label, value)


def test_the_reading_of_queries_finds_what_is_wrong() -> None:
    assert names_in('sum by (pool) (rate(docfleet_slot_deaths_total{cause!="x"}[15m] offset 1h)) > 2') == {
        "docfleet_slot_deaths_total"
    }
    assert names_in("a:docfleet_x:rate1h / (b > 0) or 0 * vector(1)") == {"a:docfleet_x:rate1h", "b"}
    assert list(matchers_in('x{a="1", b=~"2|3"}')) == [("x", "a", "1"), ("x", "b", "2|3")]


def test_each_recorded_series_is_used() -> None:
    """By an alarm, a dashboard, or another rule."""
    used = {name for _, query in QUERIES for name in names_in(query)}
    unused = {name for name in RECORDED.keys() - used if not name.endswith(("p99_5m", "p50_5m"))}
    assert not unused


def test_metrics_that_are_the_ledgers_name_no_process() -> None:
    """A change of leader would begin new series, and two leaders of two regions would count everything twice."""
    config = yaml.safe_load((MONITORING / "prometheus/prometheus.yml").read_text(encoding="utf-8"))
    for job in config["scrape_configs"]:
        if job["job_name"].startswith("docfleet-"):
            [rule] = job["metric_relabel_configs"]
            for name, metric in BY_NAME.items():
                assert bool(re.fullmatch(rule["regex"], name)) == metric.is_of_the_fleet, name
            assert (rule["target_label"], rule["replacement"]) == ("instance", scraping.LEDGER)


# --- alarms ----------------------------------------------------------------------------------------------------------


def test_every_alarm_is_tried_both_ways() -> None:
    cases = [*OBJECTIVES, *WORK, *ENGINES, *PLUMBING]
    names = {alarm.name for alarm in alarms.all_alarms()}
    assert {case.alert for case in cases if case.fires} == names
    assert {case.alert for case in cases if not case.fires} == names - {"DocfleetWatchdog"}
    labels = {
        (alarm.name, severity, dict(alarm.labels).get("burn") or dict(alarm.labels).get("what"))
        for alarm in alarms.all_alarms()
        for severity in [alarm.severity]
    }
    fired = {
        (case.alert, one.severity, one.labels.get("burn") or one.labels.get("what"))
        for case in cases
        for one in case.fires
    }
    assert labels == fired


def test_every_alarm_has_its_page_and_every_page_its_alarm() -> None:
    pages = {path.stem for path in (ROOT / "docs" / "runbooks").glob("*.md")}
    assert pages == {alarm.runbook for alarm in alarms.all_alarms()}


@pytest.mark.parametrize("alarm", alarms.all_alarms(), ids=lambda alarm: f"{alarm.name} {dict(alarm.labels)}")
def test_a_page_says_what_whoever_is_woken_needs(alarm: Any) -> None:
    page = (ROOT / "docs" / "runbooks" / f"{alarm.runbook}.md").read_text(encoding="utf-8")
    assert page.startswith(f"# {alarm.name}\n")
    headings = re.findall(r"^## (.+)$", page, re.MULTILINE)
    assert headings == ["What it means", "What users feel", "Look first", "Do", "Over when"]
    words = {"critical": "wakes somebody", "warning": "waits for a working day", "none": "tells nobody"}
    assert words[alarm.severity] in page, "the page does not say how loud it is"
    for name in set(re.findall(r"docfleet_\w+", page)):
        assert name in BY_NAME or name in METRICS, name


def test_alarms_lead_to_dashboards_and_variables_there_are() -> None:
    for alarm in alarms.all_alarms():
        board = next(one for one in dashboards.ALL if one.name == alarm.dashboard)
        assert set(alarm.variables) <= {variable.name for variable in board.variables}, alarm.name


def test_nobody_is_woken_for_what_can_wait() -> None:
    """The list of what wakes somebody is short on purpose: whoever adds to it changes this line."""
    assert {alarm.name.removeprefix("Docfleet") for alarm in alarms.all_alarms() if alarm.severity == "critical"} == {
        "AvailabilityBurn", "ApiBurn", "LatencyBurn", "QueueStuck", "NoWorkers", "BudgetSpent", "LedgerDown",
        "NoLeader", "RegionSilent", "TallyBehind", "CertificateEnds", "FrontDown",
    }  # fmt: skip


# --- dashboards ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(dashboards.DASHBOARDS))
def test_a_dashboard_is_what_grafana_loads(name: str) -> None:
    board = json.loads((MONITORING / "grafana" / "dashboards" / f"{name}.json").read_text(encoding="utf-8"))
    assert (board["id"], board["uid"], board["schemaVersion"]) == (None, f"docfleet-{name}", grafana.SCHEMA)
    numbers = [panel["id"] for panel in board["panels"]]
    assert len(numbers) == len(set(numbers))
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }  # fmt: skip
        assert not cells & taken, "panels lie on each other"
        assert place["x"] + place["w"] <= grafana.WIDTH
        taken |= cells
        references = [target["refId"] for target in panel.get("targets", [])]
        assert len(references) == len(set(references))
        assert panel["type"] == "row" or references
    known = {variable["name"] for variable in board["templating"]["list"]}
    used = set(re.findall(r"\$\{?([a-z]\w*)", json.dumps(board["panels"])))
    assert used <= known, "a variable that is not there"
    assert known - used <= {"datasource"}, "a variable that changes nothing"


def test_dashboards_use_the_sources_that_are_provisioned() -> None:
    folder = MONITORING / "grafana" / "provisioning"
    sources = yaml.safe_load((folder / "datasources/docfleet.yaml").read_text(encoding="utf-8"))["datasources"]
    uids = {source["uid"] for source in sources}
    [prometheus] = [source for source in sources if source["type"] == "prometheus"]
    assert prometheus["isDefault"]
    [exemplars] = prometheus["jsonData"]["exemplarTraceIdDestinations"]
    assert (exemplars["name"], exemplars["datasourceUid"] in uids) == ("trace_id", True)
    [provider] = yaml.safe_load((folder / "dashboards/docfleet.yaml").read_text(encoding="utf-8"))["providers"]
    compose = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text(encoding="utf-8"))
    mounts = compose["services"]["grafana"]["volumes"]
    assert f"./monitoring/grafana/dashboards:{provider['options']['path']}:ro" in mounts
