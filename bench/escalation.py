"""The third step of the cascade as a curve: share of pages escalated against error left.

    python -m bench.escalation [--pages 12] [--sets receipts,forms,ocr_pages]

Each page is read by the local engine. Pages with as many characters in doubt as the threshold says (their number times
one less the confidence) count as read without error, as by a perfect cloud engine; the others keep their local error.
Beside it what as many pages of the least confidence would leave, the best any rule could do (the worst first), and what
picking at random would leave. The worth of a rule is the area it gains on chance, over thresholds of every height, as a
share of what the best would gain.
Error is the share of the truth's words that were not read, whatever their order, all pages together; normalised as in
tests/scoring.py.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import accumulate

import msgspec

from bench.corpora import ROOT
from bench.fixed_folder import Scan
from bench.ocr import SETS, pixels_of
from docfleet.engines.base import Engine, PageImage
from docfleet.engines.local.rapid import engine as docfleet_engine

sys.path.insert(0, str(ROOT / "tests"))
from scoring import normalise  # type: ignore[import-not-found, unused-ignore]

THRESHOLDS = (40.0, 30.0, 20.0, 16.0, 12.0, 8.0, 6.0, 4.0, 2.0)


class Measured(msgspec.Struct, frozen=True):
    """One page."""

    name: str
    confidence: float
    characters: int
    """Read, white space aside."""
    missed: int
    """Words of the truth that were not read."""
    words: int

    @property
    def doubted(self) -> float:
        return (1 - self.confidence) * self.characters


class Point(msgspec.Struct, frozen=True):
    """One threshold."""

    threshold: float
    escalated: float
    """Share of the pages."""
    left: float
    """Share of words missed with those pages read perfectly."""
    by_confidence: float
    """The same, had as many pages of the least confidence been chosen."""
    best: float
    """The same, had the worst pages been chosen."""
    random: float


def curve(pages: Sequence[Measured], thresholds: Sequence[float] = THRESHOLDS) -> list[Point]:
    total = max(1, sum(page.words for page in pages))
    missed = [page.missed for page in pages]
    worst_first = sorted(missed, reverse=True)
    unsure_first = [page.missed for page in sorted(pages, key=lambda page: page.confidence)]
    points = []
    for threshold in thresholds:
        kept = [page for page in pages if page.doubted < threshold]
        gone = len(pages) - len(kept)
        share = gone / max(1, len(pages))
        points.append(
            Point(
                threshold,
                share,
                sum(page.missed for page in kept) / total,
                sum(unsure_first[gone:]) / total,
                sum(worst_first[gone:]) / total,
                sum(missed) / total * (1 - share),
            )
        )
    return points


def worth(pages: Sequence[Measured], rule: Callable[[Measured], float]) -> float:
    """1: as good as knowing the worst pages; 0: as chance. `rule`: what is largest for the pages to be sent first."""

    def gained(order: Sequence[Measured]) -> float:
        taken = accumulate(page.missed for page in order)
        return sum(taken) / len(pages) / max(1, sum(page.missed for page in pages)) - 0.5

    best = gained(sorted(pages, key=lambda page: -page.missed))
    return gained(sorted(pages, key=lambda page: -rule(page))) / best


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
    return Measured(f"{name}/{scan.path.name}", sure, letters, missed.total(), words.total())


def as_markdown(points: Sequence[Point]) -> str:
    lines = [
        "| characters in doubt | pages escalated | error left | by confidence | best choice | at random |",
        "|---|---|---|---|---|---|",
    ]
    for point in points:
        shares = (point.left, point.by_confidence, point.best, point.random)
        lines.append(f"| {point.threshold:g} | {point.escalated:.0%} | {' | '.join(f'{one:.2%}' for one in shares)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pages", type=int, default=12, help="Pages of each set.")
    parser.add_argument("--sets", default="receipts,forms,ocr_pages")
    chosen = parser.parse_args()
    pages = measure(chosen.sets.split(","), chosen.pages)
    for page in sorted(pages, key=lambda page: -page.doubted):
        print(f"{page.doubted:5.1f}  {page.confidence:.3f}  {page.missed / max(1, page.words):6.1%}  {page.name}")
    print(as_markdown(curve(pages)))
    print(
        f"worth: {worth(pages, lambda one: one.doubted):.2f}, of the confidence alone "
        f"{worth(pages, lambda one: -one.confidence):.2f}"
    )


if __name__ == "__main__":
    main()
