"""What the kernel says of a process."""

from __future__ import annotations

import os

import msgspec

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class ProcessFacts(msgspec.Struct, frozen=True):
    state: str
    """One letter: R running, S sleeping, D waiting for a disk, T stopped, t traced, Z dead and not yet reaped."""
    resident_bytes: int

    @property
    def is_stopped(self) -> bool:
        """It does nothing until somebody lets it go on."""
        return self.state in "Tt"


def facts_of(pid: int) -> ProcessFacts | None:
    """None: there is no such process, or this system does not tell (no /proc)."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # the name in brackets may hold anything, brackets too
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    return ProcessFacts(fields[0].decode(), int(fields[21]) * _PAGE_BYTES)
