"""Takes system calls away from the child for good: no network, no other programs, no other processes.

A classic BPF filter (Linux `seccomp(2)`, `struct sock_filter` of <linux/filter.h>) that refuses a list of calls with
EPERM. A list of what is refused, not of what is allowed: decoders and the C library need many calls that differ
between versions, and what must not happen needs few. Threads stay possible; the descriptors the child already has
stay usable.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import struct
import sys

_PR_SET_SECCOMP, _MODE_FILTER = 22, 2
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _REFUSE, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_AT_NUMBER, _AT_ARCHITECTURE, _AT_FIRST_ARGUMENT = 0, 4, 16
_CLONE_THREAD = 0x00010000
_X32_CALLS = 0x40000000
"""x86-64 kernels answer a second set of call numbers from here on."""

_REFUSED_X86_64 = {
    "socket": 41, "connect": 42, "accept": 43, "bind": 49, "listen": 50, "socketpair": 53, "fork": 57, "vfork": 58,
    "execve": 59, "ptrace": 101, "mount": 165, "keyctl": 250, "unshare": 272, "accept4": 288, "perf_event_open": 298,
    "setns": 308, "process_vm_readv": 310, "process_vm_writev": 311, "bpf": 321, "execveat": 322, "userfaultfd": 323,
    "io_uring_setup": 425,
}  # fmt: skip
_REFUSED_AARCH64 = {
    "mount": 40, "unshare": 97, "ptrace": 117, "socket": 198, "socketpair": 199, "bind": 200, "listen": 201,
    "accept": 202, "connect": 203, "keyctl": 219, "execve": 221, "perf_event_open": 241, "accept4": 242, "setns": 268,
    "process_vm_readv": 270, "process_vm_writev": 271, "bpf": 280, "execveat": 281, "userfaultfd": 282,
    "io_uring_setup": 425,
}  # fmt: skip
_ARCHITECTURES = {
    # machine: (AUDIT_ARCH, refused, clone)
    "x86_64": (0xC000003E, _REFUSED_X86_64, 56),
    "aarch64": (0xC00000B7, _REFUSED_AARCH64, 220),
}
_CLONE3 = 435


def filter_system_calls() -> bool:
    """Installs the filter; False where the system has no such thing (not Linux, another processor, an old kernel).

    Needs PR_SET_NO_NEW_PRIVS. There is no way back.
    """
    known = _ARCHITECTURES.get(platform.machine())
    if sys.platform != "linux" or known is None or sys.maxsize < 2**32:
        return False
    program = _program(*known)
    buffer = ctypes.create_string_buffer(program)
    head = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    return bool(libc.prctl(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.c_char_p(head), 0, 0) == 0)


def _program(architecture: int, refused: dict[str, int], clone: int) -> bytes:
    steps = [
        (_LOAD, 0, 0, _AT_ARCHITECTURE),
        (_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _AT_NUMBER),
        (_AT_LEAST, 0, 1, _X32_CALLS),
        (_RETURN, 0, 0, _REFUSE | errno.EPERM),
        # clone3 hides its flags in memory: without it the C library falls back to clone.
        (_EQUAL, 0, 1, _CLONE3),
        (_RETURN, 0, 0, _REFUSE | errno.ENOSYS),
    ]
    for number in refused.values():
        steps += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _REFUSE | errno.EPERM)]
    steps += [
        (_EQUAL, 0, 3, clone),
        (_LOAD, 0, 0, _AT_FIRST_ARGUMENT),
        (_ANY_BIT, 1, 0, _CLONE_THREAD),
        (_RETURN, 0, 0, _REFUSE | errno.EPERM),
        (_RETURN, 0, 0, _ALLOW),
    ]
    return b"".join(struct.pack("HBBI", *step) for step in steps)
