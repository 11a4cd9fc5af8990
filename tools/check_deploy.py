"""`make check-deploy`: the manifests against the schemas of the operators they are for, and against checkov.

Needs kubectl, node with npm, and a network the first time: the schemas are packages of other people, kept in a folder
of their own and never committed. A field that a schema does not know is found by TypeScript's compiler, a value that it
does not allow by the packages' own validators. What is not installed is said, and makes the check fail.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
KUBERNETES = ROOT / "deploy" / "kubernetes"
BUILD = ROOT / "build" / "check-deploy"
OVERLAYS = ("dev", "production", "region-eu", "region-us")
PACKAGES = {
    "keda.sh": "keda@2.0.0",
    "cert-manager.io": "cert-manager@6.0.0",
    "external-secrets.io": "external-secrets@2.0.0",
    "postgresql.cnpg.io": "cloudnative-pg@2.0.0",
    "monitoring.coreos.com": "prometheus-operator@6.0.0",
}
"""API group -> package of @kubernetes-models that carries its schemas."""
TYPESCRIPT = "typescript@5.9.3"
CHECKOV = "checkov==3.3.30"
LEAST_PASSED = 0.95
"""Of checkov's checks, those that are left out with a reason counted as not passed."""


def main() -> int:
    missing = [name for name in ("kubectl", "node", "npm") if shutil.which(name) is None]
    if missing:
        print(f"Not there: {', '.join(missing)}.", file=sys.stderr)
        return 2
    rendered = {overlay: render(overlay) for overlay in OVERLAYS}
    return max(check_schemas(rendered), check_with_checkov(rendered))


def render(overlay: str) -> str:
    """The manifests of an overlay, as YAML."""
    ran = subprocess.run(
        ["kubectl", "kustomize", str(KUBERNETES / "overlays" / overlay)], check=True, capture_output=True, text=True
    )
    return ran.stdout


def check_schemas(rendered: dict[str, str]) -> int:
    """0 when every object of another group is as its schema wants it, and a wrong one is found out."""
    folder = _node_packages()
    objects = [
        {"overlay": overlay, "object": one}
        for overlay, text in rendered.items()
        for one in yaml.safe_load_all(text)
        if one["apiVersion"].split("/")[0] in PACKAGES
    ]
    wrong_values, wrong_fields = _schemas_say(folder, objects)
    print(wrong_values + wrong_fields, end="")
    verdict = "WRONG" if wrong_values or wrong_fields else "good"
    print(f"Schemas of {len(PACKAGES)} groups, {len(objects)} objects: {verdict}.")
    found_out = _finds_what_is_wrong(folder, next(one for one in objects if one["object"]["kind"] == "ScaledObject"))
    return int(bool(wrong_values or wrong_fields or not found_out))


def _schemas_say(folder: Path, objects: list[dict[str, Any]]) -> tuple[str, str]:
    """What is wrong: values by the packages' validators, fields by the compiler."""
    names = {group: package.split("@")[0] for group, package in PACKAGES.items()}
    shutil.copy(ROOT / "tools" / "check_crds.mjs", folder)
    values = _run(folder, "check_crds.mjs", json.dumps(names), text=json.dumps(objects))
    fields = _run(
        folder, "node_modules/typescript/bin/tsc", "--noEmit", "--strict", "--skipLibCheck", "--target", "es2022",
        "--module", "nodenext", "--moduleResolution", "nodenext", "typed.ts",
    )  # fmt: skip
    return values, fields


def _run(folder: Path, *arguments: str, text: str = "") -> str:
    """What a program of node says when it is not content."""
    ran = subprocess.run(["node", *arguments], cwd=folder, input=text, capture_output=True, text=True)
    return "" if ran.returncode == 0 else ran.stdout + ran.stderr


def _finds_what_is_wrong(folder: Path, good: dict[str, Any]) -> bool:
    """The control: a check that lets these pass is none."""
    misspelt, impossible = json.loads(json.dumps(good)), json.loads(json.dumps(good))
    misspelt["object"]["spec"]["polingInterval"] = 5
    impossible["object"]["spec"]["fallback"]["behavior"] = "sometimes"
    found_out = bool(_schemas_say(folder, [misspelt])[1]) and bool(_schemas_say(folder, [impossible])[0])
    print(f"A misspelt field and an impossible value are {'found out' if found_out else 'NOT FOUND OUT'}.")
    return found_out


def _node_packages() -> Path:
    folder = BUILD / "schemas"
    wanted = [*(f"@kubernetes-models/{package}" for package in PACKAGES.values()), TYPESCRIPT]
    mark = folder / "installed.json"
    if mark.is_file() and json.loads(mark.read_text()) == wanted:
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "package.json").write_text('{"private": true, "type": "module"}\n')
    # their checks of the node version are for whoever develops them
    subprocess.run(
        ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel", "error", *wanted],
        cwd=folder, check=True,
    )  # fmt: skip
    mark.write_text(json.dumps(wanted))
    return folder


def check_with_checkov(rendered: dict[str, str]) -> int:
    """0 when enough of its checks pass and none fails that is not argued about beside the object."""
    code = 0
    for overlay, text in rendered.items():
        file = BUILD / f"{overlay}.yaml"
        file.write_text(text)
        found = _checkov("--file", str(file), "--framework", "kubernetes")
        code = max(code, _judge(f"overlay {overlay}", found))
    dockerfile = ROOT / "deploy" / "Dockerfile"
    if dockerfile.is_file():
        code = max(code, _judge("Dockerfile", _checkov("--file", str(dockerfile), "--framework", "dockerfile")))
    return code


def _judge(what: str, found: dict[str, Any]) -> int:
    summary = found["summary"]
    total = summary["passed"] + summary["failed"] + summary["skipped"]
    share = summary["passed"] / total
    print(f"checkov, {what}: {summary['passed']} passed, {summary['skipped']} left out, {summary['failed']} failed")
    for one in found["results"]["failed_checks"]:
        print(f"  {one['check_id']} {one['resource']}: {one['check_name']}")
    return int(bool(summary["failed"]) or share < LEAST_PASSED)


def _checkov(*arguments: str) -> dict[str, Any]:
    ran = subprocess.run(
        [_checkov_program(), *arguments, "--output", "json", "--quiet", "--compact"],
        env={**os.environ, "LOG_LEVEL": "ERROR"}, capture_output=True, text=True,
    )  # fmt: skip
    found = json.loads(ran.stdout)
    return dict(found[0] if isinstance(found, list) else found)


def _checkov_program() -> str:
    """`$CHECKOV`, the one on PATH, or one in an environment of its own: it pins what docfleet does not."""
    if given := os.environ.get("CHECKOV") or shutil.which("checkov"):
        return given
    folder = BUILD / "checkov"
    program = folder / "bin" / "checkov"
    if not program.exists():
        venv.create(folder, with_pip=True)
        subprocess.run([folder / "bin" / "python", "-m", "pip", "install", "--quiet", CHECKOV], check=True)
    return str(program)


if __name__ == "__main__":
    raise SystemExit(main())
