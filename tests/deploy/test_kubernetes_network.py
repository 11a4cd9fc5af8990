"""Nothing may speak to anything but along the arrows of the architecture, and both ends of an arrow are open.

That these are the arrows the code uses, `test_kubernetes_arrows.py` shows with real processes.
"""

from __future__ import annotations

import pytest

from docfleet.delivery.addresses import HIGHEST_PORT, HTTPS_PORT, LOWEST_FREE_PORT, is_public
from kubernetes_arrows import DATABASE, LIMITER, OUTSIDE, REDIS, SENTINEL, allowed_arrows, matches, policies, roles
from kubernetes_tree import every_overlay, named, of_kind, pod_of, rendered, workloads

ARROWS = {
    ("api", DATABASE), ("api", LIMITER), ("api", "object-store"),
    ("dispatcher", DATABASE), ("dispatcher", REDIS), ("dispatcher", SENTINEL), ("dispatcher", "object-store"),
    ("dispatcher", "webhooks"),
    ("worker", DATABASE), ("worker", REDIS), ("worker", SENTINEL), ("worker", "object-store"),
    ("worker-cloud", DATABASE), ("worker-cloud", LIMITER), ("worker-cloud", "object-store"), ("worker-cloud", "engine"),
    ("migrate", DATABASE),
    (REDIS, REDIS), (REDIS, SENTINEL), (SENTINEL, REDIS), (SENTINEL, SENTINEL), (DATABASE, DATABASE),
}  # fmt: skip
"""docs/how-to/run-on-kubernetes.md draws them."""
NOT_IN_DEV = {
    (role, target) for role, target in ARROWS if target in ("object-store", "engine") or role == "worker-cloud"
}


@every_overlay
def test_the_arrows_are_those_of_the_architecture(overlay: str) -> None:
    assert allowed_arrows(rendered(overlay)) == (ARROWS - NOT_IN_DEV if overlay == "dev" else ARROWS)


@every_overlay
def test_all_that_is_not_said_is_denied(overlay: str) -> None:
    deny = named(rendered(overlay), "NetworkPolicy", "docfleet-default-deny")["spec"]
    assert deny == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


@every_overlay
def test_every_arrow_is_open_at_both_ends(overlay: str) -> None:
    """What a role may send to a server, the server may take from it, on the port it listens on."""
    objects = rendered(overlay)
    sent: set[tuple[str, str, int]] = set()
    taken: set[tuple[str, str, int]] = set()
    for policy in policies(objects):
        here = [role for role in roles(objects) if matches(policy["podSelector"], role)]
        for direction, peers, found in (("egress", "to", sent), ("ingress", "from", taken)):
            for rule in policy.get(direction, []):
                for peer in rule.get(peers, []):
                    if set(peer) != {"podSelector"}:
                        continue
                    for there in roles(objects):
                        if matches(peer["podSelector"], there):
                            for one in here:
                                pair = (one, there) if direction == "egress" else (there, one)
                                found |= {(*pair, port["port"]) for port in rule["ports"]}
    assert sent == taken


@every_overlay
def test_ports_are_those_that_are_listened_on(overlay: str) -> None:
    objects = rendered(overlay)
    listened = {5432: DATABASE, 8000: DATABASE, 9187: DATABASE}
    for one in workloads(objects):
        role = one["spec"]["template"]["metadata"]["labels"]["docfleet/role"]
        for container in pod_of(one)["containers"]:
            listened |= {(role, port["containerPort"]): role for port in container.get("ports", [])}
    for policy in policies(objects):
        for rule in policy.get("ingress", []):
            for port in rule["ports"]:
                [role] = [role for role in roles(objects) if matches(policy["podSelector"], role)]
                assert (role, port["port"]) in listened or listened.get(port["port"]) == role


@every_overlay
def test_what_goes_outside_never_goes_to_a_private_address(overlay: str) -> None:
    """By the same measure as the code that delivers webhooks has."""
    for one in of_kind(rendered(overlay), "NetworkPolicy"):
        if one["metadata"]["name"] not in OUTSIDE:
            continue
        [rule] = one["spec"]["egress"]
        for peer in rule["to"]:
            for network in peer["ipBlock"]["except"]:
                from ipaddress import ip_network

                assert not is_public(ip_network(network)[1 if ip_network(network).num_addresses > 1 else 0]), network


def test_webhooks_may_use_the_ports_that_the_code_allows() -> None:
    [rule] = named(rendered("production"), "NetworkPolicy", "docfleet-webhooks")["spec"]["egress"]
    assert rule["ports"] == [
        {"protocol": "TCP", "port": HTTPS_PORT},
        {"protocol": "TCP", "port": LOWEST_FREE_PORT, "endPort": HIGHEST_PORT},
    ]


@pytest.mark.parametrize("who", ["keda", "haproxy-controller", "monitoring", "cnpg-system"])
def test_other_namespaces_come_in_only_where_they_have_to(who: str) -> None:
    doors = {
        "keda": {("api", 8443)},
        "haproxy-controller": {("api", 8443)},
        "monitoring": {(role, 9464) for role in ("api", "dispatcher", "worker", "worker-cloud")} | {(DATABASE, 9187)},
        "cnpg-system": {(DATABASE, 8000), (DATABASE, 5432)},
    }
    objects = rendered("production")
    found = set()
    for policy in policies(objects):
        for rule in policy.get("ingress", []):
            for peer in rule["from"]:
                labels = peer.get("namespaceSelector", {}).get("matchLabels", {})
                if labels.get("kubernetes.io/metadata.name") == who:
                    [role] = [role for role in roles(objects) if matches(policy["podSelector"], role)]
                    found |= {(role, port["port"]) for port in rule["ports"]}
    assert found == doors[who]
