"""Whom an alarm reaches, by the configuration that is deployed and Alertmanager's own tool."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from alarm_cases import WORK
from alarm_cases_engines import ENGINES
from alarm_cases_objectives import OBJECTIVES
from alarm_cases_plumbing import PLUMBING
from deploy_tools import server
from kubernetes_tree import named, rendered
from monitoring_source import MONITORING, Case, alarms, routing


def labels_of(case: Case) -> set[str]:
    return {label for one in case.fires for label in one.labels}


CASES = [*OBJECTIVES, *WORK, *ENGINES, *PLUMBING]
CONFIG = MONITORING / "alertmanager" / "alertmanager.yml"
LABELS = {
    alert: {"alertname", "severity", *(label for case in CASES if case.alert == alert for label in labels_of(case))}
    for alert in {case.alert for case in CASES}
}
"""Alarm -> the labels it has, as `test_alarms.py` sees them."""
RECEIVERS = {"critical": "pagerduty", "warning": "warnings", "none": "nowhere"}


def amtool(*arguments: str) -> str:
    ran = subprocess.run([server("amtool"), *arguments], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout.strip()


def loaded() -> dict[str, Any]:
    config: dict[str, Any] = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    return config


def test_alertmanager_takes_it() -> None:
    assert "SUCCESS" in amtool("check-config", str(CONFIG))


@pytest.mark.parametrize("severity", sorted(RECEIVERS))
def test_how_loud_it_is_says_whom_it_reaches(severity: str) -> None:
    assert {alarm.severity for alarm in alarms.all_alarms()} == set(RECEIVERS)
    labels = ["alertname=DocfleetQueueStuck", "pool=pdf", f"severity={severity}"]
    assert amtool("config", "routes", "test", f"--config.file={CONFIG}", *labels) == RECEIVERS[severity]


def test_no_key_is_in_the_repository() -> None:
    for path in MONITORING.rglob("*.y*ml"):
        assert not re.search(r"(?i)routing_key: |password|secret_key|[0-9a-f]{32}", path.read_text(encoding="utf-8"))
    [receiver] = [one for one in loaded()["receivers"] if one["name"] == "pagerduty"]
    [config] = receiver["pagerduty_configs"]
    assert "routing_key" not in config
    compose = yaml.safe_load((MONITORING.parent / "compose.yaml").read_text(encoding="utf-8"))
    mounts = [mount.split(":") for mount in compose["services"]["alertmanager"]["volumes"]]
    assert ["secrets-alertmanager", str(Path(config["routing_key_file"]).parent), "ro"] in mounts


def test_what_is_silenced_is_named_rightly() -> None:
    """A name that no alarm has silences nothing; a label that one of both lacks silences everything or nothing."""
    names = {alarm.name for alarm in alarms.all_alarms()}
    for rule in loaded()["inhibit_rules"]:
        sources, targets = (
            set(re.findall(r"Docfleet\w+", rule[f"{side}_matchers"][0])) for side in ("source", "target")
        )
        assert sources <= names
        assert targets <= names
        assert not sources & targets
        for name in sources | targets:
            assert set(rule.get("equal", [])) <= LABELS[name], (name, rule)


def test_no_alarm_silences_one_that_silences_it() -> None:
    pairs = {
        (source, target)
        for rule in loaded()["inhibit_rules"]
        for source in re.findall(r"Docfleet\w+", rule["source_matchers"][0])
        for target in re.findall(r"Docfleet\w+", rule["target_matchers"][0])
    }
    assert not {(target, source) for source, target in pairs} & pairs


def test_kubernetes_routes_alike() -> None:
    spec = named(rendered("production"), "AlertmanagerConfig", "docfleet")["spec"]
    config = loaded()
    assert [one["receiver"] for one in spec["route"]["routes"]] == [
        one["receiver"] for one in config["route"]["routes"]
    ]
    assert [one["name"] for one in spec["receivers"]] == [one["name"] for one in config["receivers"]]
    assert len(spec["inhibitRules"]) == len(config["inhibit_rules"])
    [pagerduty] = spec["receivers"][-1]["pagerdutyConfigs"]
    secret = named(rendered("production"), "ExternalSecret", pagerduty["routingKey"]["name"])
    assert pagerduty["routingKey"]["key"] in {one["secretKey"] for one in secret["spec"]["data"]}


# --- what PagerDuty is told ------------------------------------------------------------------------------------------


def alert(status: str, summary: str) -> dict[str, Any]:
    said = {"summary": summary, "runbook_url": f"https://docs/{summary}", "dashboard_url": f"https://boards/{summary}"}
    return {
        "status": status,
        "labels": {"alertname": "DocfleetQueueStuck", "pool": summary},
        "annotations": said if summary else {},
        "generatorURL": "http://prometheus/graph",
    }


def texts_of(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for one in inner for text in texts_of(one)]


def rendered_by_alertmanager(folder: Path, template: str, alerts: list[dict[str, Any]]) -> str:
    """As a message for the alerts of a group would have it."""
    any_firing = any(one["status"] == "firing" for one in alerts)
    data = {
        "receiver": "pagerduty", "status": "firing" if any_firing else "resolved", "alerts": alerts,
        "groupLabels": {"alertname": "DocfleetQueueStuck"}, "commonLabels": {"alertname": "DocfleetQueueStuck"},
        "commonAnnotations": {}, "externalURL": "http://alertmanager",
    }  # fmt: skip
    (folder / "data.json").write_text(json.dumps(data), encoding="utf-8")
    (folder / "none.tmpl").touch()
    return amtool(
        "template", "render", f"--template.glob={folder / 'none.tmpl'}", f"--template.data={folder / 'data.json'}",
        f"--template.text={template}",
    )  # fmt: skip


ON, OVER = "firing", "resolved"


@pytest.mark.parametrize(
    ("alerts", "summary", "link"),
    [
        ([(ON, "a")], "a", "https://boards/a"),
        ([(ON, "a"), (ON, "b"), (ON, "c")], "a (and 2 more)", "https://boards/a"),
        ([(OVER, "a"), (ON, "b")], "b", "https://boards/b"),
        ([(OVER, "a")], "a", "https://boards/a"),
        # no message at all, and the incident stays open, where a template fails
        ([(OVER, "a"), (OVER, "b")], "a", "https://boards/a"),
        # PagerDuty refuses an event without a summary: that of a test, made by hand
        ([(ON, "")], "DocfleetQueueStuck", "http://prometheus/graph"),
    ],
    ids=lambda value: "+".join(f"{status}:{name}" for status, name in value) if isinstance(value, list) else "",
)
def test_a_message_is_written_whatever_of_its_group_is_on(
    alerts: list[tuple[str, str]], summary: str, link: str, tmp_path: Path
) -> None:
    told = routing.pagerduty(routing.Places())
    group = [alert(*one) for one in alerts]
    assert rendered_by_alertmanager(tmp_path, told["description"], group) == summary
    assert rendered_by_alertmanager(tmp_path, told["client_url"], group) == link
    # the others, by one call: a message is made of all of them or not at all
    rendered_by_alertmanager(tmp_path, "".join(texts_of(told)), group)
