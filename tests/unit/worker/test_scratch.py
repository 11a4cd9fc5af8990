"""Where plain copies of documents lie while they are read: for nobody else to see, and not for longer."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from docfleet.worker.slots import scratch_folder


def test_a_folder_of_its_own_below_the_root(tmp_path: Path) -> None:
    root = tmp_path / "docfleet-0"
    folder = scratch_folder(root, "host-1-abc")
    assert folder.parent == root
    assert [stat.S_IMODE(path.stat().st_mode) for path in (root, folder)] == [0o700, 0o700]


def test_what_a_dead_supervisor_left_is_removed(tmp_path: Path) -> None:
    root = tmp_path / "docfleet-0"
    root.mkdir(mode=0o700)
    living = scratch_folder(root, "host-1-living")
    # one of them under the number of a process that lives: a container that was started again gives the same ones
    for name in ("4194999-dead", "nonsense", f"{os.getpid()}-same"):
        (root / name / "0-1").mkdir(parents=True)
        (root / name / "0-1" / "source").write_bytes(b"plain")
    (living / "source").write_bytes(b"plain")
    folder = scratch_folder(root, "host-1-abc")
    assert {*root.iterdir()} == {living, folder}
    assert (living / "source").exists()


def test_a_killed_supervisor_lets_go(tmp_path: Path) -> None:
    root = tmp_path / "docfleet-0"
    code = (
        "import sys, os; from pathlib import Path; from docfleet.worker.slots import scratch_folder\n"
        "print(scratch_folder(Path(sys.argv[1]), 'host-1-abc'), flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, root], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        left = Path(other.stdout.readline().strip())
        scratch_folder(root, "host-1-second")
        assert left.is_dir()
        other.kill()
        other.wait()
        scratch_folder(root, "host-1-third")
        assert not left.exists()


@pytest.mark.parametrize("how", ["open", "link"])
def test_a_root_that_others_may_look_into_is_not_used(tmp_path: Path, how: str) -> None:
    root = tmp_path / "docfleet-0"
    if how == "open":
        root.mkdir()
        root.chmod(0o777)
    else:
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        root.symlink_to(tmp_path / "elsewhere")
    folder = scratch_folder(root, "host-1-abc")
    assert root.resolve() not in folder.resolve().parents
    assert stat.S_IMODE(folder.parent.stat().st_mode) == 0o700
    assert not list(root.iterdir())
