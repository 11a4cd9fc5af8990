"""`docfleet up --autoscale` under a burst, as a process of its own; for a test and for the benchmark."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import psycopg
import redis

from chaos.corpus import picture
from docfleet.client import Client
from docfleet.stack.sentinel import MASTER_NAME

CYAN = (0, 255, 255)
"""A page of this colour takes the engine of tests/engines one second, in which it waits and uses no core."""
POOL = "image"
START_SECONDS = 180


class Burst(msgspec.Struct, frozen=True):
    """What is asked of a run."""

    documents: int
    max_workers: int
    sentinel: bool = False
    """Redis under Sentinel, whose master is killed in mid-burst."""
    down_window_seconds: float = 10.0
    target_share: float = 0.5
    """See `scaling.target_share`: with less of it a short burst is met by as many workers as a long one."""
    patience_seconds: float = 600.0


class Sample(msgspec.Struct, frozen=True):
    """What was seen at a moment."""

    at: float
    workers: int
    """Running and meant to stay, as `up` says."""
    ended: int


class Story(msgspec.Struct, frozen=True):
    """What became of a burst. Times in seconds from the first submission."""

    states: Mapping[str, int]
    faults: Mapping[str, int]
    """Held against documents: crash, error, loss; and how often a slice was begun anew."""
    changes: Sequence[Mapping[str, Any]]
    """The lines of `up --json` about workers of the pool."""
    decisions: Sequence[tuple[float, int, int, str]]
    """(when, before, after, reason)"""
    drain_codes: Sequence[int | None]
    peak: int
    peak_after: float
    done_after: float
    small_again_after: float
    longest_gap: float
    """Without a finished document, from the kill (else from the first one) to the last end."""
    killed_after: float | None = None
    promoted_after_kill: float | None = None
    hints_after_kill: float | None = None
    old_master_follows: bool | None = None


class Up:
    """A running `docfleet up --autoscale --json`."""

    def __init__(self, process: subprocess.Popen[str], said: dict[str, Any]) -> None:
        self.process = process
        self.url, self.key, self.pids = said["url"], said["api_key"], said["pids"]
        self.ledger_url, self.broker_url, self.log = said["ledger_url"], said["broker_url"], Path(said["log"])
        self.changes: list[dict[str, Any]] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with suppress(json.JSONDecodeError):
                self.changes.append(json.loads(line))

    def of_pool(self) -> list[dict[str, Any]]:
        return [change for change in list(self.changes) if change.get("pool") == POOL]

    def size(self) -> int:
        """Of the pool, by what `up` said last."""
        return next((change["workers"] for change in reversed(self.of_pool())), 1)

    def rows(self, query: str, **values: object) -> Sequence[Any]:
        with psycopg.connect(self.ledger_url, autocommit=True) as ledger:
            return ledger.execute(query.encode(), values or None).fetchall()

    # --- Redis under Sentinel

    def _link(self, port: int) -> redis.Redis:
        password = urlsplit(self.broker_url.split(";")[0]).password
        return redis.Redis(port=port, password=password, socket_timeout=2, decode_responses=True)

    def master_port(self) -> int | None:
        """What the sentinels agree on."""
        found = []
        for part in self.broker_url.split(";"):
            with suppress(redis.RedisError), self._link(urlsplit(part).port or 0) as link:
                found.append(int(link.sentinel_get_master_addr_by_name(MASTER_NAME)[1]))
        return found[0] if len(found) > 1 and len(set(found)) == 1 else None

    def kill_master(self) -> int:
        """The port at which it was; it is the first node, since none was lost before."""
        port = self.master_port()
        assert port is not None
        os.kill(self.pids["redis-1"], signal.SIGKILL)
        return port

    def reset_calls(self, port: int) -> None:
        with self._link(port) as link:
            link.config_resetstat()

    def carries_hints(self, port: int) -> bool:
        """Whether hints are pushed there and consumers wait there."""
        with suppress(redis.RedisError), self._link(port) as link:
            calls = link.info("commandstats")
            return "cmdstat_lpush" in calls and "cmdstat_brpop" in calls
        return False

    def role(self, port: int) -> str:
        with suppress(redis.RedisError), self._link(port) as link:
            return str(link.info("replication")["role"])
        return ""


@contextmanager
def running_up(folder: Path, plugins: Path, burst: Burst) -> Iterator[Up]:
    """Started in `folder`, stopped in order at the end."""
    settings = {
        "READING__ENGINE": "chaos",
        "OUTPUT__FORMATS": "json",
        "API__REQUESTS_PER_MINUTE": "1000000",
        "SCALING__DECIDE_SECONDS": "1",
        "SCALING__DOWN_WINDOW_SECONDS": str(burst.down_window_seconds),
        "SCALING__DOWN_SHARE": "1",
        "SCALING__TARGET_SHARE": str(burst.target_share),
    }
    path = os.pathsep.join([str(plugins), os.environ.get("PYTHONPATH", "")])
    environment = {f"DOCFLEET_{name}": value for name, value in settings.items()}
    command = ["up", "--autoscale", "--port", "0", "--max-workers", str(burst.max_workers), "--json"]
    with (folder / "up.log").open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "docfleet", *command, *(["--sentinel"] if burst.sentinel else [])],
            stdout=subprocess.PIPE, stderr=errors, text=True, cwd=folder, start_new_session=True,
            env={**os.environ, "PYTHONPATH": path, **environment, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
    assert process.stdout is not None
    try:
        said = process.stdout.readline()
        assert said, (folder / "up.log").read_text()
        yield Up(process, json.loads(said))
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        process.stdout.close()


def run_burst(up: Up, burst: Burst, tell: Callable[[str], None] = lambda line: None) -> Story:
    """Sends all documents at once and waits until all have ended and the pool is at one worker again.

    With Sentinel the master is killed once a quarter of them has ended.
    """
    begun, begun_at = time.monotonic(), time.time()
    sending = threading.Thread(target=_send, args=(up, burst.documents))
    sending.start()
    samples: list[Sample] = []
    failover = _Failover(up, burst.documents // 4) if burst.sentinel else None
    while True:
        ended = int(up.rows("SELECT count(*) FROM document WHERE finished_at IS NOT NULL")[0][0])
        samples.append(Sample(time.monotonic() - begun, up.size(), ended))
        if not samples[1:] or samples[-1].workers != samples[-2].workers:
            tell(f"{samples[-1].at:6.1f} s  {samples[-1].workers} workers, {ended} documents ended")
        if failover is not None:
            failover.look(ended)
        is_done = ended == burst.documents and (failover is None or failover.is_over)
        if is_done and up.size() == 1 and not _draining(up):
            break
        assert samples[-1].at < burst.patience_seconds, f"not over in time: {samples[-1]}; {up.of_pool()[-3:]}"
        assert up.process.poll() is None, "up has ended"
        time.sleep(0.25)
    sending.join()
    return _story(up, samples, begun_at, failover)


def _send(up: Up, count: int) -> None:
    with Client(up.url, up.key) as client, ThreadPoolExecutor(4) as senders:
        list(senders.map(lambda n: client.submit(picture(n, CYAN), name=f"{n}.png"), range(count)))


def _draining(up: Up) -> bool:
    changes = [change["change"] for change in up.of_pool()]
    return changes.count("draining") > changes.count("drained")


class _Failover:
    """The master is killed when so many documents have ended; then it is watched who notices when."""

    def __init__(self, up: Up, after: int) -> None:
        self._up, self._after = up, after
        self.killed_at: float | None = None
        self.promoted_at: float | None = None
        self.hints_at: float | None = None
        self._old = self._new = 0

    def look(self, ended: int) -> None:
        now = time.time()
        if self.killed_at is None:
            if ended >= self._after:
                self._old, self.killed_at = self._up.kill_master(), now
        elif self.promoted_at is None:
            new = self._up.master_port()
            if new not in (None, self._old):
                self._new, self.promoted_at = int(new or 0), now
                self._up.reset_calls(self._new)
        elif self.hints_at is None and self._up.carries_hints(self._new):
            self.hints_at = now

    @property
    def is_over(self) -> bool:
        return self.hints_at is not None and self.old_follows

    @property
    def old_follows(self) -> bool:
        return self._up.role(self._old) == "slave"


def _story(up: Up, samples: Sequence[Sample], begun_at: float, failover: _Failover | None) -> Story:
    ends = [float(row[0]) for row in up.rows("SELECT finished_at FROM document ORDER BY finished_at")]
    since = failover.killed_at if failover is not None and failover.killed_at is not None else ends[0]
    later = [since, *(moment for moment in ends if moment > since)]
    crash, error, loss, begun_anew = up.rows(
        "SELECT sum(crash_count), sum(error_count), sum(loss_count), count(*) FILTER (WHERE attempt > 1) FROM slice"
    )[0]
    peak = max(samples, key=lambda sample: sample.workers)
    done = next(sample for sample in samples if sample.ended == samples[-1].ended)
    decisions = up.rows(
        "SELECT at, before, workers, reason FROM fleet_decision WHERE pool = %(pool)s ORDER BY id", pool=POOL
    )
    return Story(
        states={row[0]: int(row[1]) for row in up.rows("SELECT state, count(*) FROM document GROUP BY state")},
        faults={"crash": int(crash), "error": int(error), "loss": int(loss), "begun anew": int(begun_anew)},
        changes=up.of_pool(),
        decisions=[(float(at) - begun_at, before, workers, reason) for at, before, workers, reason in decisions],
        drain_codes=[change["exit_code"] for change in up.of_pool() if change["change"] == "drained"],
        peak=peak.workers,
        peak_after=peak.at,
        done_after=done.at,
        small_again_after=samples[-1].at,
        longest_gap=max(second - first for first, second in pairwise(later)),
        killed_after=None if failover is None else since - begun_at,
        promoted_after_kill=_since(failover, "promoted_at"),
        hints_after_kill=_since(failover, "hints_at"),
        old_master_follows=None if failover is None else failover.old_follows,
    )


def _since(failover: _Failover | None, name: str) -> float | None:
    if failover is None or failover.killed_at is None:
        return None
    moment: float | None = getattr(failover, name)
    return None if moment is None else moment - failover.killed_at
