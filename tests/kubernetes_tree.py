"""The manifests as Kubernetes would be given them: every overlay rendered by kubectl, and looked at as values."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from fastapi import FastAPI
from fastapi.routing import APIRoute

from docfleet.api.resource import Resource

ROOT = Path(__file__).parents[1]
KUBERNETES = ROOT / "deploy" / "kubernetes"
OVERLAYS = tuple(sorted(path.name for path in (KUBERNETES / "overlays").iterdir()))
DOCFLEETS_OWN = "docfleet/"
"""How the names of docfleet's own images begin."""

Manifest = dict[str, Any]

every_overlay = pytest.mark.parametrize("overlay", OVERLAYS)


def rendered(overlay: str) -> list[Manifest]:
    """The objects of an overlay. Skips where there is no kubectl, but not where everything is required to be there."""
    if shutil.which("kubectl") is None:
        if os.environ.get("DOCFLEET_REQUIRE_SERVICES"):
            pytest.fail("kubectl is not there, and it is required")
        pytest.skip("kubectl is not there, and nothing else renders what it renders")
    return _render(str(KUBERNETES / "overlays" / overlay))


def rendered_with(component: str, folder: Path) -> list[Manifest]:
    """The base with one component, for those that no overlay has."""
    rendered(OVERLAYS[0])
    places = {"resources": "base", "components": f"components/{component}"}
    lines = [f"{key}: [{os.path.relpath(KUBERNETES / place, folder.resolve())}]" for key, place in places.items()]
    kind = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nnamespace: docfleet\n"
    (folder / "kustomization.yaml").write_text(kind + "\n".join(lines) + "\n")
    return _render(str(folder))


@cache
def _render(folder: str) -> list[Manifest]:
    ran = subprocess.run(["kubectl", "kustomize", folder], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return [one for one in yaml.load_all(ran.stdout, yaml.CSafeLoader) if one]


def of_kind(objects: list[Manifest], *kinds: str) -> list[Manifest]:
    return [one for one in objects if one["kind"] in kinds]


def named(objects: list[Manifest], kind: str, name: str) -> Manifest:
    [found] = [one for one in of_kind(objects, kind) if one["metadata"]["name"] == name]
    return found


def pod_of(one: Manifest) -> Manifest:
    """The specification of the pods of a Deployment, StatefulSet or Job."""
    return dict(one["spec"]["template"]["spec"])


def workloads(objects: list[Manifest]) -> list[Manifest]:
    return of_kind(objects, "Deployment", "StatefulSet", "Job")


def containers(one: Manifest) -> Iterator[Manifest]:
    pod = pod_of(one)
    yield from pod.get("initContainers", [])
    yield from pod["containers"]


def own_containers(objects: list[Manifest]) -> Iterator[tuple[Manifest, Manifest]]:
    """(workload, container) of docfleet's own images."""
    for one in workloads(objects):
        for container in containers(one):
            if container["image"].startswith(DOCFLEETS_OWN):
                yield one, container


def environment_of_container(objects: list[Manifest], container: Manifest) -> dict[str, str]:
    """The variables it is started with, as far as they stand in the manifests: those of ConfigMaps and its own."""
    found: dict[str, str] = {}
    for source in container.get("envFrom", []):
        if "configMapRef" in source:
            found |= named(objects, "ConfigMap", source["configMapRef"]["name"])["data"]
    return found | {one["name"]: one.get("value", "") for one in container.get("env", [])}


def routes_of(resource: Resource) -> list[APIRoute]:
    """Of the API, as it would answer them."""
    app = FastAPI()
    resource.add_to(app)
    return [route for route in app.routes if isinstance(route, APIRoute)]
