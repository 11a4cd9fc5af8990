"""Documents an hour on two cores: receipts, forms and orders of the corpora, every result format written."""

from __future__ import annotations

import json
import shutil
import sys

from bench.corpora import CORPORA, WORK
from bench.measure import run
from bench.table import Row

FOLDERS = ("receipts", "forms", "ad_orders")
TARGET = 1000


def rows(quick: bool) -> list[Row]:
    """One row; the truth files beside the documents are left out."""
    inbox, out = WORK / "throughput", WORK / "throughput-results"
    for folder in (inbox, out):
        shutil.rmtree(folder, ignore_errors=True)
    for name in FOLDERS:
        (inbox / name).mkdir(parents=True)
        files = sorted(path for path in (CORPORA / name).iterdir() if path.suffix != ".jsonl")
        for path in files[:: 6 if quick else 1]:
            shutil.copy(path, inbox / name)
    measured = run([sys.executable, "-m", "docfleet", "process", inbox, "--out", out, "--workers", "2"])
    index = json.loads((out / "index.json").read_text(encoding="utf-8"))
    read = [row for row in index if row["outcome"] == "succeeded"]
    pages = sum(row["pages"] for row in index)
    rate = len(read) / measured.wall_seconds * 3600
    return [
        Row(
            f"documents an hour, 2 cores ({len(index)} documents, {pages} pages of {', '.join(FOLDERS)})",
            f"{rate:,.0f} ({3600 * pages / measured.wall_seconds:,.0f} pages; {len(index) - len(read)} not succeeded)",
            "the script docfleet replaces: 165",
            f"> {TARGET:,}",
            rate > TARGET,
        )
    ]
