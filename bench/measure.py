"""Runs a command and measures its whole process tree: wall seconds, CPU seconds, peak memory."""

from __future__ import annotations

import os
import resource
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True)
class Measured:
    """One run. Memory is the sum of the tree's proportional set sizes (shared pages counted once), sampled."""

    wall_seconds: float
    cpu_seconds: float
    peak_bytes: int
    exit_code: int
    output: str


def run(command: Sequence[str | Path], env: Mapping[str, str] | None = None, seconds: float = 3600.0) -> Measured:
    """Runs `command` to its end; killed with its tree after `seconds`."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    process = subprocess.Popen(
        [str(part) for part in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env={**os.environ, **(env or {})},
    )
    peak = _Peak(process.pid)
    peak.start()
    try:
        output, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        for child in psutil.Process(process.pid).children(recursive=True):
            child.kill()
        process.kill()
        output, _ = process.communicate()
    wall = time.perf_counter() - started
    peak.stop()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime)
    return Measured(wall, cpu, peak.bytes, process.returncode, output)


class _Peak(threading.Thread):
    """Samples the memory of a process tree, four times a second."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._root = pid
        self._done = threading.Event()
        self.bytes = 0

    def run(self) -> None:
        while not self._done.wait(0.25):
            self.bytes = max(self.bytes, tree_bytes(self._root))

    def stop(self) -> None:
        self._done.set()
        self.join()


def tree_bytes(pid: int) -> int:
    """Proportional set size of a process and all below it; 0 once it is gone."""
    try:
        root = psutil.Process(pid)
        members = [root, *root.children(recursive=True)]
    except psutil.Error:
        return 0
    total = 0
    for member in members:
        try:
            for line in Path(f"/proc/{member.pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
        except (OSError, ValueError):
            continue
    return total
