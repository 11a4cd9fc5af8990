"""The pieces for containers: they show that they live, and end in order."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from running import docfleet, wait_for


@pytest.mark.parametrize("role", [("api", "--port", "0"), ("dispatcher",), ("worker", "--pool", "all", "--slots", "1")])
def test_a_role_lives_and_ends_in_order(role: tuple[str, ...], tmp_path: Path) -> None:
    liveness = tmp_path / "alive"
    env = {**os.environ, "DOCFLEET_SERVICE__DATA_FOLDER": str(tmp_path / "data"), "DOCFLEET_READING__ENGINE": "null"}
    process = subprocess.Popen(
        [sys.executable, "-m", "docfleet", *role, "--liveness", str(liveness)],
        env=env, stdout=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        wait_for(liveness.exists, 60)
        first = liveness.stat().st_mtime
        wait_for(lambda: liveness.stat().st_mtime > first, 60)
        started = time.monotonic()
        process.terminate()
        assert process.wait(40) == 0
        assert time.monotonic() - started < 20
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def test_a_dispatcher_writes_its_gauges(tmp_path: Path) -> None:
    metrics = tmp_path / "docfleet.prom"
    process = subprocess.Popen(
        [sys.executable, "-m", "docfleet", "dispatcher", "--metrics", str(metrics)],
        env={**os.environ, "DOCFLEET_SERVICE__DATA_FOLDER": str(tmp_path / "data")},
    )
    try:
        wait_for(metrics.exists, 60)
        assert 'docfleet_pool_stuck{pool="pdf"} 0.0' in metrics.read_text().splitlines()
    finally:
        process.terminate()
        process.wait(30)


def test_a_role_waits_for_its_database(tmp_path: Path) -> None:
    """And ends in order when it is told to meanwhile."""
    env = {
        **os.environ,
        "DOCFLEET_SERVICE__LEDGER_URL": "postgresql:///x?host=/nowhere&user=docfleet",
        "DOCFLEET_SERVICE__DATA_FOLDER": str(tmp_path / "data"),
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "docfleet", "dispatcher", "--liveness", str(tmp_path / "alive")],
        env=env, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    assert "ledger_not_there_yet" in process.stderr.readline()
    assert process.poll() is None
    process.terminate()
    assert process.wait(30) == 0
    process.stderr.close()


def test_several_machines_never_make_a_master_key_each(tmp_path: Path) -> None:
    env = {
        "DOCFLEET_SERVICE__LEDGER_URL": "postgresql:///x?host=/nowhere&user=docfleet",
        "DOCFLEET_SERVICE__DATA_FOLDER": str(tmp_path / "data"),
    }
    ran = docfleet("worker", "--pool", "pdf", env=env)
    assert ran.exit_code == 2
    assert "DOCFLEET_SERVICE__MASTER_KEY" in ran.stderr
    assert not (tmp_path / "data" / "master.key").exists()


def test_an_unsafe_broker_is_refused(tmp_path: Path) -> None:
    env = {
        "DOCFLEET_SERVICE__BROKER_URL": "amqp://localhost/",
        "DOCFLEET_SERVICE__DATA_FOLDER": str(tmp_path / "data"),
    }
    ran = docfleet("dispatcher", env=env)
    assert ran.exit_code == 2
    assert "redis" in ran.stderr
