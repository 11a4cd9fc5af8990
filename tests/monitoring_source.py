"""Rules, routes and dashboards as `tools/monitoring` makes them, and promtool to try them with."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from deploy_tools import server

ROOT = Path(__file__).parents[1]
if str(ROOT / "tools") not in sys.path:
    sys.path.insert(0, str(ROOT / "tools"))

from monitoring import alarms, dashboards, grafana, kubernetes, objectives, pace, routing, scraping  # noqa: E402

__all__ = [
    "MONITORING", "RULES", "Case", "Fires", "alarms", "dashboards", "grafana", "kubernetes", "objectives", "pace",
    "promtool_says", "routing", "scraping",
]  # fmt: skip

MONITORING = ROOT / "deploy" / "monitoring"
RULES = MONITORING / "prometheus" / "rules.yml"


class Fires(NamedTuple):
    """An alarm that has to be on."""

    labels: dict[str, str]
    """Without its name and its severity."""
    summary: str
    severity: str
    description: str = ""
    """Empty: as the rule has it, with nothing filled in."""
    link: str = ""
    """What follows the dashboard's name."""


class Case(NamedTuple):
    """What Prometheus has seen, and which alarms of one name are on then."""

    what: str
    alert: str
    series: dict[str, str]
    """In promtool's notation: one value each `every`."""
    at: str
    fires: tuple[Fires, ...] = ()
    every: str = "1m"


def promtool_says(case: Case, folder: Path) -> str:
    """What promtool finds wrong; empty: nothing."""
    known = {alarm.name: alarm for alarm in alarms.all_alarms()}[case.alert]
    test = {
        "interval": case.every,
        "input_series": [{"series": name, "values": values} for name, values in case.series.items()],
        "alert_rule_test": [
            {
                "eval_time": case.at,
                "alertname": case.alert,
                "exp_alerts": [_expected(one, known) for one in case.fires],
            }
        ],
    }
    return run_tests([test], case.every, folder, needed_rules(case.alert))


@cache
def deployed_groups() -> list[dict[str, Any]]:
    """Groups of the rules that are deployed."""
    return list(yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"])


def needed_rules(alert: str) -> list[dict[str, Any]]:
    """The groups that are deployed, without the rules that the alarm does not need: trying all takes minutes."""
    groups = deployed_groups()
    records = {rule["record"]: rule for group in groups for rule in group["rules"] if "record" in rule}
    wanted: set[str] = set()
    left = [rule["expr"] for group in groups for rule in group["rules"] if rule.get("alert") == alert]
    while left:
        found = {name for name in records if re.search(rf"(?<![\w:]){name}(?![\w:])", left[-1])} - wanted
        left[-1:] = [records[name]["expr"] for name in found]
        wanted |= found
    kept = [
        {**group, "rules": [one for one in group["rules"] if one.get("alert") == alert or one.get("record") in wanted]}
        for group in groups
    ]
    return [group for group in kept if group["rules"]]


def _expected(one: Fires, alarm: alarms.Alarm) -> dict[str, Any]:
    return {
        "exp_labels": {"severity": one.severity, **one.labels},
        "exp_annotations": {
            "summary": one.summary,
            "description": one.description or alarm.description,
            "runbook_url": f"https://docs.example.com/docfleet/runbooks/{alarm.runbook}.md",
            "dashboard_url": f"https://grafana.example.com/d/docfleet-{alarm.dashboard}{one.link}",
        },
    }


def run_tests(tests: Sequence[dict[str, Any]], every: str, folder: Path, groups: list[dict[str, Any]]) -> str:
    """promtool's verdict over tests in its own format, by these groups of rules, in this order."""
    links = {
        "docfleet_docs": "https://docs.example.com/docfleet",
        "docfleet_grafana": "https://grafana.example.com",
    }
    given = {
        "rule_files": [str(folder / "rules.yml")],
        "evaluation_interval": every,
        "group_eval_order": [group["name"] for group in groups],
        "tests": [{**test, "external_labels": links} for test in tests],
    }
    (folder / "rules.yml").write_text(json.dumps({"groups": groups}), encoding="utf-8")
    file = folder / "test.yml"
    file.write_text(json.dumps(given), encoding="utf-8")
    ran = subprocess.run([server("promtool"), "test", "rules", str(file)], capture_output=True, text=True, check=False)
    return "" if ran.returncode == 0 else ran.stdout + ran.stderr
