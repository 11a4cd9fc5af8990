"""The arrows in the NetworkPolicies are those the code uses.

Every role runs as a real process with what its pod is given, each behind taps of its own; documents go through, and
what was connected to is compared with what is allowed.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from docfleet.client import Client
from docfleet.documentai_server.app import DocumentAIServer
from docfleet.documentai_server.options import ServerOptions
from docfleet.documentai_server.readers import ReaderOptions
from docfleet.stack.servers import start_redis
from docfleet.store.encryption import MasterKey
from documentai_clients import pdf_of
from kubernetes_arrows import DATABASE, LIMITER, REDIS, SENTINEL, Arrow, allowed_arrows
from kubernetes_tree import Manifest, of_kind, pod_of, rendered
from ledger_driver import postgres_server
from running import wait_for
from s3_server import running_s3_server

Connect = Callable[[], socket.socket]


class Taps:
    """Ports of this machine that pass on to a server, and note who used which."""

    def __init__(self) -> None:
        self.used: set[Arrow] = set()
        self._servers: list[socket.socket] = []

    def open(self, role: str, target: str, connect: Connect) -> int:
        """A port by which `role`, and nobody else, reaches `target`."""
        server = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._servers.append(server)
        threading.Thread(target=self._serve, args=(server, (role, target), connect), daemon=True).start()
        return int(server.getsockname()[1])

    def close(self) -> None:
        for server in self._servers:
            server.close()

    def _serve(self, server: socket.socket, arrow: Arrow, connect: Connect) -> None:
        while True:
            try:
                outer, _ = server.accept()
            except OSError:
                return
            self.used.add(arrow)
            threading.Thread(target=_pass_on, args=(outer, connect), daemon=True).start()


def _pass_on(outer: socket.socket, connect: Connect) -> None:
    with contextlib.suppress(OSError), outer, connect() as inner:
        back = threading.Thread(target=_pump, args=(inner, outer), daemon=True)
        back.start()
        _pump(outer, inner)
        back.join(2)


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


def to_port(port: int) -> Connect:
    return lambda: socket.create_connection(("127.0.0.1", port))


def to_file(path: Path) -> Connect:
    def connect() -> socket.socket:
        made = socket.socket(socket.AF_UNIX)
        made.connect(str(path))
        return made

    return connect


class Cluster:
    """The servers, and the roles as processes: each is told what its pod is told, by taps of its own."""

    def __init__(self, folder: Path, servers: dict[str, Any]) -> None:
        self.taps = Taps()
        self._folder = folder
        self._servers = servers
        self._master_key = MasterKey.generate().to_base64()
        self._processes: list[subprocess.Popen[bytes]] = []

    def environment(self, workload: Manifest) -> dict[str, str]:
        """By what the pod mounts and is given: the ledger always, a broker, the limiter, the object store."""
        role = workload["spec"]["template"]["metadata"]["labels"]["docfleet/role"]
        pod = pod_of(workload)
        secrets = {volume["secret"]["secretName"] for volume in pod["volumes"] if "secret" in volume}
        secrets |= {
            source["secretRef"]["name"] for source in pod["containers"][0].get("envFrom", []) if "secretRef" in source
        }
        servers, tap = self._servers, self.taps.open
        given = {
            "DOCFLEET_SERVICE__LEDGER_URL": servers["ledger_url"].format(
                port=tap(role, DATABASE, to_file(servers["postgres"]))
            ),
            "DOCFLEET_SERVICE__MASTER_KEY": self._master_key,
            "DOCFLEET_READING__ENGINE": "null",
            "DOCFLEET_FLEET__GRACE_SECONDS": "3",
            "DOCFLEET_DELIVERY__ALLOW_PRIVATE": "true",
            "DOCFLEET_CASCADE__CLOUD_ENGINE": "documentai",
            "TMPDIR": str(self._folder),
        }
        if "docfleet-broker" in secrets:
            given["DOCFLEET_SERVICE__BROKER_URL"] = servers["redis"].format(port=tap(role, REDIS, servers["to_redis"]))
        if "docfleet-limiter" in secrets:
            port = tap(role, LIMITER, servers["to_limiter"])
            given["DOCFLEET_QUOTA__REDIS_URL"] = servers["limiter"].format(port=port)
        if "docfleet-object-store" in secrets:
            port = tap(role, "object-store", servers["to_store"])
            given |= {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "DOCFLEET_SERVICE__STORE_URL": servers["bucket"]}
        if "docfleet-documentai" in secrets:
            given |= {
                "DOCFLEET_DOCUMENTAI__PROJECT": "tests",
                "DOCFLEET_DOCUMENTAI__PROCESSORS": json.dumps([{"id": "ocr", "location": "eu"}]),
                "DOCFLEET_DOCUMENTAI__ENDPOINT": f"127.0.0.1:{tap(role, 'engine', servers['to_engine'])}",
                "DOCFLEET_DOCUMENTAI__INSECURE": "true",
                "DOCFLEET_DOCUMENTAI__ANONYMOUS": "true",
            }
        return {**os.environ, **given}

    def run(self, environment: dict[str, str], *arguments: str) -> str:
        """A command to its end; what it said."""
        ran = subprocess.run(
            [sys.executable, "-m", "docfleet", *arguments], env=environment, cwd=self._folder, capture_output=True,
            text=True, timeout=180, check=False,
        )  # fmt: skip
        assert ran.returncode == 0, ran.stderr
        return ran.stdout.strip()

    def start(self, environment: dict[str, str], arguments: list[str]) -> None:
        """As the pod is started, but that its liveness file is in a folder of ours."""
        own = [part.replace("/run/docfleet", str(self._folder)) for part in arguments]
        with (self._folder / f"{len(self._processes)}.log").open("wb") as log:
            self._processes.append(
                subprocess.Popen(
                    [sys.executable, "-m", "docfleet", *own], env=environment, cwd=self._folder, stdout=log,
                    stderr=log, start_new_session=True,
                )
            )  # fmt: skip

    def logs(self) -> str:
        return "\n".join(path.read_text(errors="replace")[-2000:] for path in self._folder.glob("*.log"))

    def close(self) -> None:
        for process in self._processes:
            process.send_signal(signal.SIGTERM)
        for process in self._processes:
            try:
                process.wait(40)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self.taps.close()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    rendered("production")
    reader = ReaderOptions(settings={"reading": {"engine": "null"}}, readers=1, waiting=8)
    with ExitStack() as stack:
        postgres = stack.enter_context(postgres_server())
        redis = stack.enter_context(start_redis(tmp_path / "redis"))
        limiter = stack.enter_context(start_redis(tmp_path / "limiter"))
        store = stack.enter_context(running_s3_server())
        engine = stack.enter_context(DocumentAIServer(ServerOptions(readers=reader, grace_seconds=1.0)))
        database = postgres.new_database()
        made = Cluster(
            tmp_path,
            {
                "ledger_url": f"postgresql://docfleet@127.0.0.1:{{port}}/{database}",
                "postgres": next(path for path in postgres.server.socket_folder.iterdir() if path.is_socket()),
                "redis": f"redis://:{redis.password}@127.0.0.1:{{port}}/0",
                "to_redis": to_port(redis.port),
                "limiter": f"redis://:{limiter.password}@127.0.0.1:{{port}}/0",
                "to_limiter": to_port(limiter.port),
                "bucket": store.new_bucket(),
                "to_store": to_port(int(store.address.rpartition(":")[2])),
                "to_engine": to_port(int(str(engine.addresses[0].grpc).rpartition(":")[2])),
            },
        )
        try:
            yield made
        finally:
            made.close()


@contextmanager
def receiver() -> Iterator[ThreadingHTTPServer]:
    """Answers every webhook with 200."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Requests are no news."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def picture() -> bytes:
    file = io.BytesIO()
    Image.linear_gradient("L").save(file, "PNG")
    return file.getvalue()


