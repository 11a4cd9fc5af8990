"""The autoscaler asks for what the API answers, within the bounds that docfleet decides by, and no error is a zero."""

from __future__ import annotations

import math
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from docfleet.api.fleet_demand import DemandOut, fleet_demand
from docfleet.api.resource import NEED
from docfleet.domain.access import Permission
from docfleet.domain.urgency import Pool
from docfleet.settings import Settings
from kubernetes_tree import (
    KUBERNETES,
    Manifest,
    environment_of_container,
    every_overlay,
    named,
    of_kind,
    pod_of,
    rendered,
    routes_of,
)

DEMAND = "/v1/fleet/demand/{pool}"


def pools_of(overlay: str) -> list[Pool]:
    return [Pool.PDF, Pool.IMAGE] if overlay == "dev" else list(Pool)


def scaled(overlay: str, pool: Pool) -> dict[str, Any]:
    return dict(named(rendered(overlay), "ScaledObject", f"docfleet-worker-{pool}")["spec"])


def settings_of_dispatcher(objects: list[Manifest], monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Who decides on sizes."""
    [container] = pod_of(named(objects, "Deployment", "docfleet-dispatcher"))["containers"]
    with monkeypatch.context() as patched:
        for name, value in environment_of_container(objects, container).items():
            if name != "DOCFLEET_CONFIG":
                patched.setenv(name, value)
        return Settings()


@every_overlay
def test_every_pool_there_are_workers_of_is_scaled_and_asked_for_by_its_name(overlay: str) -> None:
    objects = rendered(overlay)
    deployments = {one["metadata"]["name"]: one for one in of_kind(objects, "Deployment")}
    of_workers = {name for name in deployments if name.startswith("docfleet-worker-")}
    assert of_workers == {f"docfleet-worker-{pool}" for pool in pools_of(overlay)}
    assert {one["spec"]["scaleTargetRef"]["name"] for one in of_kind(objects, "ScaledObject")} == of_workers
    for pool in pools_of(overlay):
        name = f"docfleet-worker-{pool}"
        [container] = pod_of(deployments[name])["containers"]
        assert container["args"][container["args"].index("--pool") + 1] == pool
        assert "replicas" not in deployments[name]["spec"], "applying it again would undo what the autoscaler did"


@every_overlay
def test_it_asks_what_the_api_answers(overlay: str) -> None:
    objects = rendered(overlay)
    [route] = [route for route in routes_of(fleet_demand) if route.path == DEMAND]
    assert "GET" in route.methods
    assert (route.openapi_extra or {})[NEED] == Permission.READ_FLEET
    service = named(objects, "Service", "docfleet-api")
    [certificate] = [one for one in of_kind(objects, "Certificate") if one["spec"]["secretName"] == "docfleet-api-tls"]
    for pool in pools_of(overlay):
        trigger = scaled(overlay, pool)["triggers"][0]
        asked = trigger["metadata"]
        url = urlsplit(asked["url"])
        assert (url.scheme, url.path) == ("https", DEMAND.replace("{pool}", pool))
        assert url.hostname == f"{service['metadata']['name']}.{service['metadata']['namespace']}.svc"
        assert url.hostname in certificate["spec"]["dnsNames"]
        assert url.port is None
        assert service["spec"]["ports"][0]["port"] == 443
        assert asked["valueLocation"] in DemandOut.model_fields
        assert DemandOut.model_fields[asked["valueLocation"]].annotation is int
        assert (asked["format"], asked["targetValue"], asked["activationTargetValue"]) == ("json", "1", "0")
        assert trigger["metricType"] == "AverageValue"
        assert asked["authMode"] == "bearer,tls", "the API takes keys as `Authorization: Bearer`, by TLS alone"
        login = named(objects, "TriggerAuthentication", trigger["authenticationRef"]["name"])
        assert {one["parameter"] for one in login["spec"]["secretTargetRef"]} == {"token", "ca", "cert", "key"}


@every_overlay
def test_bounds_are_those_docfleet_decides_within(overlay: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the decision log would tell of workers there never are."""
    scaling = settings_of_dispatcher(rendered(overlay), monkeypatch).scaling
    for pool in pools_of(overlay):
        spec = scaled(overlay, pool)
        assert spec["minReplicaCount"] == scaling.min_workers
        assert spec["maxReplicaCount"] == scaling.max_workers
        assert spec["cooldownPeriod"] >= scaling.idle_seconds if scaling.scale_to_zero else scaling.min_workers > 0
        if overlay == "dev":
            assert spec["minReplicaCount"] == 0
            assert scaling.scale_to_zero
        else:
            assert (spec["minReplicaCount"], spec["maxReplicaCount"]) == (2, 50)


@every_overlay
def test_it_is_asked_often_grows_fast_and_shrinks_slowly(overlay: str, monkeypatch: pytest.MonkeyPatch) -> None:
    scaling = settings_of_dispatcher(rendered(overlay), monkeypatch).scaling
    for pool in pools_of(overlay):
        spec = scaled(overlay, pool)
        assert spec["pollingInterval"] == scaling.decide_seconds == 5
        behaviour = spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
        assert behaviour["scaleUp"]["stabilizationWindowSeconds"] == 0
        assert {"type": "Percent", "value": 100, "periodSeconds": 15} in behaviour["scaleUp"]["policies"]
        assert behaviour["scaleDown"]["stabilizationWindowSeconds"] == 300
        assert behaviour["scaleDown"]["policies"] == [{"type": "Percent", "value": 10, "periodSeconds": 60}]
        assert spec["fallback"]["behavior"] == "currentReplicasIfHigher"
        assert spec["fallback"]["replicas"] >= max(1, spec["minReplicaCount"])


@every_overlay
def test_the_floor_by_clock_is_docfleets_own(overlay: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """KEDA's is there for the time in which nobody decides; it is the same, but that it knows of no holidays."""
    scaling = settings_of_dispatcher(rendered(overlay), monkeypatch).scaling
    for pool in pools_of(overlay):
        crons = [one["metadata"] for one in scaled(overlay, pool)["triggers"] if one["type"] == "cron"]
        if overlay == "dev":
            assert not crons, "a floor by clock would keep it from resting"
            continue
        [cron] = crons
        assert scaling.floors == ("mon-fri 07:00-19:00 4 workdays",)
        assert (cron["start"], cron["end"], cron["desiredReplicas"]) == ("0 7 * * 1-5", "0 19 * * 1-5", "4")
        assert cron["timezone"].removeprefix("Etc/") == scaling.timezone


# --- what comes of it, by the rules of KEDA and of the autoscaler of Kubernetes


def wanted(answers: list[float | None], current: int, spec: dict[str, Any], failures: int = 0) -> int:
    """Replicas, before any slowing down. `answers`: what each trigger says, None: it cannot be asked.

    The autoscaler takes the largest number of all metrics, and takes nobody away while one of them is missing. KEDA
    gives a trigger that has failed too often the metric of its fallback. (keda.sh, ScaledObject specification;
    kubernetes.io, Horizontal Pod Autoscaling, "Algorithm details".)
    """
    fallback = spec["fallback"]
    if failures > fallback["failureThreshold"]:
        answers = [float(max(current, fallback["replicas"])) if one is None else one for one in answers]
    known = [math.ceil(one) for one in answers if one is not None]
    most = max(known, default=current)
    if None in answers:
        most = max(most, current)
    return max(spec["minReplicaCount"], min(spec["maxReplicaCount"], most))


def test_an_error_is_no_zero_and_nobody_who_works_is_sent_home_by_it() -> None:
    spec = scaled("production", Pool.PDF)
    assert wanted([19.0, 4.0], 12, spec) == 19, "what is wanted, the running work counted in"
    assert wanted([1.0, 4.0], 12, spec) == 4, "not below the floor by clock"
    assert wanted([0.0, 1.0], 12, spec) == 2, "nor below the least there are"
    for failures in range(10):
        assert wanted([None, 4.0], 12, spec, failures) == 12, "nobody can be asked: as many stay as there are"
        assert wanted([None, 4.0], 2, spec, failures) == 4
    assert wanted([900.0, 4.0], 50, spec) == 50


def test_secrets_for_the_scaler_are_of_the_least_right() -> None:
    text = (KUBERNETES / "components" / "external-secrets" / "secrets.yaml").read_text()
    assert f"--scope {Permission.READ_FLEET}" in text
    assert [one for one in yaml.safe_load_all(text) if one["metadata"]["name"] == "docfleet-scaler-key"]
