"""The compose file: valid, hardened, ordered by health, without a default password, and of settings there are."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy_tools import module_of, tool
from docfleet.settings import Settings, read_settings
from docfleet.store.encryption import MasterKey

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OWN = {name for name, service in SERVICES.items() if service["image"].startswith("docfleet-")}
ONCE = {"prepare", "bucket"}

prepare = module_of(DEPLOY / "compose" / "prepare.py")
make_bucket = module_of(DEPLOY / "compose" / "make_bucket.py")
every_service = pytest.mark.parametrize("name", sorted(SERVICES))


def mounts_of(name: str) -> list[tuple[str, str, bool]]:
    """(volume or path, where, whether it is read-only) of a service."""
    found = []
    for mount in SERVICES[name].get("volumes", []):
        source, target, *mode = mount.split(":")
        found.append((source, target, mode == ["ro"]))
    return found


def setting_exists(variable: str) -> bool:
    section, _, field = variable.removeprefix("DOCFLEET_").lower().partition("__")
    return section in Settings.model_fields and field in Settings.model_fields[section].annotation.model_fields  # type: ignore[union-attr]


# --- the file --------------------------------------------------------------------------------------------------------


def test_it_is_what_the_specification_calls_a_compose_file() -> None:
    command = [tool("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", str(DEPLOY / "compose.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_everything_under_deploy_is_readable_yaml() -> None:
    done = subprocess.run(
        [tool("yamllint"), "--strict", "deploy", ".github"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


@every_service
def test_a_service_is_confined(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    limits = service["deploy"]["resources"]["limits"]
    assert {"cpus", "memory", "pids"} <= limits.keys()
    if name == "prepare":
        assert (service["user"], service["cap_add"], service["network_mode"]) == ("0:0", ["CHOWN"], "none")
    else:
        assert "cap_add" not in service
        # docfleet's images are 10001's by themselves
        assert (name in OWN) != ("user" in service)
        assert not service.get("user", "").startswith(("0", "root"))


@every_service
def test_ports_are_of_this_machine_alone(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", []))
    assert not SERVICES[name].get("ports") or "outside" in SERVICES[name]["networks"]


@every_service
def test_what_is_named_is_there(name: str) -> None:
    service = SERVICES[name]
    for source, _, _ in mounts_of(name):
        assert (DEPLOY / source).exists() if source.startswith(".") else source in COMPOSE["volumes"], source
    assert set(service.get("networks", [])) <= COMPOSE["networks"].keys()
    if "build" in service:
        assert (DEPLOY / service["build"]["context"] / service["build"]["dockerfile"]).exists()
        assert service["image"].startswith(f"docfleet-{service['build']['target']}:")


@every_service
def test_services_start_in_order_of_health(name: str) -> None:
    for other, condition in SERVICES[name].get("depends_on", {}).items():
        wanted = "service_completed_successfully" if other in ONCE else "service_healthy"
        assert condition == {"condition": wanted}
        checked = other in OWN or "test" in SERVICES[other].get("healthcheck", {})
        assert other in ONCE or checked
    if name not in {"prepare", "jaeger"}:
        assert "prepare" in SERVICES[name]["depends_on"]


def test_networks_hold_only_who_has_to_talk() -> None:
    assert COMPOSE["networks"]["data"] == {"internal": True}
    assert COMPOSE["networks"]["monitoring"] == {"internal": True}
    for name in ("postgres", "hints", "limits", "store"):
        assert SERVICES[name]["networks"] == ["data"]
    for name in ("worker-pdf", "worker-image"):
        assert set(SERVICES[name]["networks"]) == {"data", "monitoring"}


def test_prometheus_asks_every_piece_by_a_name_of_its_own() -> None:
    """A name on the network `monitoring` alone: by the service's own, a piece on two networks might be asked twice."""
    config = yaml.safe_load((DEPLOY / "monitoring/prometheus/prometheus.yml").read_text(encoding="utf-8"))
    asked = {
        (name, discovered["port"])
        for job in config["scrape_configs"]
        for discovered in job.get("dns_sd_configs", [])
        for name in discovered["names"]
    }
    pieces = OWN - ONCE
    told = {
        (alias, int(SERVICES[name]["environment"]["DOCFLEET_TELEMETRY__METRICS_PORT"]))
        for name in pieces
        for alias in SERVICES[name]["networks"]["monitoring"]["aliases"]
    }
    assert asked == told
    assert {f"{name}.metrics" for name in pieces} == {alias for alias, _ in told}


def test_a_worker_is_given_its_grace_and_fifteen_seconds() -> None:
    grace = float(SERVICES["worker-pdf"]["environment"]["DOCFLEET_FLEET__GRACE_SECONDS"])
    for name in OWN - {"prepare"}:
        assert SERVICES[name]["stop_grace_period"] == f"{grace + 15:g}s"


