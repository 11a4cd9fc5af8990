"""Every overlay is something that Kubernetes takes, and names nothing that is not there."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from docfleet.settings import Settings
from kubernetes_tree import (
    DOCFLEETS_OWN,
    KUBERNETES,
    ROOT,
    Manifest,
    containers,
    environment_of_container,
    every_overlay,
    of_kind,
    own_containers,
    pod_of,
    rendered,
    rendered_with,
    workloads,
)

OLDEST_KUBERNETES = "1.33"
"""Pods that end by `sleep`, and spread by `matchLabelKeys`, without a switch to be turned on."""
CORE = ("v1", "apps/v1", "batch/v1", "policy/v1", "networking.k8s.io/v1", "scheduling.k8s.io/v1")
MADE_BY_HAND = {
    "dev": {
        # ./make-secrets.sh, and the key that the API made (docs/how-to/run-on-kubernetes.md)
        "docfleet-master-key", "docfleet-broker", "docfleet-limiter", "docfleet-redis", "docfleet-limiter-users",
        "docfleet-scaler-key",
    }
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def schemas_are_read_once() -> Iterator[None]:
    """The validator reads a file of megabytes anew for every object."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(kubernetes_validate.utils, "schema_contents", cache(kubernetes_validate.utils.schema_contents))
        yield


@every_overlay
def test_kubernetes_takes_it(overlay: str) -> None:
    checked = 0
    for one in rendered(overlay):
        if one["apiVersion"] in CORE:
            validate(json.dumps(one))
            checked += 1
    assert checked > 30


@cache
def validate(manifest: str) -> None:
    """Overlays have many of their objects in common, and looking at one takes long."""
    for version in (OLDEST_KUBERNETES, kubernetes_validate.latest_version()):
        kubernetes_validate.validate(json.loads(manifest), version, strict=True)


def test_a_field_there_is_not_would_be_found() -> None:
    wrong = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "x"}, "spec": {"finalisers": []}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, OLDEST_KUBERNETES, strict=True)


@every_overlay
def test_everything_but_what_has_no_namespace_is_in_the_one(overlay: str) -> None:
    for one in rendered(overlay):
        wanted = None if one["kind"] in ("Namespace", "PriorityClass") else "docfleet"
        assert one["metadata"].get("namespace") == wanted, one["metadata"]["name"]


def test_every_component_is_used_or_can_be(tmp_path: Path) -> None:
    used = set()
    for overlay in (KUBERNETES / "overlays").iterdir():
        used |= {Path(place).name for place in _kustomization(overlay).get("components", [])}
    components = {path.name for path in (KUBERNETES / "components").iterdir()}
    assert components - used == {"documentai-server", "console", "tracing"}
    for component in components - used:
        folder = tmp_path / component
        folder.mkdir()
        for one in rendered_with(component, folder):
            if one["apiVersion"] in CORE:
                validate(json.dumps(one))


def _kustomization(folder: Path) -> dict[str, Any]:
    return dict(yaml.safe_load((folder / "kustomization.yaml").read_text()))


@every_overlay
def test_every_variable_is_one_of_the_settings(overlay: str) -> None:
    objects = rendered(overlay)
    known = known_variables()
    for workload, container in own_containers(objects):
        set_here = {name for name in environment_of_container(objects, container) if name.startswith("DOCFLEET_")}
        assert set_here <= known, (workload["metadata"]["name"], set_here - known)


def known_variables() -> set[str]:
    found = {"DOCFLEET_LOG", "DOCFLEET_CONFIG"}
    for section, field in Settings.model_fields.items():
        model = field.annotation
        assert model is not None
        found |= {f"DOCFLEET_{section}__{name}".upper() for name in model.model_fields}
    return found


@every_overlay
def test_the_settings_can_be_read(overlay: str, monkeypatch: pytest.MonkeyPatch) -> None:
    objects = rendered(overlay)
    for _, container in own_containers(objects):
        with monkeypatch.context() as patched:
            for name, value in environment_of_container(objects, container).items():
                if name.startswith("DOCFLEET_") and name != "DOCFLEET_CONFIG":
                    patched.setenv(name, value)
            settings = Settings()
        assert settings.service.region == {"region-eu": "eu", "region-us": "us"}.get(overlay, overlay)


