"""Pods as a platform team wants them: confined, bounded, spread, probed, and ended in order."""

from __future__ import annotations

import re
from typing import Any

from docfleet.api.health import health
from docfleet.domain.urgency import Pool
from docfleet.settings import Settings
from docfleet.worker.service import HAND_BACK_SECONDS, LIVENESS_SECONDS
from kubernetes_tree import (
    Manifest,
    containers,
    environment_of_container,
    every_overlay,
    named,
    of_kind,
    own_containers,
    pod_of,
    rendered,
    routes_of,
    workloads,
)

UNITS = {"": 1, "m": 1e-3, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}
BEYOND_GRACE = 15
SUPERVISOR_BYTES = 0.5 * UNITS["Gi"]


def amount(text: Any) -> float:
    found = re.fullmatch(r"([\d.]+)(m|[KMGT]i)?", str(text))
    assert found, text
    return float(found[1]) * UNITS[found[2] or ""]


def workers(objects: list[Manifest]) -> list[Manifest]:
    return [one for one in of_kind(objects, "Deployment") if one["metadata"]["name"].startswith("docfleet-worker")]


@every_overlay
def test_the_namespace_lets_only_confined_pods_in_and_they_are(overlay: str) -> None:
    """The rules of Pod Security `restricted`, and a file system that cannot be written on top of them."""
    objects = rendered(overlay)
    [namespace] = of_kind(objects, "Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    for one in workloads(objects):
        pod = pod_of(one)
        context = pod["securityContext"]
        assert context["runAsNonRoot"] is True
        assert context["runAsUser"] >= 10_000
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
        assert {kind for volume in pod["volumes"] for kind in set(volume) - {"name"}} <= {
            "secret", "configMap", "emptyDir", "persistentVolumeClaim",
        }  # fmt: skip
        for container in containers(one):
            own = container["securityContext"]
            assert own["allowPrivilegeEscalation"] is False
            assert own["readOnlyRootFilesystem"] is True
            assert own["capabilities"] == {"drop": ["ALL"]}


@every_overlay
def test_no_pod_has_a_token_and_no_account_has_a_right(overlay: str) -> None:
    objects = rendered(overlay)
    assert not of_kind(objects, "Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding")
    accounts = {one["metadata"]["name"]: one for one in of_kind(objects, "ServiceAccount")}
    for one in accounts.values():
        assert one["automountServiceAccountToken"] is False
    used = set()
    for one in workloads(objects):
        pod = pod_of(one)
        assert pod["automountServiceAccountToken"] is False
        used.add(pod["serviceAccountName"])
    assert used == set(accounts)


@every_overlay
def test_every_container_says_what_it_takes_and_fits_the_quota(overlay: str) -> None:
    objects = rendered(overlay)
    [quota] = of_kind(objects, "ResourceQuota")
    hard = {name: amount(value) for name, value in quota["spec"]["hard"].items()}
    most = {
        one["spec"]["scaleTargetRef"]["name"]: one["spec"]["maxReplicaCount"]
        for one in of_kind(objects, "ScaledObject")
    }
    pods = cpu = requested = limited = 0.0
    for one in workloads(objects):
        count = most.get(one["metadata"]["name"]) or one["spec"].get("replicas", 1)
        [container] = pod_of(one)["containers"]
        requests, limits = container["resources"]["requests"], container["resources"]["limits"]
        assert amount(requests["cpu"]) <= amount(limits["cpu"])
        assert amount(requests["memory"]) <= amount(limits["memory"])
        pods += count
        cpu += count * amount(requests["cpu"])
        requested += count * amount(requests["memory"])
        limited += count * amount(limits["memory"])
        for init in pod_of(one).get("initContainers", []):
            assert amount(init["resources"]["requests"]["memory"]) <= amount(requests["memory"])
    [database] = of_kind(objects, "Cluster")
    pods += database["spec"]["instances"]
    cpu += database["spec"]["instances"] * amount(database["spec"]["resources"]["requests"]["cpu"])
    limited += database["spec"]["instances"] * amount(database["spec"]["resources"]["limits"]["memory"])
    # a rolling update has a quarter more for a while
    assert 1.25 * pods <= hard["pods"]
    assert cpu <= hard["requests.cpu"]
    assert requested <= hard["requests.memory"]
    assert limited <= hard["limits.memory"]


@every_overlay
def test_pdf_workers_have_more_memory_and_image_workers_more_processors(overlay: str) -> None:
    objects = rendered(overlay)
    limits = {
        pool: pod_of(named(objects, "Deployment", f"docfleet-worker-{pool}"))["containers"][0]["resources"]["limits"]
        for pool in (Pool.PDF, Pool.IMAGE)
    }
    assert amount(limits[Pool.PDF]["memory"]) > amount(limits[Pool.IMAGE]["memory"])
    assert amount(limits[Pool.IMAGE]["cpu"]) > amount(limits[Pool.PDF]["cpu"])


@every_overlay
def test_what_slots_may_take_together_the_container_has(overlay: str) -> None:
    """Kubernetes kills the whole container where one process goes past: the supervisor has to be first."""
    objects = rendered(overlay)
    for one in workers(objects):
        [container] = pod_of(one)["containers"]
        if "--slots" not in container["args"]:
            continue
        slots = int(container["args"][container["args"].index("--slots") + 1])
        said = environment_of_container(objects, container)
        each = sum(
            float(said[name])
            for name in ("DOCFLEET_FLEET__WORKER_MEMORY_BYTES", "DOCFLEET_LIMITS__SANDBOX_MEMORY_BYTES")
        )
        limit = amount(container["resources"]["limits"]["memory"])
        assert slots * each + SUPERVISOR_BYTES <= limit
        recycle = float(said.get("DOCFLEET_FLEET__RECYCLE_BYTES", Settings().fleet.recycle_bytes))
        assert recycle < float(said["DOCFLEET_FLEET__WORKER_MEMORY_BYTES"])
        assert amount(container["resources"]["limits"]["cpu"]) >= slots, "a slot that recognises fills a core"


@every_overlay
def test_everything_has_the_time_to_end_in_order(overlay: str) -> None:
    """Grace is the soft shutdown and 15 s more, in which slices are handed back; the API is let go of first."""
    objects = rendered(overlay)
    assert HAND_BACK_SECONDS < BEYOND_GRACE
    for one, container in own_containers(objects):
        if one["kind"] == "Job" or container["name"] == "wait-for-ledger":
            continue
        soft = float(environment_of_container(objects, container)["DOCFLEET_FLEET__GRACE_SECONDS"])
        pause = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        assert pod_of(one)["terminationGracePeriodSeconds"] == pause + soft + BEYOND_GRACE, one["metadata"]["name"]
        served = [port for port in container.get("ports", []) if port["name"] != "metrics"]
        assert bool(pause) == bool(served), "who is connected to waits until nobody connects any more"


@every_overlay
def test_nothing_is_taken_away_before_its_successor_is_there(overlay: str) -> None:
    for one in of_kind(rendered(overlay), "Deployment"):
        if one["metadata"]["name"] == "docfleet-limiter":
            continue
        assert one["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
        spread = pod_of(one)["topologySpreadConstraints"]
        assert [entry["topologyKey"] for entry in spread] == ["topology.kubernetes.io/zone", "kubernetes.io/hostname"]
        for entry in spread:
            assert entry["labelSelector"]["matchLabels"] == one["spec"]["selector"]["matchLabels"]


@every_overlay
def test_every_kind_of_pod_may_be_disturbed_a_little_and_only_a_little(overlay: str) -> None:
    objects = rendered(overlay)
    budgets = {
        tuple(one["spec"]["selector"]["matchLabels"].items()): one for one in of_kind(objects, "PodDisruptionBudget")
    }
    for one in of_kind(objects, "Deployment", "StatefulSet"):
        labels = one["spec"]["template"]["metadata"]["labels"].items()
        found = [budget for selector, budget in budgets.items() if set(selector) <= set(labels)]
        assert len(found) == (0 if one["metadata"]["name"] == "docfleet-limiter" else 1), one["metadata"]["name"]


@every_overlay
def test_who_is_pushed_off_a_node_first(overlay: str) -> None:
    objects = rendered(overlay)
    value = {one["metadata"]["name"]: one["value"] for one in of_kind(objects, "PriorityClass")}
    for one in workloads(objects):
        wanted = "docfleet-worker" if "worker" in one["metadata"]["name"] else "docfleet-control"
        assert pod_of(one)["priorityClassName"] == wanted
    assert value["docfleet-control"] > value["docfleet-worker"]


@every_overlay
def test_workers_and_dispatchers_are_probed_by_their_heartbeat(overlay: str) -> None:
    for one, container in own_containers(rendered(overlay)):
        if "--liveness" not in container.get("args", []):
            continue
        file = container["args"][container["args"].index("--liveness") + 1]
        probe = container["livenessProbe"]
        for which in ("startupProbe", "readinessProbe", "livenessProbe"):
            [shell, flag, line] = container[which]["exec"]["command"]
            assert (shell, flag) == ("sh", "-c")
            assert line == f'test -n "$(find {file} -mmin -1)"'
        stale = 60 + probe["periodSeconds"] * probe["failureThreshold"]
        assert 4 * LIVENESS_SECONDS <= 60, "a few touches may fail"
        assert stale <= 120, "and a process that stands still is started again soon"
        assert any(mount["mountPath"] == file.rpartition("/")[0] for mount in container["volumeMounts"])
        assert one["kind"] == "Deployment"


@every_overlay
def test_the_api_is_asked_by_routes_there_are(overlay: str) -> None:
    [container] = pod_of(named(rendered(overlay), "Deployment", "docfleet-api"))["containers"]
    routes = {route.path for route in routes_of(health)}
    asked = {which: container[which]["httpGet"] for which in ("startupProbe", "readinessProbe", "livenessProbe")}
    assert {get["path"] for get in asked.values()} <= routes
    assert asked["livenessProbe"]["path"] == "/healthz", "a database that is away is no reason to start the API again"
    assert asked["readinessProbe"]["path"] == "/readyz"
    assert {get["scheme"] for get in asked.values()} == {"HTTPS"}


@every_overlay
def test_new_pods_wait_for_the_tables_and_the_job_makes_them(overlay: str) -> None:
    objects = rendered(overlay)
    for one in of_kind(objects, "Deployment"):
        if not pod_of(one)["containers"][0]["image"].startswith("docfleet/"):
            continue
        [first] = pod_of(one)["initContainers"]
        assert first["args"] == ["ledger", "wait"]
        assert first["image"] == pod_of(one)["containers"][0]["image"], "what this version needs, only it knows"
    job = named(objects, "Job", "docfleet-migrate")
    [container] = pod_of(job)["containers"]
    assert container["args"] == ["ledger", "migrate"]
    notes = job["metadata"]["annotations"]
    assert notes["argocd.argoproj.io/hook-delete-policy"] == "BeforeHookCreation"
    assert notes["kustomize.toolkit.fluxcd.io/force"] == "enabled"
