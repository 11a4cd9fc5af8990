"""What an alarm is, and how it is written as a rule."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from .pace import Pace

CRITICAL = "critical"
"""Somebody is woken: users feel it now, or nobody would notice if they did."""
WARNING = "warning"
"""Somebody looks at it on a working day."""
NONE = "none"
"""Nobody is told."""

DOCS = '{{ or $externalLabels.docfleet_docs "docs" }}'
GRAFANA = '{{ or $externalLabels.docfleet_grafana "http://127.0.0.1:3000" }}'
"""Where pages and dashboards are, which only the installation knows: external labels of its Prometheus say it."""


class Alarm(NamedTuple):
    name: str
    severity: str
    expr: str
    hold: str
    """How long it has to be true."""
    summary: str
    description: str
    dashboard: str
    """Name of the dashboard to look at first."""
    variables: tuple[str, ...] = ()
    """Labels of the alarm that the dashboard is narrowed to."""
    labels: tuple[tuple[str, str], ...] = ()
    keep: str = ""
    """How long it goes on after it is no longer true, where what it looks at comes and goes."""

    @property
    def runbook(self) -> str:
        """Name of its page under docs/runbooks: `queue-stuck`."""
        return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", self.name.removeprefix("Docfleet")).lower()

    def rule(self, pace: Pace) -> dict[str, Any]:
        """As Prometheus reads it."""
        narrowed = "&".join(f"var-{label}={{{{ $labels.{label} }}}}" for label in self.variables)
        return {
            "alert": self.name,
            "expr": self.expr,
            **({"for": pace(self.hold)} if self.hold else {}),
            **({"keep_firing_for": pace(self.keep)} if self.keep else {}),
            "labels": {"severity": self.severity, **dict(self.labels)},
            "annotations": {
                "summary": self.summary,
                "description": self.description,
                "runbook_url": f"{DOCS}/runbooks/{self.runbook}.md",
                "dashboard_url": f"{GRAFANA}/d/docfleet-{self.dashboard}" + (f"?{narrowed}" if narrowed else ""),
            },
        }
