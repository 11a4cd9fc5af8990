"""One sandbox child as its parent sees it: a process, a socket, a way to end both."""

from __future__ import annotations

import os
import resource
import signal
import socket
import subprocess
import sys
import time

import msgspec

from docfleet.errors import DocumentError, ParserCrashed, TimedOut
from docfleet.sandbox import wire
from docfleet.sandbox.faults import error_of_death
from docfleet.sandbox.types import SandboxLimits

START_SECONDS = 60.0
"""A machine that swaps or unpacks its disk needs long to load a library; a child that hangs here hangs for ever."""
_KEPT_ENVIRONMENT = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "TMPDIR", "LANG", "LC_ALL", "DOCFLEET_SANDBOX_TRIALS")
_DEATH_SECONDS = 5.0


class ChildDied(Exception):
    """The child is gone; `error` says why, as far as can be known.

    `killed`: by somebody else, or stopped for longer than it had time, whoever did it.
    """

    def __init__(self, error: DocumentError, killed: bool = False) -> None:
        super().__init__(error.message)
        self.error = error
        self.killed = killed


class ChildProcess:
    """A running child. Not thread-safe; anything that raises `ChildDied` leaves it dead."""

    def __init__(self, limits: SandboxLimits) -> None:
        self.limits = limits
        self.requests = 0
        self.resident_bytes = 0
        self._ready = False
        ours, theirs = socket.socketpair()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-s", "-m", "docfleet.sandbox.child", str(theirs.fileno()), str(os.getpid())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=None if "DOCFLEET_SANDBOX_TRIALS" in os.environ else subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
                cwd="/",
                env=_scrubbed_environment(),
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        self._sock = ours
        self.pid = self._process.pid
        self.send(wire.Start(limits))
        self.requests = 0

    @property
    def is_fresh(self) -> bool:
        """True when it has worked on at most the one request in hand, so that what failed failed by itself."""
        return self.requests <= 2

    def send(self, request: wire.Request) -> None:
        """Raises `ChildDied`."""
        self.requests += 1
        try:
            self._sock.settimeout(START_SECONDS)
            wire.send_frame(self._sock, wire.encoder.encode(request))
        except (wire.Closed, TimeoutError, OSError) as error:
            raise self._bury() from error

    def receive(self, seconds: float) -> tuple[wire.Reply, int | None]:
        """The next reply and its descriptor, which the caller closes. Raises `ChildDied`, also past `seconds`."""
        if not self._ready:
            self._receive(time.monotonic() + START_SECONDS)
            self._ready = True
        return self._receive(time.monotonic() + seconds)

    def _receive(self, deadline: float) -> tuple[wire.Reply, int | None]:
        descriptor: int | None = None
        try:
            frame, descriptor = wire.receive_frame(self._sock, deadline)
            reply = wire.decode_reply(frame)
        except TimeoutError as error:
            stopped = _is_stopped(self.pid)
            self.kill()
            raise ChildDied(TimedOut(), stopped) from error
        except (wire.Closed, OSError) as error:
            raise self._bury() from error
        except (wire.Garbled, msgspec.DecodeError) as error:
            if descriptor is not None:
                os.close(descriptor)
            self.kill()
            raise ChildDied(ParserCrashed()) from error
        self.resident_bytes = reply.resident_bytes
        return reply, descriptor

    def kill(self) -> None:
        """Ends it and everything it may have started, now."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            self._process.kill()
        self._process.wait()
        self._sock.close()

    def _bury(self) -> ChildDied:
        """Collects a child that closed its socket, and says what it died of."""
        try:
            status = self._process.wait(_DEATH_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            return ChildDied(ParserCrashed())
        self._sock.close()
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
        error = error_of_death(status, min(peak, self.resident_bytes), self.limits.memory_bytes)
        return ChildDied(error, killed=status == -signal.SIGKILL)


def _is_stopped(pid: int) -> bool:
    """By a signal, or a debugger; False where the system does not tell."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] in (b"T", b"t")
    except OSError:
        return False


def _scrubbed_environment() -> dict[str, str]:
    """Nothing of ours but what a Python needs to start: no credentials, no settings, one thread a library."""
    kept = {name: os.environ[name] for name in _KEPT_ENVIRONMENT if name in os.environ}
    return kept | {
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "PYTHONIOENCODING": "utf-8",
        "HOME": "/nonexistent",
        "MALLOC_ARENA_MAX": "2",
    }
