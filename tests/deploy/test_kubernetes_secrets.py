"""Secrets are made fresh, hold what docfleet reads, and are the same printed or taken from a platform's store."""

from __future__ import annotations

import re
import stat
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from docfleet.queues.check import unsafe_address
from docfleet.queues.options import QueueOptions
from docfleet.settings import Settings
from docfleet.store.encryption import MasterKey
from kubernetes_tree import KUBERNETES, named, of_kind, pod_of, rendered

SCRIPT = KUBERNETES / "make-secrets.sh"


def printed(**environment: str) -> dict[str, dict[str, str]]:
    """Name -> values, as the script prints them."""
    ran = subprocess.run(
        ["sh", str(SCRIPT)], capture_output=True, text=True, check=True,
        env={"PATH": "/usr/bin:/bin", "DOCFLEET": f"{sys.executable} -m docfleet", **environment},
    )  # fmt: skip
    found = [one for one in yaml.safe_load_all(ran.stdout) if one]
    assert {one["metadata"]["namespace"] for one in found} == {"docfleet"}
    return {one["metadata"]["name"]: one["stringData"] for one in found}


@pytest.fixture(scope="module")
def made() -> dict[str, dict[str, str]]:
    return printed(
        AWS_ACCESS_KEY_ID="a",
        AWS_SECRET_ACCESS_KEY="b",
        BACKUP_ACCESS_KEY_ID="c",
        BACKUP_SECRET_ACCESS_KEY="d",
        PAGERDUTY_ROUTING_KEY="e",
    )


def test_no_two_are_alike(made: dict[str, dict[str, str]]) -> None:
    again = printed(DOCFLEET="echo")
    assert made["docfleet-master-key"]["master.key"] != made["docfleet-console-session"]["session.key"]
    passwords = re.findall(
        r">(\w{48})\b", made["docfleet-redis"]["users.acl"] + made["docfleet-limiter-users"]["users.acl"]
    )
    assert len(set(passwords)) == 4
    assert not set(passwords) & set(re.findall(r">(\w{48})\b", again["docfleet-redis"]["users.acl"]))
    assert SCRIPT.stat().st_mode & stat.S_IXUSR


def test_the_master_key_is_one(made: dict[str, dict[str, str]]) -> None:
    key = MasterKey.from_base64(made["docfleet-master-key"]["master.key"].strip())
    wrapped, _ = key.new_data_key()
    key.unwrap(wrapped)


def test_docfleet_reads_its_files(
    made: dict[str, dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCFLEET_CONFIG", str(tmp_path / "docfleet.toml"))
    monkeypatch.setenv("DOCFLEET_SERVICE__REGION", "eu")
    (tmp_path / "docfleet.toml").write_text(made["docfleet-broker"]["docfleet.toml"])
    service = Settings().service
    assert (service.region, service.sentinel_master) == ("eu", "docfleet")
    assert unsafe_address(QueueOptions(service.broker_url, service.sentinel_master)) == ""
    (tmp_path / "docfleet.toml").write_text(made["docfleet-limiter"]["docfleet.toml"])
    assert unsafe_address(QueueOptions(Settings().quota.redis_url)) == ""


def test_both_ways_give_the_same(made: dict[str, dict[str, str]]) -> None:
    """But for the passwords themselves."""
    for one in of_kind(rendered("production"), "ExternalSecret"):
        name, target = one["metadata"]["name"], one["spec"]["target"]
        if name not in made:
            assert name in ("docfleet-scaler-key", "docfleet-documentai")
            continue
        templates = target.get("template", {}).get("data", {})
        if not templates:
            assert {entry["secretKey"] for entry in one["spec"]["data"]} == set(made[name])
            continue
        blank = {key: re.sub(r"\b\w{48}\b", "*", text).strip() for key, text in made[name].items()}
        assert {key: re.sub(r"\{\{ \.\w+ \}\}", "*", text).strip() for key, text in templates.items()} == blank


def test_addresses_are_those_of_the_servers(made: dict[str, dict[str, str]]) -> None:
    objects = rendered("production")
    sentinels = named(objects, "StatefulSet", "docfleet-sentinel")
    settings: dict[str, Any] = tomllib.loads(made["docfleet-broker"]["docfleet.toml"])["service"]
    hosts = re.findall(r"(?:@|//)(docfleet-[\w.-]+):(\d+)", settings["broker_url"])
    governing = sentinels["spec"]["serviceName"]
    assert hosts == [
        (f"docfleet-sentinel-{n}.{governing}.docfleet.svc.cluster.local", "26379")
        for n in range(sentinels["spec"]["replicas"])
    ]
    environment = {one["name"]: one.get("value", "") for one in pod_of(sentinels)["containers"][0]["env"]}
    assert environment["MASTER_NAME"] == settings["sentinel_master"]
    limiter = tomllib.loads(made["docfleet-limiter"]["docfleet.toml"])["quota"]["redis_url"]
    service = named(objects, "Service", "docfleet-limiter")
    assert (
        f"@{service['metadata']['name']}.docfleet.svc.cluster.local:{service['spec']['ports'][0]['port']}/" in limiter
    )
    [certificate] = [one for one in of_kind(objects, "Certificate") if one["metadata"]["name"] == "docfleet-redis-tls"]
    assert f"*.{governing}.docfleet.svc.cluster.local" in certificate["spec"]["dnsNames"]
    assert "docfleet-limiter.docfleet.svc.cluster.local" in certificate["spec"]["dnsNames"]
