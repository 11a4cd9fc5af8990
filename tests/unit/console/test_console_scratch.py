"""Plain copies: made once, bounded, private, gone in time and with the process."""

from __future__ import annotations

import asyncio
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from docfleet.console.problems import ApiProblem
from docfleet.console.scratch import Scratch


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


async def put(scratch: Scratch, key: str, size: int = 10, owner: str = "d") -> Path:
    async def fill(path: Path) -> None:
        path.write_bytes(b"x" * size)

    async with scratch.held(key, owner, fill) as path:
        return path


def test_made_once_however_many_ask(tmp_path: Path) -> None:
    made = []

    async def fill(path: Path) -> None:
        made.append(path)
        await asyncio.sleep(0.01)
        path.write_bytes(b"a")

    async def ask(scratch: Scratch) -> bytes:
        async with scratch.held("k", "d", fill) as path:
            return path.read_bytes()

    async def run() -> None:
        scratch = Scratch(parent=tmp_path)
        assert await asyncio.gather(*(ask(scratch) for _ in range(5))) == [b"a"] * 5
        assert len(made) == 1
        assert stat.S_IMODE(scratch.folder.stat().st_mode) == 0o700
        scratch.close()
        assert not scratch.folder.exists()

    asyncio.run(run())


def test_the_longest_unused_go_first_and_what_is_held_stays(tmp_path: Path) -> None:
    async def run() -> None:
        clock = Clock()
        scratch = Scratch(max_bytes=25, max_age_seconds=100, clock=clock, parent=tmp_path)
        first = await put(scratch, "a")
        clock.now = 1
        second = await put(scratch, "b")
        clock.now = 2
        await put(scratch, "a")
        third = await put(scratch, "c")
        assert (first.exists(), second.exists(), third.exists()) == (True, False, True)
        clock.now = 101.5
        scratch.sweep()
        assert first.exists()
        clock.now = 103
        scratch.sweep()
        assert (first.exists(), third.exists(), scratch.size_bytes) == (False, False, 0)
        scratch.close()

    asyncio.run(run())


def test_what_is_forgotten_goes_when_its_holder_is_done(tmp_path: Path) -> None:
    async def fill(path: Path) -> None:
        path.write_bytes(b"a")

    async def run() -> None:
        scratch = Scratch(parent=tmp_path)
        other = await put(scratch, "o", owner="other")
        async with scratch.held("k", "d", fill) as path:
            scratch.forget("d")
            assert path.exists()
        assert not path.exists()
        assert other.exists()
        scratch.close()

    asyncio.run(run())


def test_what_fails_leaves_nothing_and_is_tried_again(tmp_path: Path) -> None:
    async def broken(path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "no space")

    async def run() -> None:
        scratch = Scratch(parent=tmp_path)
        with pytest.raises(ApiProblem, match="no room"):
            async with scratch.held("k", "d", broken):
                pass
        assert [path.name for path in scratch.folder.iterdir()] == ["lock"]
        assert (await put(scratch, "k")).read_bytes() == b"x" * 10
        scratch.close()

    asyncio.run(run())


def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from docfleet.console.scratch import Scratch\n"
        "scratch = Scratch(parent=Path(sys.argv[1])); (scratch.folder / '1').write_text('secret')\n"
        "print(scratch.folder, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        left = Path(process.stdout.readline().strip())
        first = Scratch(parent=tmp_path)
        assert left.exists()  # its process lives
        process.send_signal(signal.SIGKILL)
        process.wait()
    second = Scratch(parent=tmp_path)
    assert not left.exists()
    assert first.folder.exists()
    first.close()
    second.close()
