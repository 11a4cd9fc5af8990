"""The short form of `make chaos`: a real fleet, a short storm, and the auditor; and that the auditor is awake.

Times are not judged here: other tests may use the cores at the same time. `make chaos` judges them.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CHAOS = Path(__file__).resolve().parents[2] / "tools" / "chaos.py"


def run_chaos(*options: str) -> tuple[int, str]:
    """(exit code, what it printed)"""
    command = [sys.executable, str(CHAOS), "--simulate", "0", "--any-time", *options]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=550, check=False)
    return ended.returncode, ended.stdout + ended.stderr


@pytest.mark.slow
def test_a_storm_loses_nothing() -> None:
    kinds = ["slot killed", "sandbox killed", "worker killed", "dispatcher killed", "Redis emptied", "hints tenfold"]
    code, said = run_chaos(
        "--documents", "50", "--poison", "1", "--seconds", "14", "--seed", "11", "--every", "2", "--faults", *kinds
    )  # fmt: skip
    assert code == 0, said
    assert "nothing lost, nothing stuck, nothing twice" in said
    assert "| documents accepted | 50 in" in said


@pytest.mark.slow
def test_without_its_repair_the_service_turns_red() -> None:
    code, said = run_chaos(
        "--documents", "60", "--poison", "0", "--seconds", "15", "--seed", "5", "--without-repair", "--drain", "12",
        "--faults", "worker killed", "Redis emptied",
    )  # fmt: skip
    assert code == 1, said
    assert "I3" in said
