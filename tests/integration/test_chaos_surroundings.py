"""The nemesis' cable and disk do what they say: silence without a reset, and a disk without a byte left."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos.surroundings import Cable, NotHere, SmallDisk, a_cable, small_disk

FAR_END = """
import socket, sys
link = socket.create_connection((sys.argv[1], int(sys.argv[2])), 10)
link.settimeout(1)
for _ in sys.stdin:
    link.sendall(b"x")
    try:
        print(len(link.recv(99)), flush=True)
    except OSError as error:
        print(type(error).__name__, flush=True)
"""


@pytest.fixture
def cable() -> Iterator[Cable]:
    try:
        with a_cable() as made:
            yield made
    except NotHere as error:
        pytest.skip(f"no network of its own on this machine: {error}")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    try:
        with small_disk(tmp_path) as made:
            yield made
    except NotHere as error:
        pytest.skip(f"nothing may be mounted on this machine: {error}")


def test_a_pulled_cable_is_silent_and_nothing_is_lost_on_it(cable: Cable) -> None:
    with socket.create_server((cable.address, 0)) as server:
        command = [*cable.prefix, sys.executable, "-c", FAR_END, cable.address, str(server.getsockname()[1])]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as far:
            assert far.stdin is not None
            assert far.stdout is not None
            link, _ = server.accept()
            link.settimeout(10)

            def ask() -> None:
                assert far.stdin is not None
                far.stdin.write("\n")
                far.stdin.flush()

            with link:
                ask()
                assert link.recv(9) == b"x"
                link.sendall(b"y")
                assert far.stdout.readline() == "1\n"
                cable.pull()
                ask()
                assert far.stdout.readline() == "TimeoutError\n", "neither an error nor a reset"
                cable.plug()
                assert link.recv(9) == b"x", "the connection outlived it"
            far.stdin.close()


def test_a_full_disk_takes_nothing_until_there_is_room(disk: SmallDisk) -> None:
    (disk.folder / "before").write_bytes(b"kept")
    disk.fill()
    with pytest.raises(OSError, match="No space left"):
        (disk.folder / "more").write_bytes(bytes(5000))
    disk.free()
    (disk.folder / "more").write_bytes(bytes(5000))
    assert (disk.folder / "before").read_bytes() == b"kept"