@pytest.mark.slow
def test_what_the_roles_connect_to_is_what_they_may_connect_to(cluster: Cluster) -> None:
    objects = rendered("production")
    apps = {one["metadata"]["name"]: one for one in of_kind(objects, "Deployment", "Job")}
    cluster.run(cluster.environment(apps["docfleet-migrate"]), "ledger", "migrate", "--seconds", "120")

    api = cluster.environment(apps["docfleet-api"])
    cluster.run(api, "tenants", "create", "acme")
    key = cluster.run(api, "keys", "create", "tests", "--tenant", "acme", "--role", "admin")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    cluster.start(api, ["api", "--port", str(port)])
    for name in ("dispatcher", "worker-pdf", "worker-image", "worker-cloud"):
        one = apps[f"docfleet-{name}"]
        [container] = pod_of(one)["containers"]
        slots = [part for part in container["args"] if part != "--slots" and not part.isdigit()]
        one_slot = ["--slots", "1"] if "--slots" in container["args"] else []
        cluster.start(cluster.environment(one), [*slots, *one_slot])

    with receiver() as webhook, Client(f"http://127.0.0.1:{port}", key) as client:
        hook = cluster.taps.open("dispatcher", "webhooks", to_port(int(webhook.server_address[1])))
        wait_for(lambda: _answers(client), 120)
        client.webhooks.add(f"http://127.0.0.1:{hook}/")
        local = client.submit(pdf_of("read here"), name="a.pdf")
        image = client.submit(picture(), name="b.png")
        cloud = client.submit(pdf_of("read in the cloud"), name="c.pdf", engine="documentai", mode="ocr")
        try:
            for document in (local, image, cloud):
                assert document.wait(180).state == "succeeded", cluster.logs()
            wait_for(lambda: ("dispatcher", "webhooks") in cluster.taps.used, 60)
            # what a role does now and then, as to look after the store
            wait_for(lambda: expected(objects) <= cluster.taps.used, 90)
        except AssertionError:
            print(sorted(expected(objects) - cluster.taps.used), cluster.logs())
            raise
    assert cluster.taps.used == expected(objects)


def expected(objects: list[Manifest]) -> set[Arrow]:
    """Of docfleet's own roles. Sentinels stand beside the broker, which is reached directly here: whoever may reach the
    one has to reach the others (`queues/options.py` asks them for the other's address)."""
    roles = {"api", "dispatcher", "worker", "worker-cloud", "migrate"}
    allowed = {arrow for arrow in allowed_arrows(objects) if arrow[0] in roles}
    assert {role for role, target in allowed if target == REDIS} == {
        role for role, target in allowed if target == SENTINEL
    }
    return {arrow for arrow in allowed if arrow[1] != SENTINEL}


def _answers(client: Client) -> bool:
    try:
        list(client.documents(limit=1))
    except Exception:
        time.sleep(0.2)
        return False
    return True
