"""Every hostile file through the whole job: no crash of the parent, no hang, a named outcome for each."""

from __future__ import annotations

import json
import shutil
import sys
from collections import Counter

from bench.corpora import CORPORA, WORK
from bench.measure import run
from bench.table import Row

WORKERS = 2
SANDBOX_BYTES = 1536 * 2**20
WORKER_BYTES = 1024 * 2**20
"""A worker with its models, and its share of the run."""


def rows(quick: bool) -> list[Row]:
    inbox, out = WORK / "hostile", WORK / "hostile-results"
    for folder in (inbox, out):
        shutil.rmtree(folder, ignore_errors=True)
    inbox.mkdir(parents=True)
    files = sorted(path for path in (CORPORA / "hostile").iterdir() if path.name != "PASSWORDS.csv")
    for path in files[:: 20 if quick else 1]:
        shutil.copy(path, inbox)
    command = [sys.executable, "-m", "docfleet", "process", inbox, "--out", out, "--workers", str(WORKERS)]
    measured = run(command, seconds=3 * 3600)
    index = json.loads((out / "index.json").read_text(encoding="utf-8"))
    expected = len(list(inbox.iterdir()))
    named = [r for r in index if r["outcome"] == "succeeded" or r["code"]]
    odd = Counter(r["code"] for r in index if r["code"] in ("unexpected", "worker_died"))
    limit = WORKERS * (SANDBOX_BYTES + WORKER_BYTES)
    inputs = {row["file"].removeprefix(f"{inbox}/").split("/")[0] for row in index}
    codes = Counter(row["code"] or row["outcome"] for row in index)
    print("hostile outcomes:", dict(codes.most_common()))
    return [
        Row(
            f"hostile: {expected} files, {measured.wall_seconds:.0f} s",
            f"{len(named)} of {len(index)} named; exit {measured.exit_code}; unexpected {sum(odd.values())}",
            "pdfium alone: 4.6 % errors, 2.3 % password",
            "all named, no crash, no hang",
            len(named) == len(index) and len(inputs) == expected and measured.exit_code in (0, 1) and not odd,
        ),
        Row(
            "hostile: peak memory of the process tree",
            f"{measured.peak_bytes / 2**20:.0f} MiB",
            "",
            f"<= {limit / 2**20:.0f} MiB",
            measured.peak_bytes <= limit,
        ),
    ]