@every_overlay
def test_every_secret_and_every_config_map_that_is_named_is_there(overlay: str) -> None:
    objects = rendered(overlay)
    maps = {one["metadata"]["name"] for one in of_kind(objects, "ConfigMap")}
    assert set(_named(objects, "configMapRef", "configMap")) <= maps
    wanted = set(_named(objects, "secretRef", "secret", "secretKeyRef", "secretTargetRef"))
    for cluster in of_kind(objects, "Cluster"):
        wanted |= set(cluster["spec"]["certificates"].values())
        keys = cluster["spec"].get("backup", {}).get("barmanObjectStore", {}).get("s3Credentials", {})
        wanted |= {key["name"] for key in keys.values()}
    wanted |= {
        one["metadata"]["annotations"]["haproxy.org/server-ca"].split("/")[1] for one in of_kind(objects, "Ingress")
    }
    for routes in of_kind(objects, "AlertmanagerConfig"):
        for receiver in routes["spec"]["receivers"]:
            wanted |= {one["routingKey"]["name"] for one in receiver.get("pagerdutyConfigs", [])}
    made = made_secrets(objects)
    by_hand = MADE_BY_HAND.get(overlay, set())
    assert wanted <= made | by_hand, wanted - made - by_hand
    assert by_hand <= wanted, "nothing is made by hand that nobody needs"
    assert made <= wanted | {"docfleet-authority", "docfleet-public-tls"}, "nothing is made that nobody needs"


def made_secrets(objects: list[Manifest]) -> set[str]:
    """Names of the secrets that something in the cluster makes."""
    found = {one["spec"]["secretName"] for one in of_kind(objects, "Certificate")}
    found |= {one["spec"]["target"]["name"] for one in of_kind(objects, "ExternalSecret")}
    for ingress in of_kind(objects, "Ingress"):
        if "cert-manager.io/cluster-issuer" in ingress["metadata"]["annotations"]:
            found |= {tls["secretName"] for tls in ingress["spec"]["tls"]}
    return found


def _named(objects: Any, *keys: str) -> Iterator[str]:
    """Names under any of these keys, wherever they stand."""
    if isinstance(objects, list):
        for one in objects:
            yield from _named(one, *keys)
    elif isinstance(objects, dict):
        for key, value in objects.items():
            if key in keys and isinstance(value, dict):
                yield value.get("secretName") or value["name"]
            elif key in keys and isinstance(value, list):
                yield from (one["name"] for one in value)
            else:
                yield from _named(value, *keys)


@every_overlay
def test_keys_of_secrets_are_those_their_makers_give(overlay: str) -> None:
    """What is read from a secret of the platform's store is among what is taken from there."""
    objects = rendered(overlay)
    keys = {
        one["spec"]["target"]["name"]: set(one["spec"]["target"].get("template", {}).get("data", {}))
        or {entry["secretKey"] for entry in one["spec"]["data"]}
        for one in of_kind(objects, "ExternalSecret")
    }
    for trigger in of_kind(objects, "TriggerAuthentication"):
        for entry in trigger["spec"]["secretTargetRef"]:
            assert entry["key"] in keys.get(entry["name"], {"ca.crt", "tls.crt", "tls.key", "token"})
    read = {
        "docfleet-master-key": {"master.key"}, "docfleet-broker": {"docfleet.toml"},
        "docfleet-limiter": {"docfleet.toml"}, "docfleet-redis": {"users.acl", "replication", "sentinel"},
        "docfleet-limiter-users": {"users.acl"},
    }  # fmt: skip
    for name, wanted in read.items():
        assert keys.get(name, wanted) == wanted, name


@every_overlay
def test_files_that_settings_name_are_mounted(overlay: str) -> None:
    objects = rendered(overlay)
    for workload, container in own_containers(objects):
        mounts = [mount["mountPath"] for mount in container.get("volumeMounts", [])]
        values = [*environment_of_container(objects, container).items()]
        if container["name"] in ("wait-for-ledger", "migrate"):
            values = [(name, value) for name, value in values if name.endswith("LEDGER_URL")]
        for name, value in values:
            for path in re.findall(r"(?:^|=)(/(?:etc|run|var)/[^&]+)", value):
                assert any(path.startswith(f"{mount}/") for mount in mounts), (workload["metadata"]["name"], name)


@every_overlay
def test_images_are_those_that_are_built_and_have_a_version(overlay: str) -> None:
    dockerfile = ROOT / "deploy" / "Dockerfile"
    if not dockerfile.is_file():
        pytest.fail("deploy/Dockerfile is missing: nothing builds the images that are named here")
    targets = set(re.findall(r"^FROM \S+ AS (\S+)$", dockerfile.read_text(), re.MULTILINE))
    for workload in workloads(rendered(overlay)):
        for container in containers(workload):
            name, _, tag = container["image"].partition(":")
            assert re.fullmatch(r"v?\d+\.\d+\S*", tag), container["image"]
            if name.startswith(DOCFLEETS_OWN):
                assert name.removeprefix(DOCFLEETS_OWN) in targets, name
                assert "command" not in container, "the image's entry point stays the first process"


@every_overlay
def test_a_pod_has_every_volume_it_mounts_and_no_other(overlay: str) -> None:
    for workload in workloads(rendered(overlay)):
        pod = pod_of(workload)
        mounted = {mount["name"] for container in containers(workload) for mount in container.get("volumeMounts", [])}
        claims = {one["metadata"]["name"] for one in workload["spec"].get("volumeClaimTemplates", [])}
        assert mounted == {volume["name"] for volume in pod["volumes"]} | claims, workload["metadata"]["name"]