@every_service
def test_settings_named_are_settings_there_are(name: str) -> None:
    for variable in SERVICES[name].get("environment", {}):
        if variable.startswith("DOCFLEET_") and variable not in ("DOCFLEET_CONFIG", "DOCFLEET_LOG"):
            assert setting_exists(variable), variable
    for argument in SERVICES[name].get("command", []):
        assert "${" not in argument


def test_values_in_the_environment_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the defaults that stand behind the variables of the shell."""
    for name in sorted(OWN):
        for variable, value in SERVICES[name].get("environment", {}).items():
            if setting_exists(variable):
                monkeypatch.setenv(variable, re.sub(r"\$\{\w+:-(.*)\}", r"\1", value))
    settings = read_settings()
    assert settings.fleet.slots == 2
    assert settings.fleet.debug_events is False


# --- secrets ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prepared")
    with giving_nothing_away():
        prepare.prepare(folder)
    return folder


@contextmanager
def giving_nothing_away() -> Iterator[None]:
    """Volumes can be given to their services by root only."""
    if os.geteuid() == 0:
        yield
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "chown", lambda *_: None)
        yield


def files_in(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_no_file_of_the_repository_holds_a_secret() -> None:
    text = (DEPLOY / "compose.yaml").read_text(encoding="utf-8")
    secrets = re.findall(r"(?i)^\s*\w*(?:password|secret|token|_key)\w*\s*[:=]\s*(\S+)", text, re.MULTILINE)
    assert secrets
    assert not [value for value in secrets if not value.startswith(("/run/secret/", "{}"))]


def test_a_second_start_changes_nothing(prepared: Path) -> None:
    before = files_in(prepared)
    with giving_nothing_away():
        prepare.prepare(prepared)
    assert files_in(prepared) == before


def test_two_installations_share_no_secret() -> None:
    one, other = prepare.draw(), prepare.draw()
    assert not set(one.values()) & set(other.values())
    assert all(len(one[name]) >= 43 and re.fullmatch(r"[\w-]+", one[name]) for name in prepare.PASSWORDS)


def test_a_start_that_was_cut_off_is_made_up_for(prepared: Path, tmp_path: Path) -> None:
    (tmp_path / "secrets/drawn").mkdir(parents=True)
    (tmp_path / "secrets/drawn/drawn.json").write_bytes((prepared / "secrets/drawn/drawn.json").read_bytes())
    (tmp_path / "secrets/postgres").mkdir()
    (tmp_path / "secrets/postgres/.password.half").write_text("half", encoding="utf-8")
    with giving_nothing_away():
        prepare.prepare(tmp_path)
    assert files_in(tmp_path) == files_in(prepared)


def test_what_was_drawn_is_for_nobody_to_read(prepared: Path) -> None:
    assert stat.S_IMODE((prepared / "secrets/drawn/drawn.json").stat().st_mode) == 0o400
    assert {target for name in SERVICES for source, target, _ in mounts_of(name) if source == "secrets-drawn"} == {
        "/prepared/secrets/drawn"
    }


def test_each_service_sees_its_own_secrets_and_cannot_change_them(prepared: Path) -> None:
    written = {path.name for path in (prepared / "secrets").iterdir()}
    assert {f"secrets-{name}" for name in written} == {v for v in COMPOSE["volumes"] if v.startswith("secrets-")}
    for name in SERVICES.keys() - {"prepare"}:
        mine = [(source, read_only) for source, _, read_only in mounts_of(name) if source.startswith("secrets-")]
        allowed = {"secrets-docfleet"} if name in OWN else {f"secrets-{name}"}
        assert {source for source, _ in mine} <= allowed
        assert all(read_only for _, read_only in mine)


def test_every_secret_that_is_read_is_written(prepared: Path) -> None:
    """Paths below the mounts of secrets, wherever they are named: in commands, variables and configuration."""
    named = 0
    for name in SERVICES.keys() - {"prepare"}:
        for source, target, _ in mounts_of(name):
            if not source.startswith("secrets-"):
                continue
            folder = prepared / "secrets" / source.removeprefix("secrets-")
            text = json.dumps(SERVICES[name]) + "".join(file.read_text() for file in folder.iterdir())
            if name == "flower":
                text += "".join((DEPLOY / "compose" / f).read_text() for f in ("flower_app.py", "flowerconfig.py"))
            for path in re.findall(rf"{target}/[\w./-]*[\w]", text):
                assert (folder / path.removeprefix(f"{target}/")).is_file(), path
                named += 1
    assert named >= 10


def test_volumes_are_given_to_who_writes_them(prepared: Path) -> None:
    data = {path.name: path.stat().st_uid for path in (prepared / "data").iterdir()}
    assert data.keys() == prepare.OWNERS.keys() == {v for v in COMPOSE["volumes"] if not v.startswith("secrets-")}
    if os.geteuid() == 0:
        assert data == prepare.OWNERS
    for name, service in SERVICES.items():
        writes = {source for source, _, ro in mounts_of(name) if source in prepare.OWNERS and not ro}
        if name != "prepare":
            user = 10001 if name in OWN else int(service["user"].partition(":")[0])
            assert {prepare.OWNERS[source] for source in writes} <= {user}


def test_docfleet_takes_what_was_written(prepared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = prepared / "secrets/docfleet"
    monkeypatch.setenv("DOCFLEET_CONFIG", str(folder / "docfleet.toml"))
    settings = read_settings()
    drawn = json.loads((prepared / "secrets/drawn/drawn.json").read_text(encoding="utf-8"))
    assert settings.service.ledger_url == f"postgresql://docfleet:{drawn['postgres']}@postgres:5432/docfleet"
    assert settings.service.store_url == f"s3://{prepare.BUCKET}/"
    assert SERVICES["bucket"]["command"][-1] == prepare.BUCKET
    hosts = {url.rpartition("@")[2].partition(":")[0] for url in (
        settings.service.ledger_url, settings.service.broker_url, settings.quota.redis_url)}  # fmt: skip
    assert hosts <= SERVICES.keys()
    MasterKey.from_base64((folder / "master.key").read_text(encoding="utf-8").strip())
    written = tomllib.loads((folder / "docfleet.toml").read_text(encoding="utf-8"))
    names = [f"DOCFLEET_{section}__{name}".upper() for section in written for name in written[section]]
    assert all(setting_exists(name) for name in names)


def test_valkey_knows_passwords_by_their_hash(prepared: Path) -> None:
    drawn = json.loads((prepared / "secrets/drawn/drawn.json").read_text(encoding="utf-8"))
    for name in ("hints", "limits"):
        text = (prepared / "secrets" / name / "valkey.conf").read_text(encoding="utf-8")
        assert sha256(drawn[name].encode()).hexdigest() in text
        assert drawn[name] not in text
        assert "maxmemory-policy noeviction" in text


# --- the bucket ------------------------------------------------------------------------------------------------------


def test_a_request_is_signed_as_amazon_signs_it() -> None:
    """Beside botocore's own signature of the same request at the same moment."""
    from botocore.auth import S3SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    here = {"AWS_ACCESS_KEY_ID": "docfleet", "AWS_SECRET_ACCESS_KEY": "a-b_c", "AWS_REGION": "eu-west-1"}
    now = datetime.now(UTC)
    mine = make_bucket.signed_headers("PUT", "http://store:8333/documents", here, now)
    request = AWSRequest("PUT", "http://store:8333/documents", headers={"x-amz-content-sha256": make_bucket.NOTHING})
    request.context["timestamp"] = mine["x-amz-date"]
    signer = S3SigV4Auth(Credentials("docfleet", "a-b_c"), "s3", "eu-west-1")
    request.headers["X-Amz-Date"] = mine["x-amz-date"]
    theirs = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
    assert mine["authorization"].endswith(f"Signature={theirs}")


