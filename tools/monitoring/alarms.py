"""All alarms, and the rules as groups of Prometheus."""

from __future__ import annotations

from typing import Any

from .alarm import CRITICAL, NONE, WARNING, Alarm
from .alarms_engines import engine_alarms
from .alarms_objectives import objective_alarms
from .alarms_plumbing import plumbing_alarms
from .alarms_work import work_alarms
from .objectives import recording_groups
from .pace import REAL, Pace

SECTIONS = {
    "objectives": objective_alarms,
    "work": work_alarms,
    "engines": engine_alarms,
    "plumbing": plumbing_alarms,
}


def all_alarms(pace: Pace = REAL) -> list[Alarm]:
    """Each, in the order of the files; one that has several windows or causes is there several times."""
    return [alarm for make in SECTIONS.values() for alarm in make(pace)]


def rule_groups(pace: Pace = REAL) -> list[dict[str, Any]]:
    """What Prometheus is given, in the order in which it has to be evaluated first."""
    return [
        *recording_groups(pace),
        *(
            {
                "name": f"docfleet-alarms-{section}",
                "interval": pace("30s"),
                "rules": [alarm.rule(pace) for alarm in make(pace)],
            }
            for section, make in SECTIONS.items()
        ),
    ]


__all__ = ["CRITICAL", "NONE", "WARNING", "Alarm", "all_alarms", "rule_groups"]
