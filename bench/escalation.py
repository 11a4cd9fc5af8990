"""The third step of the cascade as a curve: share of pages escalated against error left.

    python -m bench.escalation [--pages 12] [--sets receipts,forms,ocr_pages]

Each page is read by the local engine. Pages whose confidence is below the threshold count as read without error, as by
a perfect cloud engine; the others keep their local error. Beside it the best any rule could do with as many pages
(the worst first), and what picking at random would leave: a confidence is worth as much as it lies nearer the former.
Error is the share of the truth's words that were not read, whatever their order, all pages together; normalised as in
tests/scoring.py.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence

import msgspec

from bench.corpora import ROOT
from bench.fixed_folder import Scan
from bench.ocr import SETS, pixels_of
from docfleet.engines.base import Engine, PageImage
from docfleet.engines.local.rapid import engine as docfleet_engine

sys.path.insert(0, str(ROOT / "tests"))
from scoring import normalise  # type: ignore[import-not-found, unused-ignore]

THRESHOLDS = (0.9, 0.95, 0.96, 0.97, 0.975, 0.98, 0.985, 0.99, 0.995)


class Measured(msgspec.Struct, frozen=True):
    """One page."""

    name: str
    confidence: float
    missed: int
    """Words of the truth that were not read."""
    words: int


class Point(msgspec.Struct, frozen=True):
    """One threshold."""

    threshold: float
    escalated: float
    """Share of the pages."""
    left: float
    """Share of words missed with those pages read perfectly."""
    best: float
    """The same, had the worst pages been chosen."""
    random: float


def curve(pages: Sequence[Measured], thresholds: Sequence[float] = THRESHOLDS) -> list[Point]:
    total = max(1, sum(page.words for page in pages))
    missed = [page.missed for page in pages]
    worst_first = sorted(missed, reverse=True)
    points = []
    for threshold in thresholds:
        kept = [page for page in pages if page.confidence >= threshold]
        gone = len(pages) - len(kept)
        share = gone / max(1, len(pages))
        points.append(
            Point(
                threshold,
                share,
                sum(page.missed for page in kept) / total,
                sum(worst_first[gone:]) / total,
                sum(missed) / total * (1 - share),
            )
        )
    return points


def measure(sets: Sequence[str], count: int) -> list[Measured]:
    engine = docfleet_engine({})
    found = []
    try:
        for name in sets:
            scans = SETS[name]()
            step = max(1, len(scans) // count)
            found += [_read(engine, name, scan) for scan in scans[::step][:count]]
    finally:
        engine.close()
    return found


def _read(engine: Engine, name: str, scan: Scan) -> Measured:
    pixels = pixels_of(scan.path)
    page = PageImage(1, pixels, 150, pixels.shape[1], pixels.shape[0])
    found = engine.recognise([page])[0].words
    assert found is not None
    said, expected = (normalise(text) for text in (" ".join(word.text for word in found.words), scan.text))
    if name == "receipts":
        said, expected = said.upper(), expected.upper()
    letters = sum(len(word.text) for word in found.words)
    sure = sum(len(word.text) * word.confidence for word in found.words) / letters if letters else 1.0
    words = Counter(expected.split())
    missed = words - Counter(said.split())
    return Measured(f"{name}/{scan.path.name}", sure, missed.total(), words.total())


def as_markdown(points: Sequence[Point]) -> str:
    lines = ["| threshold | pages escalated | error left | best choice | at random |", "|---|---|---|---|---|"]
    lines += [f"| {p.threshold:g} | {p.escalated:.0%} | {p.left:.2%} | {p.best:.2%} | {p.random:.2%} |" for p in points]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pages", type=int, default=12, help="Pages of each set.")
    parser.add_argument("--sets", default="receipts,forms,ocr_pages")
    chosen = parser.parse_args()
    pages = measure(chosen.sets.split(","), chosen.pages)
    for page in sorted(pages, key=lambda page: page.confidence):
        print(f"{page.confidence:.3f}  {page.missed / max(1, page.words):6.1%}  {page.name}")
    print(as_markdown(curve(pages)))


if __name__ == "__main__":
    main()
