"""Postgres and Redis under `docfleet up`: started, and started again when they end."""

from __future__ import annotations

import time
from contextlib import ExitStack, suppress
from pathlib import Path

from docfleet.errors import ServerFailed
from docfleet.stack.sentinel import MASTER_NAME, start_sentinel
from docfleet.stack.servers import PostgresServer, RedisServer, start_postgres, start_redis
from docfleet.telemetry import logger

_log = logger(__name__)
NODE_PAUSE_SECONDS = 12.0
"""A Redis under Sentinel stays away for so long, as a machine would that has to start: back at once it would be master
again before anybody had noticed, and the failover that it is there for would never come."""


class Servers:
    """For one thread."""

    def __init__(self, folder: Path, opened: ExitStack, *, durable: bool, sentinel: bool) -> None:
        """Starts them, with their data in `folder`; `opened` stops them. Raises `ServerFailed`."""
        postgres = opened.enter_context(start_postgres(folder / "postgres", durable=durable))
        self.settings: dict[str, object] = {"ledger_url": postgres.url}
        """Of the section `service`: where they are."""
        self._servers: dict[str, PostgresServer | RedisServer] = {"postgres": postgres}
        self._pauses: dict[str, float] = {}
        self._gone_at: dict[str, float] = {}
        if sentinel:
            trio = opened.enter_context(start_sentinel(folder))
            self.settings |= {
                "broker_url": trio.url,
                "sentinel_master": MASTER_NAME,
                "sentinel_password": trio.password,
            }
            self._servers |= {server.folder.name: server for server in (*trio.nodes, *trio.sentinels)}
            self._pauses = {node.folder.name: NODE_PAUSE_SECONDS for node in trio.nodes}
        else:
            redis = opened.enter_context(start_redis(folder / "redis"))
            self.settings |= {"broker_url": redis.url}
            self._servers["redis"] = redis

    @property
    def pids(self) -> dict[str, int]:
        return {name: server.pid for name, server in self._servers.items()}

    def tend(self) -> None:
        """Starts again what has ended, now or after its pause."""
        now = time.monotonic()
        for name, server in self._servers.items():
            if server.is_running():
                continue
            if name not in self._gone_at:
                self._gone_at[name] = now
                _log.warning("server_ended", name=name)
            if now - self._gone_at[name] >= self._pauses.get(name, 0.0):
                del self._gone_at[name]
                with suppress(ServerFailed):
                    server.start()
