"""The worker processes of one machine: started, watched, replaced, ended.

A worker is `python -m docfleet.worker.direct`. It gets its configuration as one line of JSON on standard input and
takes the closing of that pipe as the order to stop, so that workers end with their parent, whatever ended it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import msgspec


class WorkerConfig(msgspec.Struct, frozen=True):
    """What a worker has to know. Passwords travel through the pipe only: no file, no argument, no environment."""

    name: str
    output: str
    batch: str
    settings: dict[str, Any]
    passwords: list[str] = []
    log_level: str = "warning"


class Death(msgspec.Struct, frozen=True):
    """A worker that ended without having been told to."""

    name: str
    exit_code: int
    """Negative: the signal that killed it."""


class _Worker(msgspec.Struct):
    name: str
    process: subprocess.Popen[bytes]


class WorkerPool:
    """Keeps `count` workers alive. Not thread-safe; `reap` has to be called now and then."""

    def __init__(self, count: int, config: WorkerConfig) -> None:
        self._count = count
        self._config = config
        self._serial = 0
        self._workers: list[_Worker] = []

    def start(self) -> None:
        while len(self._workers) < self._count:
            self._workers.append(self._spawn())

    def _spawn(self) -> _Worker:
        self._serial += 1
        name = f"{self._config.name}-{os.getpid()}-{self._serial}"
        # A session of its own: Ctrl-C reaches the parent alone, which then ends the workers in order.
        process = subprocess.Popen(
            [sys.executable, "-m", "docfleet.worker.direct"], stdin=subprocess.PIPE, start_new_session=True
        )
        assert process.stdin is not None
        config = msgspec.structs.replace(self._config, name=name)
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(msgspec.json.encode(config) + b"\n")
            process.stdin.flush()
        return _Worker(name, process)

    def reap(self, *, replace: bool = True) -> list[Death]:
        """The workers that died since the last call; each is replaced unless `replace` is off."""
        dead = [worker for worker in self._workers if worker.process.poll() is not None]
        if not dead:
            return []
        self._workers = [worker for worker in self._workers if worker not in dead]
        for worker in dead:
            _close(worker)
        if replace:
            self.start()
        return [Death(worker.name, worker.process.returncode) for worker in dead]

    def kill(self, name: str) -> None:
        """Ends a worker that is stuck; `reap` then tells of its death."""
        for worker in self._workers:
            if worker.name == name:
                _kill(worker)

    def alive(self) -> Iterator[str]:
        for worker in self._workers:
            if worker.process.poll() is None:
                yield worker.name

    def pids(self) -> list[int]:
        return [worker.process.pid for worker in self._workers]

    def stop(self, seconds: float = 3.0) -> list[str]:
        """Tells all to stop, kills those that do not within `seconds`; the names of the killed."""
        for worker in self._workers:
            _close(worker)
        deadline = time.monotonic() + seconds
        killed = []
        for worker in self._workers:
            try:
                worker.process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                killed.append(worker.name)
                _kill(worker)
                worker.process.wait()
        self._workers = []
        return killed


def _close(worker: _Worker) -> None:
    assert worker.process.stdin is not None
    with contextlib.suppress(OSError):
        worker.process.stdin.close()


def _kill(worker: _Worker) -> None:
    """Kills the worker's whole session; its sandbox child ends with it."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(worker.process.pid, signal.SIGKILL)
