"""A slot as its supervisor sees it: a process, two pipes, and what it holds."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import threading
import time

import msgspec

from docfleet.telemetry import logger
from docfleet.worker.messages import Order, Reply, SlotConfig, line, reply_decoder
from docfleet.worker.process_facts import facts_of

_DEATH_SECONDS = 5.0
"""A slot that closed its replies has this long to end."""
_LOOK_SECONDS = 1.0
"""How often somebody who waits for a reply looks whether there is still anybody to give it."""

log = logger("worker")


class Holding:
    """The slice a slot works on, by the token it was claimed with."""

    def __init__(self, slice_id: int, token: int, pool: str = "", step: str = "") -> None:
        self.slice_id = slice_id
        self.token = token
        self.pool = pool
        self.step = step
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
        self.taken_at = 0.0
        """When somebody took it from among the free ones."""
        self.holding: Holding | None = None
        self.stopped_at: float | None = None
        """When it was first seen stopped (SIGSTOP)."""
        self.is_worn = False
        self.death_cause = ""
        """Why the supervisor killed it; empty: it did not."""
        self.reply_fd = reading
        self._heard = b""
        self._listening = select.poll()
        self._listening.register(reading, select.POLLIN)
        self._sending = threading.Lock()
        try:
            # A session of its own: Ctrl-C reaches the supervisor alone, which then ends the slots in order.
            self.process = subprocess.Popen(
                [sys.executable, "-m", "docfleet.worker.slot"],
                stdin=subprocess.PIPE,
                start_new_session=True,
                pass_fds=(writing,),
            )
        except BaseException:
            os.close(reading)
            raise
        finally:
            os.close(writing)
        self._write(line(_with_fd(config, writing)))

    @property
    def pid(self) -> int:
        return self.process.pid

    def send(self, order: Order) -> None:
        """A slot that is dead takes no order; `receive` then says so."""
        self._write(line(order))

    def receive(self) -> Reply | None:
        """The next reply, however long it takes; None: the slot is dead."""
        while b"\n" not in self._heard:
            part = self._next_part()
            if not part:
                return None
            self._heard += part
        text, _, self._heard = self._heard.partition(b"\n")
        try:
            reply: Reply = reply_decoder.decode(text)
        except msgspec.DecodeError:
            self.kill("garbled")
            return None
        return reply

    def _next_part(self) -> bytes:
        """Empty when no more will come. The pipe alone does not tell: what a slot started may hold it open."""
        while not self._listening.poll(_LOOK_SECONDS * 1000):
            if self._has_ended() and not self._listening.poll(0):
                return b""
        return os.read(self.reply_fd, 65536)

    def _has_ended(self) -> bool:
        if self.process.returncode is not None:
            return True
        facts = facts_of(self.pid)
        return facts.state in "ZX" if facts is not None else self.process.poll() is not None

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
        deadline = time.monotonic() + _DEATH_SECONDS
        while not self._has_ended():
            if time.monotonic() >= deadline:
                self.kill("unresponsive")
                break
            time.sleep(0.005)
        if self.process.returncode is None:
            # what it left behind; nobody else can have its number before it is waited for
            with contextlib.suppress(OSError):
                os.killpg(self.pid, signal.SIGKILL)
        code = self.process.wait()
        self.close_orders()
        os.close(self.reply_fd)
        return code

    def _write(self, data: bytes) -> None:
        assert self.process.stdin is not None
        with self._sending, contextlib.suppress(OSError, ValueError):
            self.process.stdin.write(data)
            self.process.stdin.flush()


def _with_fd(config: SlotConfig, reply_fd: int) -> SlotConfig:
    return msgspec.structs.replace(config, reply_fd=reply_fd)
