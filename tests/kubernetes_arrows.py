"""The arrows that the NetworkPolicies leave open: who may open a connection to what."""

from __future__ import annotations

from typing import Any

from kubernetes_tree import Manifest, of_kind, workloads

DATABASE, REDIS, SENTINEL, LIMITER = "postgres", "redis", "sentinel", "limiter"
OUTSIDE = {"docfleet-object-store": "object-store", "docfleet-engine": "engine", "docfleet-webhooks": "webhooks"}
"""Policy -> what it is there for: an address outside the cluster has no label to be named by."""

Arrow = tuple[str, str]
"""(who opens the connection, to what)."""


def policies(objects: list[Manifest]) -> list[dict[str, Any]]:
    return [one["spec"] for one in of_kind(objects, "NetworkPolicy")]


def roles(objects: list[Manifest]) -> set[str]:
    """Values of the label `docfleet/role` there are."""
    found = {one["spec"]["template"]["metadata"]["labels"]["docfleet/role"] for one in workloads(objects)}
    return found | {one["spec"]["inheritedMetadata"]["labels"]["docfleet/role"] for one in of_kind(objects, "Cluster")}


def matches(selector: dict[str, Any], role: str) -> bool:
    """Whether a selector of pods, by the role alone, means the pods of `role`."""
    wanted = selector.get("matchLabels", {})
    if set(wanted) - {"docfleet/role"}:
        raise AssertionError(f"a selector by something else than the role: {selector}")
    for one in selector.get("matchExpressions", []):
        assert (one["key"], one["operator"]) == ("docfleet/role", "In"), selector
        if role not in one["values"]:
            return False
    return wanted.get("docfleet/role", role) == role


def allowed_arrows(objects: list[Manifest]) -> set[Arrow]:
    """All but the asking for names."""
    found: set[Arrow] = set()
    for one in of_kind(objects, "NetworkPolicy"):
        spec, outside = one["spec"], OUTSIDE.get(one["metadata"]["name"])
        for role in roles(objects):
            if not matches(spec["podSelector"], role):
                continue
            for rule in spec.get("egress", []):
                for peer in rule.get("to", []):
                    if "ipBlock" in peer and outside:
                        found.add((role, outside))
                    elif set(peer) == {"podSelector"}:
                        found |= {(role, there) for there in roles(objects) if matches(peer["podSelector"], there)}
    return found
