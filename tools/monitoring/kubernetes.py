"""The same for the Prometheus operator: what is collected, the rules, the routes."""

from __future__ import annotations

from typing import Any

from .alarms import rule_groups
from .routing import alertmanager_config
from .scraping import relabelings

NAMESPACE = "docfleet"


def prometheus_rule() -> dict[str, Any]:
    """Alarms carry the namespace: the operator routes by it, and sums over pods have lost theirs."""
    groups = rule_groups()
    for group in groups:
        for rule in group["rules"]:
            if "alert" in rule:
                rule["labels"] = {**rule["labels"], "namespace": NAMESPACE}
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "docfleet"},
        "spec": {"groups": groups},
    }


def pod_monitor() -> dict[str, Any]:
    """Every pod of docfleet's own that has a port called `metrics`; its job is called by its role."""
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PodMonitor",
        "metadata": {"name": "docfleet"},
        "spec": {
            "selector": {
                "matchExpressions": [
                    {
                        "key": "docfleet/role",
                        "operator": "In",
                        "values": ["api", "console", "dispatcher", "worker", "worker-cloud", "documentai-server"],
                    }
                ]
            },
            "podMetricsEndpoints": [
                {
                    "port": "metrics",
                    "interval": "15s",
                    "relabelings": [
                        {
                            "sourceLabels": ["__meta_kubernetes_pod_label_docfleet_role"],
                            "targetLabel": "job",
                            "replacement": "docfleet-$1",
                        }
                    ],
                    "metricRelabelings": [_camel(one) for one in relabelings("instance", "pod")],
                }
            ],
        },
    }


def _camel(one: dict[str, Any]) -> dict[str, Any]:
    names = {"source_labels": "sourceLabels", "target_label": "targetLabel"}
    return {names.get(name, name): value for name, value in one.items()}


def alertmanager_object() -> dict[str, Any]:
    """Routes and receivers as the operator names them; the key is in a Secret of the namespace."""
    made = alertmanager_config()
    [given] = made["receivers"][-1]["pagerduty_configs"]
    pagerduty = {
        "routingKey": {"name": "docfleet-pagerduty", "key": "routing-key"},
        "sendResolved": True,
        "severity": given["severity"],
        "class": given["class"],
        "component": given["component"],
        "group": given["group"],
        "client": given["client"],
        "clientURL": given["client_url"],
        "description": given["description"],
        "details": [{"key": key, "value": value} for key, value in given["details"].items()],
        "pagerDutyLinkConfigs": [{"href": link["href"], "alt": link["text"]} for link in given["links"]],
    }
    return {
        "apiVersion": "monitoring.coreos.com/v1alpha1",
        "kind": "AlertmanagerConfig",
        "metadata": {"name": "docfleet"},
        "spec": {
            "route": _route(made["route"]),
            "inhibitRules": [
                {
                    "sourceMatch": [_matcher(text) for text in rule["source_matchers"]],
                    "targetMatch": [_matcher(text) for text in rule["target_matchers"]],
                    **({"equal": rule["equal"]} if "equal" in rule else {}),
                }
                for rule in made["inhibit_rules"]
            ],
            "receivers": [
                {"name": one["name"], **({"pagerdutyConfigs": [pagerduty]} if one["name"] == "pagerduty" else {})}
                for one in made["receivers"]
            ],
        },
    }


def _route(route: dict[str, Any]) -> dict[str, Any]:
    names = {
        "group_by": "groupBy",
        "group_wait": "groupWait",
        "group_interval": "groupInterval",
        "repeat_interval": "repeatInterval",
    }
    made = {names.get(name, name): value for name, value in route.items() if name not in ("routes", "matchers")}
    if "matchers" in route:
        made["matchers"] = [_matcher(text) for text in route["matchers"]]
    if "routes" in route:
        made["routes"] = [_route(one) for one in route["routes"]]
    return made


def _matcher(text: str) -> dict[str, str]:
    """Always as an expression, which is anchored anyway: a bare `=` is more than a text to some readers of YAML."""
    name, _, value = text.replace("=~", "=").partition("=")
    return {"name": name, "matchType": "=~", "value": value.strip('"')}