def test_the_bucket_is_made_once() -> None:
    from s3_server import running_s3_server

    with running_s3_server() as server:
        here = {"AWS_ENDPOINT_URL": f"{server.address}/", "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y"}
        assert make_bucket.make_bucket("some-documents", here) == ""
        assert make_bucket.make_bucket("some-documents", here) == ""
        assert [b["Name"] for b in server.client.list_buckets()["Buckets"]].count("some-documents") == 1


def test_a_bucket_that_is_refused_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    here = {"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y"}
    monkeypatch.setattr(make_bucket, "PATIENCE_SECONDS", 0.0)
    monkeypatch.setattr(make_bucket, "PAUSE_SECONDS", 0.0)
    assert "refused" in make_bucket.make_bucket("documents", here)


# --- monitoring ------------------------------------------------------------------------------------------------------


def test_what_is_asked_is_a_service_that_listens() -> None:
    config = yaml.safe_load((DEPLOY / "monitoring/prometheus/prometheus.yml").read_text(encoding="utf-8"))
    asked = [*config["scrape_configs"], *config["alerting"]["alertmanagers"]]
    targets = [target for one in asked for static in one.get("static_configs", []) for target in static["targets"]]
    sources = yaml.safe_load(
        (DEPLOY / "monitoring/grafana/provisioning/datasources/docfleet.yaml").read_text(encoding="utf-8")
    )
    targets += [source["url"].removeprefix("http://") for source in sources["datasources"]]
    for target in targets:
        host = target.partition(":")[0]
        assert host == "127.0.0.1" or "monitoring" in SERVICES[host]["networks"], target
