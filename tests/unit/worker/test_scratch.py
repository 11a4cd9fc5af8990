"""Where plain copies of documents lie while they are read: for nobody else to see, and not for longer."""

from __future__ import annotations

import os
import stat
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
    for name in ("4194999-dead", "nonsense", f"{os.getpid()}-mine"):
        (root / name / "0-1").mkdir(parents=True)
        (root / name / "0-1" / "source").write_bytes(b"plain")
    scratch_folder(root, "host-1-abc")
    assert {path.name for path in root.iterdir()} == {f"{os.getpid()}-mine", f"{os.getpid()}-abc"}


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
