"""Jobs that misbehave on purpose, to try the sandbox's walls. The child runs them only with DOCFLEET_SANDBOX_TRIALS
set in its environment."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import time


def answer(value: str) -> dict[str, object]:
    """What a job that behaves looks like."""
    return {"value": value, "pid": os.getpid(), "environment": sorted(os.environ)}


def hang() -> dict[str, object]:
    """Waits for ever without using the processor."""
    while True:
        time.sleep(60)


def burn() -> dict[str, object]:
    """Uses the processor for ever."""
    while True:
        pass


def hoard() -> dict[str, object]:
    """Takes memory until there is none."""
    kept = []
    while True:
        kept.append(bytearray(50_000_000))


def crash() -> dict[str, object]:
    """Reads where nothing is mapped."""
    ctypes.string_at(0)
    return {}


def abort() -> dict[str, object]:
    """Ends as C++ does when an allocation fails."""
    os.abort()


def die() -> dict[str, object]:
    """Is killed from outside, as by the kernel when memory runs out."""
    os.kill(os.getpid(), signal.SIGKILL)
    return {}


def fail() -> dict[str, object]:
    """Raises what no code of ours expects."""
    raise LookupError("a secret of the implementation")


def connect(port: int) -> dict[str, object]:
    """Tries to reach the network."""
    with socket.socket() as sock:
        sock.connect(("127.0.0.1", port))
    return {"connected": True}


def execute() -> dict[str, object]:
    """Tries to start another program."""
    os.execv("/bin/true", ["true"])


def write_large(path: str, size: int) -> dict[str, object]:
    """Fills the disk."""
    with open(path, "wb") as file:
        file.truncate(size)
    return {}
