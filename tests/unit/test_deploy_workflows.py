"""The workflows: valid, of least privilege, pinned, and running commands there are."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy_tools import tool

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))

every_workflow = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)


def read(path: Path) -> dict[Any, Any]:
    workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert isinstance(workflow, dict)
    return workflow


def steps_of(path: Path) -> list[dict[str, Any]]:
    return [step for job in read(path)["jobs"].values() for step in job["steps"]]


def test_there_are_all_three() -> None:
    assert [path.stem for path in WORKFLOWS] == ["ci", "release", "scan"]


@pytest.mark.parametrize(
    ("schema", "paths"),
    [("vendor.github-workflows", WORKFLOWS), ("vendor.dependabot", [ROOT / ".github" / "dependabot.yml"])],
)
def test_they_are_of_the_schema(schema: str, paths: list[Path]) -> None:
    command = [tool("check-jsonschema"), "--builtin-schema", schema, *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_zizmor_finds_nothing() -> None:
    done = subprocess.run(
        [tool("zizmor"), "--offline", "--no-progress", "--format", "plain", ".github"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert "No findings to report" in done.stdout + done.stderr


@every_workflow
def test_a_run_may_do_little_and_not_for_ever(path: Path) -> None:
    workflow = read(path)
    assert workflow["permissions"] == {}
    assert "group" in workflow["concurrency"]
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"] <= 60
        writes = {name for name, value in job["permissions"].items() if value == "write"}
        assert writes <= ({"id-token", "packages"} if path.stem == "release" else set())
        assert not writes or job["environment"] == "release"


@every_workflow
def test_actions_are_pinned_by_commit_with_their_version_beside(path: Path) -> None:
    uses = re.findall(r"uses: (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    assert uses
    assert all(re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", use) for use in uses)


def test_one_version_of_each_action() -> None:
    pins: dict[str, set[str]] = {}
    for path in WORKFLOWS:
        for name, pin in re.findall(r"uses: ([\w/-]+)@(.+)$", path.read_text(encoding="utf-8"), re.MULTILINE):
            pins.setdefault(name, set()).add(pin)
    assert [name for name, found in pins.items() if len(found) > 1] == []


@every_workflow
def test_what_they_run_is_there(path: Path) -> None:
    """Scripts of the repository, targets of the Makefile, and the files they are given."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for step in steps_of(path):
        run = step.get("run", "")
        for name in re.findall(r"(?<![\w./])((?:deploy|\.ci|tools)/[\w./-]+\w)", run):
            assert (ROOT / name).exists(), name
        assert set(re.findall(r"\bmake ([a-z-]+)", run)) <= targets


@pytest.mark.parametrize("name", ["release", "scan"])
def test_every_image_is_looked_at(name: str) -> None:
    dockerfile = (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8")
    titles = set(re.findall(r'image\.title="docfleet-([\w-]+)"', dockerfile))
    (path,) = [path for path in WORKFLOWS if path.stem == name]
    listed = set(read(path)["jobs"]["images"]["strategy"]["matrix"]["target"])
    assert titles - listed == ({"worker-image"} if name == "scan" else set())
    assert listed <= titles
