"""Runs the real command, in processes of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
SAMPLES = ROOT / "samples"


@dataclass(frozen=True)
class Ran:
    exit_code: int
    stdout: str
    stderr: str
    seconds: float

    @property
    def summary(self) -> dict[str, Any]:
        return json.loads(self.stdout)


def docfleet(*arguments: object, env: dict[str, str] | None = None, seconds: float = 300) -> Ran:
    """Runs `docfleet ARGUMENTS` to its end."""
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "docfleet", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=seconds,
        env={**os.environ, "DOCFLEET_WORK__WORKERS": "1", **(env or {})},
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr, time.monotonic() - started)


def start(*arguments: object, env: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
    """Starts `docfleet ARGUMENTS` in a session of its own and does not wait."""
    return subprocess.Popen(
        [sys.executable, "-m", "docfleet", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "DOCFLEET_WORK__WORKERS": "1", **(env or {})},
        start_new_session=True,
    )


def end(process: subprocess.Popen[bytes]) -> None:
    """Kills what `start` started, if it still runs."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def wait_for(true: Callable[[], bool], seconds: float = 60) -> None:
    """Waits until `true()`; fails the test after `seconds`."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def index_of(out: Path) -> dict[str, dict[str, Any]]:
    """index.json by file name."""
    rows = json.loads((out / "index.json").read_text(encoding="utf-8"))
    return {row["file"]: row for row in rows}
