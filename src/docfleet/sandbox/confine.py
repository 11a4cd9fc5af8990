"""How the child gives up what it does not need before it sees the first untrusted byte."""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import signal
import sys
import time

from docfleet.sandbox.seccomp import filter_system_calls

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_NO_NEW_PRIVS = 38
_MIN_FILE_BYTES = 2 << 30
"""Largest file the child may write: a page of pixels, an archive's member, a searchable copy of a large document."""
_MAX_OPEN_FILES = 256


def tie_to_parent(parent: int) -> None:
    """Has the kernel kill this process when its parent dies (Linux); leaves at once when that has already happened."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)


def confine(memory_bytes: int) -> None:
    """Limits memory (`memory_bytes` beyond what is mapped now), file size, core dumps, privileges and system calls."""
    _set_limit(resource.RLIMIT_CORE, 0)
    _set_limit(resource.RLIMIT_FSIZE, max(_MIN_FILE_BYTES, memory_bytes))
    _set_limit(resource.RLIMIT_NOFILE, _MAX_OPEN_FILES)
    _set_limit(resource.RLIMIT_AS, mapped_bytes() + memory_bytes)
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    _prctl(_PR_SET_DUMPABLE, 0)
    filter_system_calls()


def arm_cpu_limit(seconds: float) -> None:
    """Lets the kernel end this process (SIGXCPU) once it has used `seconds` more of CPU time, rounded up."""
    used = time.process_time()
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(used + seconds) + 2, hard))


def mapped_bytes() -> int:
    """Address space in use."""
    return _statm(0)


def resident_bytes() -> int:
    """Memory in use."""
    return _statm(1)


def _statm(field: int) -> int:
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[field]) * resource.getpagesize()
    except OSError:
        # Not Linux: the peak is the best there is.
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


def _set_limit(which: int, value: int) -> None:
    _, hard = resource.getrlimit(which)
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    try:
        resource.setrlimit(which, (value, value))
    except (ValueError, OSError) as error:
        # macOS refuses RLIMIT_AS; the parent's clock and the other limits still hold there.
        if sys.platform == "linux":
            raise OSError(errno.EPERM, f"cannot set limit {which}") from error


def _prctl(option: int, value: int) -> None:
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl {option}")
