"""Whatever the boxes: no crash, no blow-up, every word in the text."""

from __future__ import annotations

import math
import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.layout.setting import check_partitions, page_of

from docfleet.domain.geometry import Frame
from docfleet.domain.words import Ruling, Word, WordPage
from docfleet.engines.local.layout import lay_out, merge

ODD = st.sampled_from([0.0, -1.0, 1e-300, 1e308, -1e308, math.nan, math.inf, -math.inf, 300.0])
NUMBER = st.one_of(ODD, st.floats(-50, 900))
WORDS = st.builds(
    Word,
    text=st.text(st.characters(blacklist_categories=["Cs", "Zs", "Cc", "Zl", "Zp"]), min_size=1, max_size=8),
    box=st.tuples(NUMBER, NUMBER, NUMBER, NUMBER),
    confidence=st.one_of(ODD, st.floats(0, 1)),
    line=st.integers(-1, 5),
    angle=st.sampled_from([0, 0, 0, 90, 180, 270]),
    size=NUMBER,
)
RULINGS = st.builds(Ruling, x0=NUMBER, y0=NUMBER, x1=NUMBER, y1=NUMBER)


@settings(max_examples=150, deadline=None)
@given(st.lists(WORDS, max_size=25), st.lists(RULINGS, max_size=12), NUMBER, NUMBER)
def test_any_boxes_give_a_partitioned_page(
    words: list[Word], rulings: list[Ruling], width: float, height: float
) -> None:
    page = WordPage(width, height, Frame(width, height), words, rulings)
    text, laid = lay_out(page, 1)
    if words:
        check_partitions(text, laid)
    for word in words:
        assert word.text.replace("\u00ad", "-") in text
    for token in laid.tokens:
        assert token.layout.box is not None
        assert all(0.0 <= v <= 1.0 for corner in token.layout.box.corners for v in corner)
        assert 0.0 <= token.layout.confidence <= 1.0


def _scattered(n: int) -> list[Word]:
    rng = random.Random(1)
    spots = [(rng.uniform(0, 580), rng.uniform(0, 830)) for _ in range(n)]
    return [Word(f"w{k}", (x, y, x + 9, y + 8), size=7.0) for k, (x, y) in enumerate(spots)]


PILES = {
    "scattered": _scattered,
    "one point": lambda n: [Word("x", (100.0, 100.0, 100.0, 100.0)) for _ in range(n)],
    "one box": lambda n: [Word("x", (100.0, 100.0, 110.0, 112.0), size=10.0) for _ in range(n)],
    "one row": lambda n: [Word("x", (k * 3.0, 100.0, k * 3.0 + 2, 110.0), size=10.0) for k in range(n)],
    "one column": lambda n: [Word("1", (100.0, k * 2.0, 110.0, k * 2.0 + 1.5), size=1.5) for k in range(n)],
    "grid": lambda n: [Word("7", (x, y, x + 5, y + 7)) for k in range(n) for x, y in [(k % 200 * 12, k // 200 * 9)]],
    "not a number": lambda n: [Word("x", (math.nan, math.inf, -math.inf, 1e300)) for _ in range(n)],
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("pile", PILES)
def test_fifty_thousand_words_take_seconds_not_hours(pile: str) -> None:
    words = PILES[pile](50_000)
    began = time.process_time()
    text, page = lay_out(page_of(words), 1)
    assert time.process_time() - began < 12
    assert len(text) >= 100_000
    assert page.lines[-1].layout.spans[0].end == len(text)


def test_twenty_thousand_rulings_are_bounded() -> None:
    rng = random.Random(2)
    rulings = []
    for _ in range(10_000):
        x, y = rng.uniform(0, 590), rng.uniform(0, 840)
        rulings += [Ruling(x, y, x + rng.uniform(5, 300), y), Ruling(x, y, x, y + rng.uniform(5, 300))]
    began = time.process_time()
    lay_out(page_of(_scattered(2000), rulings), 1)
    assert time.process_time() - began < 5


def test_a_page_without_words_is_empty() -> None:
    text, page = lay_out(page_of([]), 3)
    assert (text, page.number, page.tokens, page.blocks) == ("", 3, (), ())


def test_merging_odd_boxes_keeps_the_digital_words() -> None:
    digital = page_of([Word("kept", (math.nan, 0.0, 10.0, 10.0))])
    scan = page_of([Word("odd", (math.inf, math.nan, 5.0, 5.0)), Word("fine", (20.0, 20.0, 40.0, 30.0))])
    merged = merge(digital, scan, [(15.0, 15.0, 100.0, 100.0), (math.nan, 0.0, 1.0, 1.0)])
    assert [word.text for word in merged.words] == ["kept", "fine"]
