"""What compose's `prepare` draws and writes is what real servers and the pieces of docfleet understand.

A Redis for hints and one for limits are started with their written configuration, a bucket is made in an S3 server, and
docfleet's processes get settings and keys the way the containers do. Only addresses are others: all is on one machine.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import redis

from deploy_tools import module_of
from docfleet.stack.programs import redis_program
from ledger_driver import missing_service, postgres_server
from running import ROOT, SAMPLES
from s3_server import running_s3_server

COMPOSE = ROOT / "deploy" / "compose"
PATIENCE_SECONDS = 180.0
GIVE_UP_SECONDS = 30.0

prepare = module_of(COMPOSE / "prepare.py")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port: int = sock.getsockname()[1]
    return port


@contextmanager
def ending(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.communicate(timeout=GIVE_UP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def start(command: list[object], log: Path, env: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
    with log.open("wb") as file:
        return subprocess.Popen(
            [str(part) for part in command],
            stdout=file, stderr=file, start_new_session=True, env={**os.environ, **(env or {})},
        )  # fmt: skip


@contextmanager
def valkey(name: str, prepared: Path, folder: Path) -> Iterator[int]:
    """The port of a server with the configuration that was written for it."""
    text = (prepared / "secrets" / name / "valkey.conf").read_text(encoding="utf-8")
    data = folder / name
    data.mkdir()
    config = folder / f"{name}.conf"
    config.write_text(text.replace("dir /data", f"dir {data}"), encoding="utf-8")
    port = free_port()
    with ending(start([redis_program(), config, "--port", port], folder / f"{name}.log")):
        deadline = time.monotonic() + GIVE_UP_SECONDS
        while True:
            try:
                with redis.Redis(port=port) as anybody:
                    anybody.ping()
                break
            except redis.ConnectionError:
                assert time.monotonic() < deadline, (folder / f"{name}.log").read_text()
                time.sleep(0.1)
        yield port


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """The servers, and `secrets/docfleet` with their addresses in place of those of compose's network."""
    folder = tmp_path_factory.mktemp("compose")
    with pytest.MonkeyPatch.context() as patch:
        if os.geteuid() != 0:
            patch.setattr(os, "chown", lambda *_: None)
        prepare.prepare(folder)
    try:
        redis_program()
    except Exception as error:
        missing_service(f"no redis-server: {error}")
    with ExitStack() as stack:
        postgres = stack.enter_context(postgres_server())
        ports = {name: stack.enter_context(valkey(name, folder, folder)) for name in ("hints", "limits")}
        store = stack.enter_context(running_s3_server())
        database = postgres.url(postgres.new_database())
        mine = folder / "mine"
        mine.mkdir()
        for name in ("docfleet.toml", "store.env"):
            text = (folder / "secrets" / "docfleet" / name).read_text(encoding="utf-8")
            for host, port in ports.items():
                text = text.replace(f"@{host}:6379", f"@127.0.0.1:{port}")
            text = re.sub(r"postgresql://[^\"]+", database, text)
            text = text.replace("http://store:8333", store.address).replace("/run/docfleet", str(mine))
            (mine / name).write_text(text, encoding="utf-8")
        (mine / "master.key").write_bytes((folder / "secrets/docfleet/master.key").read_bytes())
        drawn = json.loads((folder / "secrets/drawn/drawn.json").read_text(encoding="utf-8"))
        yield SimpleNamespace(folder=folder, mine=mine, ports=ports, drawn=drawn)


def with_environment(system: SimpleNamespace, *command: object) -> list[object]:
    """As the entry point of compose.yaml begins."""
    return [sys.executable, "-I", ROOT / "deploy/images/with_environment.py", system.mine / "store.env", *command]


