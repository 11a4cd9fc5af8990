"""Processes of ours that are kept running: started again when they end, ever more slowly when they keep ending."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

import msgspec

from docfleet.stack.lifeline import end_program, start_program
from docfleet.telemetry import logger

_log = logger(__name__)
_SOUND_SECONDS = 60.0
"""A process that lived this long is started again at once."""
_LONGEST_PAUSE = 30.0
_LOG_BYTES = 64 * 1024 * 1024


class Restarts(msgspec.Struct, frozen=True):
    """When a process that ended is started again. Seconds of a steady clock."""

    pause: float = 0.0
    due_at: float = 0.0


def after_end(before: Restarts, lived: float, now: float) -> Restarts:
    """Pure: at once after a sound life, else after 0.5 s, 1 s, 2 s … up to half a minute."""
    if lived >= _SOUND_SECONDS:
        return Restarts(0.0, now)
    pause = min(_LONGEST_PAUSE, before.pause * 2 or 0.5)
    return Restarts(pause, now + pause)


class Child:
    """One role of docfleet in a process of its own: `docfleet ARGUMENTS`."""

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        environment: Mapping[str, str] | None = None,
        lines: Callable[[str, bytes], None] | None = None,
    ) -> None:
        """`lines` takes the child's output line by line, with its name; without, the output joins this process's."""
        self.name = name
        self.restarts = 0
        self._arguments = [sys.executable, "-m", "docfleet", *arguments]
        self._environment = {**os.environ, **(environment or {})}
        self._lines = lines
        self._process: subprocess.Popen[bytes] | None = None
        self.started_at = 0.0
        """Of a steady clock."""
        self._after = Restarts()
        self._is_asked = False

    @property
    def pid(self) -> int | None:
        """None while it does not run."""
        return self._process.pid if self._process is not None else None

    def start(self) -> None:
        log = subprocess.PIPE if self._lines is not None else None
        self._process = start_program(self._arguments, log=log, environment=self._environment)
        self.started_at = time.monotonic()
        self._is_asked = False
        if self._process.stdout is not None:
            threading.Thread(
                target=self._read, args=(self._process.stdout,), name=f"log-{self.name}", daemon=True
            ).start()

    def _read(self, output: IO[bytes]) -> None:
        assert self._lines is not None
        with output:
            for line in output:
                self._lines(self.name, line)

    def tend(self) -> bool:
        """Starts it again when it has ended and it is time; whether it runs."""
        now = time.monotonic()
        if self._process is not None:
            code = self._process.poll()
            if code is None:
                return True
            self._after = after_end(self._after, now - self.started_at, now)
            _log.warning("process_ended", name=self.name, exit_code=code, again_in_seconds=self._after.due_at - now)
            self._process = None
        if now >= self._after.due_at:
            self.start()
            self.restarts += 1
        return self._process is not None

    def ask_to_stop(self) -> None:
        """Once, however often it is called: a second signal would mean "at once"."""
        if self._process is not None and self._process.poll() is None and not self._is_asked:
            self._is_asked = True
            self._process.terminate()

    def has_ended(self) -> bool:
        """Whether it does not run; it is not started again for that."""
        return self._process is None or self._process.poll() is not None

    def end(self, seconds: float) -> int | None:
        """Asks it to stop, kills it after so many seconds; its exit code, None when it did not run."""
        if self._process is None:
            return None
        self.ask_to_stop()
        end_program(self._process, None, seconds)
        code, self._process = self._process.returncode, None
        return code


class MergedLog:
    """The lines of many processes in one file, each with the name of its process. Threads may share it.

    At 64 MiB it is moved to `….1` and begun anew.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab")

    def write(self, name: str, line: bytes) -> None:
        with self._lock:
            if self._file.closed:
                return
            try:
                self._file.write(b"%-12s %s\n" % (name.encode(), line.rstrip()))
                self._file.flush()
                if self._file.tell() > _LOG_BYTES:
                    self._file.close()
                    self.path.replace(self.path.with_name(f"{self.path.name}.1"))
                    self._file = self.path.open("ab")
            except OSError:
                return  # a full disk must not stop the processes that log

    def close(self) -> None:
        with self._lock:
            self._file.close()
