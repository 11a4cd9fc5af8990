"""Where alarms go: critical ones to PagerDuty, the rest to whoever looks on a working day."""

from __future__ import annotations

from typing import Any, NamedTuple

from .pace import REAL, Pace

PAGERDUTY = "https://events.pagerduty.com/v2/enqueue"
"""https://developer.pagerduty.com/docs/send-alert-event"""

OF_POOLS = "DocfleetWaitingLong|DocfleetNoWorkers|DocfleetTooFewWorkers|DocfleetDemandStale"
OF_THE_LEDGER = f"{OF_POOLS}|DocfleetTallyBehind|DocfleetRegionSilent|DocfleetNoLeader|DocfleetLatencyBurn"
"""What follows by itself where nobody leads, or where the database is away."""

_INHIBITED: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("DocfleetRegionSilent", OF_POOLS, ("region",)),
    ("DocfleetRegionSilent", "DocfleetTallyBehind", ("region",)),
    ("DocfleetLedgerDown", OF_THE_LEDGER, ("region",)),
    ("DocfleetLedgerDown", "DocfleetApiBurn|DocfleetQueueStuck", ()),
    ("DocfleetNoLeader", "DocfleetRegionSilent|DocfleetTallyBehind|DocfleetDemandStale", ("region",)),
    ("DocfleetNoWorkers", "DocfleetWaitingLong|DocfleetTooFewWorkers", ("region", "pool")),
    ("DocfleetNoWorkers", "DocfleetQueueStuck", ("pool",)),
    ("DocfleetBudgetSpent", "DocfleetBudgetNear", ("budget",)),
    ("DocfleetCertificateEnds", "DocfleetCertificateExpires", ("purpose",)),
    ("DocfleetBreakerOpen", "DocfleetEngineFailing|DocfleetEngineThrottled", ("endpoint",)),
    ("DocfleetFrontDown", "DocfleetTargetDown", ("job",)),
)
"""(alarm, those it makes needless, labels that have to be the same)."""
_LOUDER = (("Burn", "Budget"),)
"""What burns fast need not be told as burning slowly."""


class Places(NamedTuple):
    """What differs between installations."""

    routing_key_file: str = "/run/secret/pagerduty"
    pagerduty_url: str = PAGERDUTY
    warnings_url: str = ""
    """Where warnings are posted to; empty: they are shown by Alertmanager, Grafana and the console, and not sent."""


def alertmanager_config(places: Places = Places(), pace: Pace = REAL) -> dict[str, Any]:  # noqa: B008
    """Alertmanager's file."""
    webhook = {"webhook_configs": [{"url": places.warnings_url}]} if places.warnings_url else {}
    return {
        "route": {
            "receiver": "warnings",
            "group_by": ["alertname", "region"],
            "group_wait": pace("30s"),
            "group_interval": pace("5m"),
            "repeat_interval": pace("12h"),
            "routes": [
                {"receiver": "nowhere", "matchers": ['severity="none"']},
                {
                    "receiver": "pagerduty",
                    "matchers": ['severity="critical"'],
                    "group_wait": pace("10s"),
                    "repeat_interval": pace("4h"),
                },
            ],
        },
        "inhibit_rules": [*map(_inhibition, _INHIBITED), *_slower_ones()],
        "receivers": [
            {"name": "nowhere"},
            {"name": "warnings", **webhook},
            {"name": "pagerduty", "pagerduty_configs": [pagerduty(places)]},
        ],
    }


def _inhibition(one: tuple[str, str, tuple[str, ...]]) -> dict[str, Any]:
    source, targets, equal = one
    return {
        "source_matchers": [f'alertname="{source}"'],
        "target_matchers": [f'alertname=~"{targets}"'],
        **({"equal": list(equal)} if equal else {}),
    }


def _slower_ones() -> list[dict[str, Any]]:
    """A budget's alarm is silent while the same objective wakes somebody."""
    equal = {"Availability": ["region"], "Api": [], "Latency": ["region", "priority"]}
    return [
        {
            "source_matchers": [f'alertname="Docfleet{name}{fast}"'],
            "target_matchers": [f'alertname="Docfleet{name}{slow}"'],
            **({"equal": labels} if labels else {}),
        }
        for name, labels in equal.items()
        for fast, slow in _LOUDER
    ]


_FIRST = "{{{{ with index (or .Alerts.Firing .Alerts) 0 }}}}{0}{{{{ end }}}}"
"""Of the first that is on; of those that are over, where none is. A message that ends an incident is written by the
same templates as the one that began it, when none is on any more: where one fails, the incident stays open for ever."""
_SUMMARY = _FIRST.format("{{ or .Annotations.summary .Labels.alertname }}")
_MORE = "{{ if gt (len .Alerts.Firing) 1 }} (and {{ len (slice .Alerts.Firing 1) }} more){{ end }}"
_DASHBOARD = _FIRST.format("{{ or .Annotations.dashboard_url .GeneratorURL }}")
_RUNBOOK = _FIRST.format("{{ or .Annotations.runbook_url .GeneratorURL }}")


def pagerduty(places: Places) -> dict[str, Any]:
    """One message of Events v2 per group; its details are what an engineer wants to see first."""
    return {
        "routing_key_file": places.routing_key_file,
        "url": places.pagerduty_url,
        "send_resolved": True,
        "severity": "{{ if .CommonLabels.severity }}{{ .CommonLabels.severity }}{{ else }}critical{{ end }}",
        "class": "{{ .CommonLabels.alertname }}",
        "component": "{{ if .CommonLabels.pool }}{{ .CommonLabels.pool }}{{ else }}docfleet{{ end }}",
        "group": "{{ .CommonLabels.region }}",
        "client": "docfleet",
        "client_url": _DASHBOARD,
        "description": _SUMMARY + _MORE,
        "links": [{"href": _RUNBOOK, "text": "Runbook"}, {"href": _DASHBOARD, "text": "Dashboard"}],
        "details": {
            "what": "{{ range .Alerts.Firing }}{{ .Annotations.summary }}\n{{ .Annotations.description }}\n{{ end }}",
            "runbook": _RUNBOOK,
            "firing": "{{ .Alerts.Firing | len }}",
            "resolved": "{{ .Alerts.Resolved | len }}",
        },
    }
