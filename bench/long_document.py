"""A thousand synthetic digital pages in one PDF: time has to be linear in pages, memory must not grow with them."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import typst

from bench.corpora import WORK
from bench.measure import Measured, run
from bench.table import Row

_PAGE = """
#set page(width: 595pt, height: 842pt, margin: 56pt)
#set text(size: 10pt)
#for n in range(1, {pages} + 1) [
  = Section #n
  #for k in range(1, 7) [
    Paragraph #k of page #n. #lorem(70)

  ]
  #table(columns: 4, ..range(20).map(i => [#(n * 20 + i)]))
  #pagebreak(weak: true)
]
"""


def make(pages: int) -> Path:
    """A PDF of `pages` pages of prose and a table each."""
    path = WORK / f"long-{pages}.pdf"
    if not path.exists():
        WORK.mkdir(exist_ok=True)
        source = WORK / f"long-{pages}.typ"
        source.write_text(_PAGE.replace("{pages}", str(pages)), encoding="utf-8")
        typst.compile(str(source), output=str(path))
    return path


def measure(pages: int) -> Measured:
    out = WORK / f"long-{pages}-results"
    shutil.rmtree(out, ignore_errors=True)
    measured = run([sys.executable, "-m", "docfleet", "process", make(pages), "--out", out, "--workers", "2"])
    if measured.exit_code:
        raise RuntimeError(f"docfleet ended with {measured.exit_code}: {measured.output[-500:]}")
    return measured


def rows(quick: bool) -> list[Row]:
    few, many = (50, 200) if quick else (100, 1000)
    small, large = measure(few), measure(many)
    start = measure(1)
    per_few = (small.wall_seconds - start.wall_seconds) / (few - 1)
    per_many = (large.wall_seconds - start.wall_seconds) / (many - 1)
    growth = large.peak_bytes / small.peak_bytes - 1
    return [
        Row(
            f"one PDF of {many} digital pages, 2 workers: time a page",
            f"{1000 * per_many:.1f} ms ({large.wall_seconds:.1f} s in all)",
            f"at {few} pages: {1000 * per_few:.1f} ms",
            "linear: within 25 %",
            per_many <= 1.25 * per_few,
        ),
        Row(
            f"one PDF of {many} digital pages: peak memory of the process tree",
            f"{large.peak_bytes / 2**20:.0f} MiB",
            f"at {few} pages: {small.peak_bytes / 2**20:.0f} MiB ({growth:+.0%})",
            "within 20 %",
            abs(growth) <= 0.2,
        ),
    ]
