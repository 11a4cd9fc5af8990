"""Starting a program that ends when this process does, whatever ends it."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from docfleet.stack.programs import run_as

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)
_starter = ThreadPoolExecutor(1, thread_name_prefix="starter")
"""Linux sends the death signal when the *thread* that started a child ends, so one that lives as long as this process
starts them all."""


def start_program(
    arguments: Sequence[str],
    *,
    log: Path | int | None,
    folder: Path | None = None,
    user: str | None = None,
    last_signal: int = signal.SIGTERM,
    environment: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Starts a program in a session of its own, as `user` if given (only root may).

    `log`: the file its output is appended to, `subprocess.PIPE`, or None for this process's own. When this process
    dies, the program gets `last_signal`. On systems other than Linux it does not; there it ends when it is told to.
    """

    def start() -> subprocess.Popen[bytes]:
        parent = os.getpid()
        with contextlib.ExitStack() as opened:
            output = opened.enter_context(log.open("ab")) if isinstance(log, Path) else log
            return subprocess.Popen(
                arguments,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT if output is not None else None,
                cwd=folder,
                env=environment,
                start_new_session=True,
                preexec_fn=(lambda: _die_with(parent, last_signal)) if sys.platform == "linux" else None,
                **run_as(user),
            )

    return _starter.submit(start).result()


def _die_with(parent: int, last_signal: int) -> None:
    """Runs in the child, after it changed its user (which would clear the signal) and before the program."""
    _libc.prctl(_PR_SET_PDEATHSIG, last_signal, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def end_program(process: subprocess.Popen[bytes], how: int | None, seconds: float) -> None:
    """Sends a signal (None: it was sent before), waits, and kills the program when it has not ended after `seconds`."""
    if process.poll() is None and how is not None:
        process.send_signal(how)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def last_line(log: Path) -> str:
    """What a program that did not start said last."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
    return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")
