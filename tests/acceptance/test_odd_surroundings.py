"""Odd file names, folders that fill up, streams that are closed: the command says what is wrong, or just works."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from running import SAMPLES, docfleet

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
