"""A Redis that survives the loss of its master: one master, two replicas, and three sentinels that agree on who leads.

For `docfleet up --sentinel` and for tests of a failover. All of it is on this machine, on the loopback address, behind
one password; every node and every sentinel is a process of its own, as it would be on a machine of its own.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from docfleet.errors import ServerFailed
from docfleet.stack.programs import redis_program
from docfleet.stack.servers import LOOPBACK, RedisServer

if TYPE_CHECKING:
    import redis

MASTER_NAME = "docfleet"
NODES = 3
QUORUM = 2
DOWN_AFTER_MS = 3000
FAILOVER_TIMEOUT_MS = 10_000
_READY_SECONDS = 30.0


class SentinelServer(RedisServer):
    """One sentinel. It keeps what it learns in its configuration file and goes on with it after a restart."""

    _arguments = ("--sentinel",)

    def __init__(self, folder: Path, program: Path, master: RedisServer) -> None:
        super().__init__(folder, program, {}, master.password)
        self._master = master

    def _lines(self, port: int) -> dict[str, str]:
        password = self.password
        return {
            "bind": LOOPBACK,
            "port": str(port),
            "requirepass": password,
            "dir": str(self.folder),
            "daemonize": "no",
            "sentinel sentinel-pass": password,
            f"sentinel monitor {MASTER_NAME}": f"{LOOPBACK} {self._master.port} {QUORUM}",
            f"sentinel auth-pass {MASTER_NAME}": password,
            f"sentinel down-after-milliseconds {MASTER_NAME}": str(DOWN_AFTER_MS),
            f"sentinel failover-timeout {MASTER_NAME}": str(FAILOVER_TIMEOUT_MS),
            f"sentinel parallel-syncs {MASTER_NAME}": "1",
        }


class RedisWithSentinel:
    """Three nodes and three sentinels. `url` and `MASTER_NAME` are what a client needs."""

    def __init__(self, folder: Path) -> None:
        program = redis_program()
        first = RedisServer(_made(folder / "redis-1"), program, {})
        replicas = [
            RedisServer(_made(folder / f"redis-{number}"), program, {}, first.password)
            for number in range(2, NODES + 1)
        ]
        self.nodes = [first, *replicas]
        self.sentinels = [
            SentinelServer(_made(folder / f"sentinel-{number}"), program, first) for number in range(1, NODES + 1)
        ]

    @property
    def password(self) -> str:
        return self.nodes[0].password

    @property
    def url(self) -> str:
        """`sentinel://…;sentinel://…;sentinel://…`"""
        return ";".join(f"sentinel://:{self.password}@{LOOPBACK}:{one.port}/0" for one in self.sentinels)

    def start(self) -> None:
        """Starts all six and waits until each knows the others: before that no failover succeeds. Raises
        `ServerFailed`."""
        for node in self.nodes:
            node.start()
        self._follow(self.nodes[0])
        for sentinel in self.sentinels:
            sentinel.start()
        self._await_agreement()

    def _follow(self, master: RedisServer) -> None:
        """Told once, and written down by each node: from then on Sentinel says who follows whom."""
        for node in self.nodes:
            with _client(node) as link:
                # who is master now may have to follow another one day
                link.config_set("masterauth", self.password)
                link.config_set("replica-read-only", "yes")
                if node is not master:
                    link.replicaof(LOOPBACK, str(master.port))
                link.config_rewrite()

    def _await_agreement(self) -> None:
        deadline = time.monotonic() + _READY_SECONDS
        while not all(map(self._knows_all, self.sentinels)):
            if time.monotonic() > deadline:
                raise ServerFailed(f"The sentinels did not find each other within {_READY_SECONDS:.0f} s.")
            time.sleep(0.1)

    def _knows_all(self, sentinel: SentinelServer) -> bool:
        import redis

        with suppress(redis.RedisError), _client(sentinel) as link:
            state = link.sentinel_master(MASTER_NAME)
            return bool(
                state["num-slaves"] >= NODES - 1 and state["num-other-sentinels"] >= NODES - 1 and state["is_master"]
            )
        return False

    def master(self) -> RedisServer | None:
        """The node that most sentinels that answer call the master; None: they do not agree."""
        import redis

        votes: dict[int, int] = {}
        for sentinel in self.sentinels:
            with suppress(redis.RedisError), _client(sentinel) as link:
                _, port = link.sentinel_get_master_addr_by_name(MASTER_NAME)
                votes[int(port)] = votes.get(int(port), 0) + 1
        agreed = [port for port, count in votes.items() if count >= QUORUM]
        return next((node for node in self.nodes if node.port in agreed), None)

    def role(self, node: RedisServer) -> str:
        """ "master" or "slave", as the node itself says; empty: it does not answer."""
        import redis

        with suppress(redis.RedisError), _client(node) as link:
            return str(link.info("replication")["role"])
        return ""

    def stop(self) -> None:
        for server in (*self.sentinels, *reversed(self.nodes)):
            server.stop()


@contextmanager
def start_sentinel(folder: Path) -> Iterator[RedisWithSentinel]:
    """Three Redis and three sentinels with their data in `folder`, stopped at the end. Raises `ServerFailed`."""
    trio = RedisWithSentinel(folder.absolute())
    with ExitStack() as opened:
        opened.callback(trio.stop)
        trio.start()
        yield trio


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def _client(server: RedisServer) -> redis.Redis:
    import redis  # here, since only those who run one need it

    return redis.Redis(port=server.port, password=server.password, socket_timeout=2.0, decode_responses=True)
