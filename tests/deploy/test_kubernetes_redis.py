"""The broker's scripts with real servers: three nodes and three sentinels, whose master is killed, and all of them.

The servers here speak plainly, since the wheel's Redis is built without TLS; each has an address of this machine's own.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from test_kubernetes_secrets import printed

from docfleet.queues.check import check_broker
from docfleet.queues.hints import Hints
from docfleet.queues.options import QueueOptions
from docfleet.stack.programs import redis_program
from kubernetes_tree import KUBERNETES
from running import wait_for

SCRIPTS = KUBERNETES / "components" / "redis"
NODES = range(3)
FAILOVER_SECONDS = 30.0


class Broker:
    def __init__(self, folder: Path, values: dict[str, str], password: str) -> None:
        net = f"127.{secrets.randbelow(200) + 20}.{secrets.randbelow(250)}"
        self.addresses = {
            (kind, n): f"{net}.{10 * (kind == 'sentinel') + n + 1}" for kind in ("redis", "sentinel") for n in NODES
        }
        self.ports = {"redis": free_port(net), "sentinel": free_port(net)}
        self._folder = folder
        self._password = password
        self._running: dict[tuple[str, int], subprocess.Popen[bytes]] = {}
        self._secrets = folder / "secrets"
        self._secrets.mkdir()
        for name, value in values.items():
            (self._secrets / name).write_text(value)
        self._tools = folder / "bin"
        self._tools.mkdir()
        server = Path(redis_program())
        for program in (server, server.with_name("redis-cli")):
            shutil.copy(program, self._tools / program.name.partition(".")[0])

    def start(self, kind: str, number: int) -> None:
        data = self._folder / f"{kind}-{number}"
        data.mkdir(exist_ok=True)
        sentinels = [self.addresses["sentinel", n] for n in NODES]
        environment = {
            "PATH": f"{self._tools}:{os.environ['PATH']}", "DATA": str(data), "TLS": "", "SECRETS": str(self._secrets),
            "SELF": self.addresses[kind, number], "BIND": self.addresses[kind, number],
            "PORT": str(self.ports[kind]), "REDIS_PORT": str(self.ports["redis"]),
            "SENTINEL_PORT": str(self.ports["sentinel"]), "SENTINELS": " ".join(sentinels),
            "FIRST": self.addresses["redis", 0], "MASTER_NAME": "docfleet", "QUORUM": "2", "TRIES": "5",
        }  # fmt: skip
        with (data / "log").open("ab") as log:
            self._running[kind, number] = subprocess.Popen(
                ["sh", str(SCRIPTS / f"start-{kind}.sh")], env=environment, stdout=log, stderr=log
            )

    def start_all(self) -> None:
        for number in NODES:
            self.start("sentinel", number)
            self.start("redis", number)

    def kill(self, kind: str, number: int) -> None:
        process = self._running.pop((kind, number))
        process.kill()
        process.wait()

    def kill_all(self) -> None:
        for kind, number in list(self._running):
            self.kill(kind, number)

    @property
    def options(self) -> QueueOptions:
        port = self.ports["sentinel"]
        first, *others = (f"{self.addresses['sentinel', n]}:{port}" for n in NODES)
        url = ";".join([f"sentinel://docfleet:{self._password}@{first}/0", *(f"sentinel://{one}" for one in others)])
        return QueueOptions(url, "docfleet")

    def master(self) -> int:
        """Number of the node that all the sentinels call master; -1: they do not agree."""
        found = set()
        for number in NODES:
            with redis.Redis(self.addresses["sentinel", number], self.ports["sentinel"], socket_timeout=2) as client:
                try:
                    found.add(client.execute_command("SENTINEL GET-MASTER-ADDR-BY-NAME", "docfleet")[0].decode())
                except (redis.RedisError, TypeError):
                    return -1
        by_address = {self.addresses["redis", n]: n for n in NODES}
        return by_address[found.pop()] if len(found) == 1 else -1

    def is_known(self) -> bool:
        """Whether every sentinel knows the replicas, and the other sentinels."""
        for number in NODES:
            with redis.Redis(self.addresses["sentinel", number], self.ports["sentinel"], socket_timeout=2) as client:
                known = dict(client.sentinel_master("docfleet"))
                if (known["num-slaves"], known["num-other-sentinels"]) != (2, 2):
                    return False
        return True

    def replicas(self) -> int:
        """How many follow the master."""
        host, port = self.addresses["redis", self.master()], self.ports["redis"]
        with redis.Redis(host, port, username="docfleet", password=self._password, socket_timeout=2) as client:
            return int(client.info("replication")["connected_slaves"])


def free_port(net: str) -> int:
    with socket.create_server((f"{net}.1", 0)) as probe:
        return int(probe.getsockname()[1])


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    given = printed(DOCFLEET="echo")  # a master key is of no use here, and making one takes a while
    password = given["docfleet-broker"]["docfleet.toml"].partition("docfleet:")[2].partition("@")[0]
    made = Broker(tmp_path, given["docfleet-redis"], password)
    made.start_all()
    try:
        yield made
    finally:
        made.kill_all()


def test_a_killed_master_is_replaced_and_comes_back_as_a_replica(broker: Broker) -> None:
    hints = Hints(broker.options)
    try:
        wait_for(hints.is_up, 60)
        assert check_broker(broker.options).startswith("redis ")
        wait_for(lambda: broker.master() >= 0 and broker.replicas() == 2, 60)
        first = broker.master()
        # they look for new ones every ten seconds
        wait_for(broker.is_known, 30)
        hints.set_epoch("before")
        broker.kill("redis", first)
        begun = time.monotonic()
        wait_for(hints.is_up, FAILOVER_SECONDS)
        assert time.monotonic() - begun < FAILOVER_SECONDS
        wait_for(lambda: broker.master() not in (-1, first), FAILOVER_SECONDS)
        broker.start("redis", first)
        wait_for(lambda: broker.replicas() == 2, 60)
        second = broker.master()
        assert second != first, "it asked who is master before it started"

        broker.kill_all()
        broker.start_all()
        wait_for(hints.is_up, 60)
        wait_for(lambda: broker.master() == second, 60)
        assert hints.epoch() is not None, "what was written is in the volumes"
    finally:
        hints.close()
