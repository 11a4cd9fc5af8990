"""A slot as its supervisor sees it: a process, two pipes, and what it holds."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time

import msgspec

from docfleet.telemetry import logger
from docfleet.worker.messages import Order, Reply, SlotConfig, line, reply_decoder

log = logger("worker")


class Holding:
    """The slice a slot works on, by the token it was claimed with."""

    def __init__(self, slice_id: int, token: int) -> None:
        self.slice_id = slice_id
        self.token = token
        self.since = time.monotonic()
        self.lost_at: float | None = None
        """When the ledger said that it is another's now."""


class SlotProcess:
    """One slot process. `send` and `receive` are for whoever has taken the slot; the rest for everybody."""

    def __init__(self, config: SlotConfig, number: int) -> None:
        reading, writing = os.pipe()
        self.number = number
        self.name = config.name
        self.scratch = config.scratch
        self.config = config
        self.started_at = time.monotonic()
        self.holding: Holding | None = None
        self.stopped_at: float | None = None
        """When it was first seen stopped (SIGSTOP)."""
        self.is_worn = False
        self.death_cause = ""
        """Why the supervisor killed it; empty: it did not."""
        self._replies = os.fdopen(reading, "rb")
        self._sending = threading.Lock()
        # A session of its own: Ctrl-C reaches the supervisor alone, which then ends the slots in order.
        self.process = subprocess.Popen(
            [sys.executable, "-m", "docfleet.worker.slot"],
            stdin=subprocess.PIPE,
            start_new_session=True,
            pass_fds=(writing,),
        )
        os.close(writing)
        self._write(line(_with_fd(config, writing)))

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def reply_fd(self) -> int:
        return self._replies.fileno()

    def send(self, order: Order) -> None:
        """A slot that is dead takes no order; `receive` then says so."""
        self._write(line(order))

    def receive(self) -> Reply | None:
        """The next reply, however long it takes; None: the slot is dead."""
        text = self._replies.readline()
        return reply_decoder.decode(text) if text.endswith(b"\n") else None

    def close_orders(self) -> None:
        """The order to stop: it hands back what it works on and ends."""
        assert self.process.stdin is not None
        with self._sending, contextlib.suppress(OSError):
            self.process.stdin.close()

    def kill(self, cause: str) -> None:
        """Ends the whole session of the slot, at once; its sandbox child ends with it."""
        if self.process.poll() is None:
            self.death_cause = self.death_cause or cause
            log.warning("slot_killed", slot=self.name, cause=cause)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)

    def reap(self) -> int:
        """Waits for the end of a process that is dead or dying; its exit code (negative: a signal)."""
        try:
            code = self.process.wait(5.0)
        except subprocess.TimeoutExpired:
            self.kill("unresponsive")
            code = self.process.wait()
        self.close_orders()
        self._replies.close()
        return code

    def _write(self, data: bytes) -> None:
        assert self.process.stdin is not None
        with self._sending, contextlib.suppress(OSError, ValueError):
            self.process.stdin.write(data)
            self.process.stdin.flush()


def _with_fd(config: SlotConfig, reply_fd: int) -> SlotConfig:
    return msgspec.structs.replace(config, reply_fd=reply_fd)
