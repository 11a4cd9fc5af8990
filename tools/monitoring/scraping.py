"""What Prometheus asks, and which labels it keeps."""

from __future__ import annotations

from typing import Any

from docfleet.telemetry.catalog import METRICS, samples_of

from .pace import REAL, Pace

PORT = 9464
"""Of a process' own metrics, inside containers."""
LEDGER = "ledger"
"""What stands for the process in metrics that say the same whoever tells them: a change of leader breaks no series."""
OF_THE_FLEET = sorted({sample for one in METRICS.values() if one.is_of_the_fleet for sample in samples_of(one)})

JOBS: dict[str, tuple[str, ...]] = {
    "docfleet-api": ("api",),
    "docfleet-console": ("console",),
    "docfleet-dispatcher": ("dispatcher",),
    "docfleet-worker": ("worker-pdf", "worker-image"),
    "docfleet-worker-cloud": ("worker-cloud",),
}
"""Job -> services of compose.yaml; on their network of monitoring each has the alias `<service>.metrics`."""


def relabelings(*labels: str) -> list[dict[str, Any]]:
    """Of metrics that are the ledger's: `labels`, which say who told them, say `ledger` instead."""
    return [
        {
            "source_labels": ["__name__"],
            "regex": "|".join(OF_THE_FLEET),
            "target_label": label,
            "replacement": LEDGER,
        }
        for label in labels
    ]


def prometheus_config() -> dict[str, Any]:
    """The file for compose.yaml. Links in alarms are made absolute by the labels that begin with `docfleet_`."""
    return {
        "global": {
            "scrape_interval": "15s",
            "evaluation_interval": "15s",
            "external_labels": {
                "docfleet_docs": "docs",
                "docfleet_grafana": "http://127.0.0.1:3000",
            },
        },
        "rule_files": ["rules.yml"],
        "alerting": alerting("alertmanager:9093"),
        "scrape_configs": [
            *(
                {
                    "job_name": job,
                    "dns_sd_configs": [
                        {"names": [f"{name}.metrics" for name in names], "type": "A", "port": PORT,
                         "refresh_interval": "15s"}
                    ],
                    "metric_relabel_configs": relabelings("instance"),
                }
                for job, names in JOBS.items()
            ),
            {"job_name": "prometheus", "static_configs": [{"targets": ["127.0.0.1:9090"]}]},
            {"job_name": "alertmanager", "static_configs": [{"targets": ["alertmanager:9093"]}]},
        ],
    }  # fmt: skip


def alerting(*targets: str) -> dict[str, Any]:
    """Where alarms go, without the labels that only their links need."""
    return {
        "alert_relabel_configs": [{"action": "labeldrop", "regex": "docfleet_.+"}],
        "alertmanagers": [{"static_configs": [{"targets": list(targets)}]}],
    }


def config_of(targets: dict[str, list[str]], rules: str, alertmanager: str, pace: Pace = REAL) -> dict[str, Any]:
    """The same for processes at fixed addresses: job -> `host:port`."""
    made = prometheus_config()
    made["global"] |= {"scrape_interval": pace("15s"), "evaluation_interval": pace("15s")}
    made["rule_files"] = [rules]
    made["alerting"] = alerting(alertmanager)
    made["scrape_configs"] = [
        {
            "job_name": job,
            "static_configs": [{"targets": addresses}],
            "metric_relabel_configs": relabelings("instance"),
        }
        for job, addresses in targets.items()
    ]
    return made
