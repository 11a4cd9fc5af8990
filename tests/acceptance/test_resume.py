"""Stopped, killed, interrupted: the same command goes on where it was, and nothing is lost or done twice."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from running import SAMPLES, docfleet, end, index_of, start, wait_for


def ended_slices(out: Path, step: str = "local") -> dict[int, tuple[str, int]]:
    """Slice id -> (state, attempts) of the slices of a step that have ended."""
    path = out / "ledger" / "ledger.db"
    if not path.exists():
        return {}
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)
    try:
        rows = connection.execute(
            "SELECT id, state, attempt FROM slice WHERE step = ? AND state IN ('done', 'dead')", (step,)
        ).fetchall()
    except sqlite3.OperationalError:
        return {}
    finally:
        connection.close()
    return {row[0]: (row[1], row[2]) for row in rows}


def workers_of(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    return [
        child
        for child in psutil.Process(process.pid).children(recursive=True)
        if "docfleet.worker.direct" in " ".join(child.cmdline())
    ]


def check_whole(out: Path, source: Path, before: dict[int, tuple[str, int]]) -> None:
    """All pages are there, and what had ended before the break was not done again."""
    [row] = index_of(out).values()
    assert (row["outcome"], row["pages"], row["pages_failed"]) == ("succeeded", 160, 0)
    text = (out / source.stem / "document.txt").read_text()
    assert [f"Page number {n} of" in text for n in range(1, 161)] == [True] * 160
    after = ended_slices(out)
    # more than its 20 when kills hit one slice twice: what is suspected is cut into single pages
    assert len(after) >= 20
    assert {key: after[key] for key in before} == before


def test_killed_outright_it_goes_on_where_it_was(long_pdf: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = ("process", long_pdf, "--out", out, "--workers", "2", "--no-report")
    process = start(*command)
    try:
        wait_for(lambda: len(ended_slices(out)) >= 3)
        left = workers_of(process)
        os.kill(process.pid, signal.SIGKILL)
        process.wait(timeout=10)
        before = ended_slices(out)
        # the workers notice by themselves that their parent is gone
        psutil.wait_procs(left, timeout=15)
        assert not [worker for worker in left if worker.is_running()]
    finally:
        end(process)
    assert not (out / "long").exists()
    ran = docfleet(*command)
    assert ran.exit_code == 0, ran.stderr
    check_whole(out, long_pdf, before)


@pytest.mark.slow
def test_ctrl_c_ends_in_seconds_and_the_same_command_goes_on(long_pdf: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = ("process", long_pdf, "--out", out, "--workers", "2", "--no-report")
    process = start(*command)
    try:
        wait_for(lambda: len(ended_slices(out)) >= 3)
        children = psutil.Process(process.pid).children(recursive=True)
        asked = time.monotonic()
        os.kill(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=30)
        assert time.monotonic() - asked < 15
        assert process.returncode == 130
        assert b"continues where it stopped" in said
        assert b"Traceback" not in said
        assert not psutil.wait_procs(children, timeout=5)[1]
    finally:
        end(process)
    [row] = index_of(out).values()
    assert row["outcome"] == "pending"
    before = ended_slices(out)
    assert docfleet(*command).exit_code == 0
    check_whole(out, long_pdf, before)


@pytest.mark.slow
def test_a_killed_worker_costs_nothing(long_pdf: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    process = start("process", long_pdf, "--out", out, "--workers", "2", "--no-report")
    try:
        for count in (2, 6, 10):
            wait_for(lambda count=count: len(ended_slices(out)) >= count or process.poll() is not None)  # type: ignore[misc]
            for worker in workers_of(process)[:1]:
                worker.kill()
        process.communicate(timeout=200)
        assert process.returncode == 0
    finally:
        end(process)
    check_whole(out, long_pdf, {})


@pytest.mark.slow
def test_a_second_run_does_nothing_again(tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = ("process", SAMPLES / "letter-fr.pdf", SAMPLES / "unrepairable.pdf", "--out", out, "--no-report")
    assert docfleet(*command).exit_code == 1
    result = out / "letter-fr" / "document.json"
    before, slices = result.stat().st_mtime_ns, ended_slices(out)
    assert docfleet(*command).exit_code == 1
    assert result.stat().st_mtime_ns == before
    assert ended_slices(out) == slices
    assert docfleet(*command, "--retry-failed").exit_code == 1
    assert result.stat().st_mtime_ns == before
    assert len(ended_slices(out)) == len(slices) + 1


@pytest.mark.slow
def test_a_result_that_was_removed_is_made_again(tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = ("process", SAMPLES / "letter-fr.pdf", "--out", out, "--no-report")
    assert docfleet(*command).exit_code == 0
    shutil.rmtree(out / "letter-fr")
    assert docfleet(*command).exit_code == 0
    assert (out / "letter-fr" / "document.json").is_file()
    [row] = index_of(out).values()
    assert (row["outcome"], row["folder"]) == ("succeeded", "letter-fr")


@pytest.mark.slow
def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    out, file = tmp_path / "out", tmp_path / "letter.pdf"
    shutil.copy(SAMPLES / "letter-fr.pdf", file)
    assert docfleet("process", file, "--out", out, "--no-report").exit_code == 0
    shutil.copy(SAMPLES / "invoice-01.pdf", file)
    assert docfleet("process", file, "--out", out, "--no-report").exit_code == 0
    [row] = index_of(out).values()
    assert row["folder"] == "letter"
    assert "Northwind" in (out / "letter" / "document.txt").read_text()


@pytest.mark.slow
def test_two_runs_do_not_share_an_output_folder(long_pdf: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    process = start("process", long_pdf, "--out", out, "--workers", "1", "--no-report")
    try:
        wait_for(lambda: (out / "ledger" / "ledger.db").exists())
        second = docfleet("process", SAMPLES / "letter-fr.pdf", "--out", out)
        assert second.exit_code == 2
        assert "Another docfleet run" in second.stderr
    finally:
        end(process)