@pytest.mark.parametrize("name", ["hints", "limits"])
@pytest.mark.slow
def test_who_does_not_log_in_may_ask_for_a_pong_and_nothing_else(system: SimpleNamespace, name: str) -> None:
    with redis.Redis(port=system.ports[name]) as anybody:
        assert anybody.ping()
        with pytest.raises(redis.exceptions.NoPermissionError):
            anybody.get("docfleet:epoch")
    other = system.drawn["limits" if name == "hints" else "hints"]
    with redis.Redis(port=system.ports[name], username="docfleet", password=other) as wrong:  # noqa: SIM117
        with pytest.raises(redis.AuthenticationError):
            wrong.ping()
    with redis.Redis(port=system.ports[name], username="docfleet", password=system.drawn[name]) as fleet:
        assert fleet.set("docfleet:mine", "1")
        with pytest.raises(redis.exceptions.NoPermissionError):
            fleet.set("another:theirs", "1")
        with pytest.raises(redis.exceptions.NoPermissionError):
            fleet.flushall()


@pytest.mark.slow
def test_a_document_goes_through_and_flower_s_app_sees_the_worker(system: SimpleNamespace, tmp_path: Path) -> None:
    env = {
        "DOCFLEET_CONFIG": str(system.mine / "docfleet.toml"),
        "PYTHONPATH": str(ROOT / "src"),
        "DOCFLEET_FLEET__DEBUG_EVENTS": "true",
        "DOCFLEET_LOG": "info",
    }
    docfleet = [sys.executable, "-m", "docfleet"]
    made = subprocess.run(
        [str(part) for part in with_environment(system, sys.executable, "-I", COMPOSE / "make_bucket.py", "documents")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    key = json.loads(subprocess.run(
        [*docfleet, "keys", "create", "try", "--role", "submitter", "--json"],
        env={**os.environ, **env}, capture_output=True, text=True, check=True,
    ).stdout)["secret"]  # fmt: skip
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    pieces = {
        "api": ["api", "--port", port],
        "dispatcher": ["dispatcher", "--metrics", tmp_path / "docfleet.prom"],
        "worker": ["worker", "--pool", "pdf", "--slots", "1"],
    }
    with ExitStack() as stack:
        for name, arguments in pieces.items():
            command = with_environment(system, *docfleet, *arguments)
            stack.enter_context(ending(start(command, tmp_path / name, env)))
        client = stack.enter_context(
            httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=PATIENCE_SECONDS)
        )
        wait_for(lambda: ready(client))
        document = client.post("/v1/documents?name=a.pdf", content=(SAMPLES / "invoice-01.pdf").read_bytes()).json()
        deadline = time.monotonic() + PATIENCE_SECONDS
        while document["state"] not in ("succeeded", "failed", "partial"):
            assert time.monotonic() < deadline, (tmp_path / "worker").read_text()
            document = client.get(f"/v1/documents/{document['id']}?wait=10").json()
        assert document["state"] == "succeeded", document
        with redis.Redis(port=system.ports["hints"], username="docfleet", password=system.drawn["hints"]) as hints:
            assert hints.exists("docfleet:epoch"), "the dispatcher has not reached the broker"
        wait_for(lambda: seen_by_flower(system))
        wait_for((tmp_path / "docfleet.prom").exists)
    said = "".join((tmp_path / name).read_text() for name in pieces)
    assert not [line for line in said.splitlines() if '"level": "error"' in line]


def ready(client: httpx.Client) -> bool:
    try:
        return client.get("/readyz").status_code == 200
    except httpx.ConnectError:
        return False


def seen_by_flower(system: SimpleNamespace) -> bool:
    """Whether a worker answers the app that Flower is given."""
    (system.mine / "broker").write_text(
        (system.folder / "secrets/flower/broker")
        .read_text()
        .replace("@hints:6379", f"@127.0.0.1:{system.ports['hints']}")
    )
    source = (COMPOSE / "flower_app.py").read_text(encoding="utf-8").replace("/run/flower", str(system.mine))
    names: dict[str, Any] = {}
    exec(compile(source, "flower_app.py", "exec"), names)
    try:
        return bool(names["app"].control.inspect(timeout=3.0).ping())
    finally:
        names["app"].close()


def wait_for(what: Any) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.5)
