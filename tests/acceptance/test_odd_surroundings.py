"""Odd file names, folders that fill up, streams that are closed: the command says what is wrong, or just works."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from running import SAMPLES, docfleet, end, index_of, start, wait_for

INVOICE = SAMPLES / "invoice-01.pdf"


def test_names_of_any_bytes_are_read(tmp_path: Path) -> None:
    inputs = os.fsencode(tmp_path / "in")
    names = [b"caf\xe9.pdf", b"new\nline.pdf", b"esc\x1b]0;title\x07.pdf", b"index.csv.pdf", b"\xff\xfe"]
    os.mkdir(inputs)
    data = INVOICE.read_bytes()
    for number, name in enumerate(names):
        with open(inputs + b"/" + name, "wb") as file:
            file.write(data + b"\n%% %d\n" % number)
    with open(inputs + b"/esc\x1b[31m.pdf", "wb") as file:
        file.write(b"nothing")
    out = tmp_path / "out"
    ran = docfleet("process", tmp_path / "in", "--out", out)
    assert ran.exit_code == 1, ran.stderr
    assert "\x1b" not in ran.stderr
    rows = json.loads((out / "index.json").read_text(encoding="utf-8"))
    assert sorted(row["outcome"] for row in rows) == ["failed"] + ["succeeded"] * len(names)
    assert (out / "index.csv").is_file()
    for row in rows:
        assert not row["folder"] or (out / row["folder"] / "searchable.pdf").is_file()


@pytest.mark.slow
def test_files_refused_at_the_door_count_when_named_by_a_relative_path(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "note.pdf").write_bytes(b"")
    shutil.copy(INVOICE, tmp_path / "in")
    ran = subprocess.run(
        [sys.executable, "-m", "docfleet", "process", "in", "--out", "out", "--json", "--no-report", "--workers", "1"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    summary = json.loads(ran.stdout)
    assert summary["outcomes"] == {"failed": 1, "succeeded": 1}
    assert ran.returncode == 1


@pytest.mark.slow
def test_a_file_that_changes_unseen_is_told(tmp_path: Path) -> None:
    """Same name, same size, other bytes: the results would be of neither."""
    source = tmp_path / "letter.png"
    shutil.copy(SAMPLES / "letter-de.png", source)
    with source.open("ab") as file:
        file.write(b"1")
    out = tmp_path / "out"
    process = start("process", source, "--out", out, "--no-report")
    try:
        wait_for(lambda: (out / "ledger" / "ledger.db").exists() and "letter.png" in ledger_names(out))
        with source.open("r+b") as file:
            file.seek(-1, os.SEEK_END)
            file.write(b"2")
        process.wait(120)
    finally:
        end(process)
    (row,) = index_of(out).values()
    assert (row["outcome"], row["code"]) == ("failed", "source_changed")
    assert not (out / "letter").exists()
    assert docfleet("process", source, "--out", out, "--no-report").exit_code == 0
    assert (out / "letter" / "document.json").is_file()


def ledger_names(out: Path) -> str:
    with sqlite3.connect(out / "ledger" / "ledger.db", timeout=10) as database:
        try:
            return str(database.execute("SELECT name FROM input").fetchall())
        except sqlite3.OperationalError:
            return ""


def test_two_orders_to_stop_at_once_are_one(tmp_path: Path, long_pdf: Path) -> None:
    out = tmp_path / "out"
    process = start("process", long_pdf, "--out", out, "--no-report")
    try:
        wait_for(lambda: (out / "ledger" / "ledger.db").exists())
        process.send_signal(signal.SIGTERM)
        time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 130
    finally:
        end(process)
    assert (out / "index.json").is_file()


def test_an_empty_name_is_not_the_working_directory(tmp_path: Path) -> None:
    assert docfleet("process", "", "--out", tmp_path / "out").exit_code == 2
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("mount") is None, reason="a small file system needs root")
def test_a_full_disk_is_told_and_the_next_run_continues(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", small], check=False).returncode:
        pytest.skip("this machine does not let file systems be mounted")
    try:
        names = []
        for number in range(6):
            names.append(tmp_path / f"{number}.pdf")
            names[-1].write_bytes(INVOICE.read_bytes() + b"\n%% %d\n" % number)
        out = small / "out"
        ran = docfleet("process", *names, "--out", out, "--no-report")
        assert ran.exit_code == 1
        assert "Traceback" not in ran.stderr
        assert "No space left" in ran.stderr or "disk" in ran.stderr
        subprocess.run(["mount", "-o", "remount,size=50m", small], check=True)
        ran = docfleet("process", *names, "--out", out, "--no-report", "--retry-failed")
        assert ran.exit_code == 0, ran.stderr
        assert [row["outcome"] for row in index_of(out).values()] == ["succeeded"] * len(names)
    finally:
        subprocess.run(["umount", small], check=False)


@pytest.mark.skipif(
    os.geteuid() == 0 and shutil.which("setpriv") is None, reason="root reads everything unless it gives that up"
)
def test_what_may_not_be_read_is_told(tmp_path: Path) -> None:
    locked, folder = tmp_path / "in" / "locked.pdf", tmp_path / "in" / "folder"
    folder.mkdir(parents=True)
    shutil.copy(INVOICE, tmp_path / "in" / "ok.pdf")
    shutil.copy(INVOICE, locked)
    shutil.copy(INVOICE, folder)
    command = [sys.executable, "-m", "docfleet", "process", tmp_path / "in", "--out", tmp_path / "out", "--no-report"]
    if os.geteuid() == 0:
        command = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", *command]
    locked.chmod(0)
    folder.chmod(0)
    try:
        done = subprocess.run([*command, "--workers", "1"], check=False, capture_output=True, text=True)
    finally:
        locked.chmod(0o600)
        folder.chmod(0o700)
    assert done.returncode == 1, done.stderr
    codes = {Path(name).name: row["code"] for name, row in index_of(tmp_path / "out").items()}
    assert codes == {"ok.pdf": "", "locked.pdf": "source_unreadable", "folder": "source_unreadable"}
