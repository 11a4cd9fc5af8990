"""What the fleet stands on and the nemesis takes away: a disk that fills up, and a cable that can be pulled.

Both need root, as in a container; without it they say why, and the faults that need them are left out.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from docfleet.stack.lifeline import end_program, start_program

DISK_BYTES = 512 * 1024 * 1024
_CHUNK = bytes(1024 * 1024)


class NotHere(Exception):
    """This machine does not allow it; the message says what failed."""


def _run(*command: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
    except OSError as error:
        raise NotHere(f"{command[0]}: {error.strerror}") from error
    if done.returncode != 0:
        raise NotHere(f"{' '.join(command[:3])}: {done.stderr.strip()}")


class SmallDisk:
    """A file system of its own, of `DISK_BYTES`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fill(self) -> None:
        """To the last byte."""
        with (self.folder / ".balloon").open("wb", buffering=0) as balloon, suppress(OSError):
            while True:
                balloon.write(_CHUNK)

    def free(self) -> None:
        (self.folder / ".balloon").unlink(missing_ok=True)


@contextmanager
def small_disk(folder: Path) -> Iterator[SmallDisk]:
    """Mounts one at `folder`, which exists, for as long as this runs. Raises `NotHere`."""
    _run("mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=755", "docfleet-chaos", str(folder))
    try:
        yield SmallDisk(folder)
    finally:
        # whoever still has a file open there keeps it until it closes
        _run("umount", "-l", str(folder))


class Cable:
    """Between this machine and a network of its own, in which programs run that `prefix` is put before.

    Pulled, it drops what is sent on it: nobody is told, no connection is reset.
    """

    def __init__(self, name: str, address: str, holder: int) -> None:
        self.name, self.address = name, address
        self.prefix: Sequence[str] = ("nsenter", "-t", str(holder), "-n")

    @property
    def network(self) -> str:
        """For `pg_hba.conf`."""
        return self.address.rpartition(".")[0] + ".0/24"

    def pull(self) -> None:
        # at this end: at the other, the senders there would be told that there is no way
        _run("ip", "link", "set", self.name, "down")

    def plug(self) -> None:
        _run("ip", "link", "set", self.name, "up")


@contextmanager
def a_cable() -> Iterator[Cable]:
    """A network whose other end is `address`, gone at the end, or when this process dies. Raises `NotHere`."""
    number = os.getpid() % 250
    name, address, far = f"dfc{os.getpid()}", f"10.99.{number}.1", f"10.99.{number}.2"
    holder = start_program(["unshare", "-n", "sleep", "infinity"], log=Path(os.devnull))
    try:
        _await_network(holder.pid)
        cable = Cable(name, address, holder.pid)
        _run("ip", "link", "add", name, "type", "veth", "peer", "name", "far", "netns", str(holder.pid))
        _run("ip", "address", "add", f"{address}/24", "dev", name)
        for command in (["address", "add", f"{far}/24", "dev", "far"], ["link", "set", "far", "up"]):
            _run(*cable.prefix, "ip", *command)
        _run(*cable.prefix, "ip", "link", "set", "lo", "up")
        cable.plug()
        yield cable
    finally:
        end_program(holder, 9, 5.0)
        with suppress(NotHere):
            _run("ip", "link", "delete", name)


def _await_network(pid: int) -> None:
    own = os.readlink("/proc/self/ns/net")
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        with suppress(OSError):
            if os.readlink(f"/proc/{pid}/ns/net") != own:
                return
        time.sleep(0.02)
    raise NotHere("unshare -n: no network of its own came to be")
