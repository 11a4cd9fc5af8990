"""Characters to words: what a PDF's text layer gets wrong, and what is made of it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from docfleet.domain.page_facts import PageFacts
from docfleet.domain.text_layer import TextLayer
from docfleet.engines.local import text_layer

FACTS = PageFacts(width=600, height=800)
Char = tuple[str, float, float, float]
"""Character, x0, y0, width."""


def layer_of(chars: Sequence[Char], em: float = 10.0, angle: int = 0, flags: Sequence[int] = ()) -> TextLayer:
    n = len(chars)
    boxes = np.array([(x, y, x + w, y + 1.2 * em) for _, x, y, w in chars], dtype=np.float32).reshape(-1, 4)
    return TextLayer(
        codes=np.array([ord(c) for c, *_ in chars], dtype=np.uint32),
        boxes=boxes,
        sizes=np.full(n, em, dtype=np.float32),
        angles=np.full(n, angle, dtype=np.int16),
        fonts=np.zeros(n, dtype=np.int16),
        flags=np.array(flags or [0] * n, dtype=np.uint8),
        font_names=["Serif"],
        font_weights=[400],
        font_italics=[False],
        rulings=[],
    )


def typed(text: str, x: float = 50.0, y: float = 100.0, advance: float = 5.0) -> list[Char]:
    return [(char, x + advance * k, y, advance) for k, char in enumerate(text)]


def texts(layer: TextLayer) -> list[str]:
    return [word.text for word in text_layer.words(FACTS, layer).words]


def test_words_are_parted_at_spaces_and_carry_their_boxes() -> None:
    words = text_layer.words(FACTS, layer_of(typed("to be or"))).words
    assert [w.text for w in words] == ["to", "be", "or"]
    assert words[1].box == pytest.approx((65.0, 100.0, 75.0, 112.0))
    assert words[0].size == 10.0


def test_a_gap_without_a_space_parts_words() -> None:
    assert texts(layer_of(typed("one") + typed("two", x=50 + 15 + 2.5))) == ["one", "two"]


def test_a_space_that_moves_nothing_parts_nothing() -> None:
    assert texts(layer_of([*typed("wo"), (" ", 60, 100, 0), *typed("rd", x=60)])) == ["word"]


def test_generated_spaces_are_not_trusted() -> None:
    chars = [*typed("wo"), (" ", 60, 100, 0.5), *typed("rd", x=60.5)]
    assert texts(layer_of(chars, flags=[0, 0, 1, 0, 0])) == ["word"]


def test_letter_spaced_words_are_joined_and_their_gaps_kept() -> None:
    chars = [(c, 50 + 9 * k, 100.0, 5.0) for k, c in enumerate("TOTAL")]
    chars += [(c, 50 + 9 * 5 + 8 + 9 * k, 100.0, 5.0) for k, c in enumerate("SUM X")]
    assert texts(layer_of(chars))[0] == "TOTAL"


def test_a_list_of_letters_is_not_a_letter_spaced_word() -> None:
    chars = [(c, 50 + 9 * k, 100.0, 5.0) for k, c in enumerate("ABCDE")]
    assert texts(layer_of(chars)) == list("ABCDE")


def test_ligatures_are_folded_and_superscripts_left() -> None:
    assert texts(layer_of(typed("e\ufb03cient 5m\u00b2"))) == ["efficient", "5m\u00b2"]


@pytest.mark.parametrize(
    ("before", "letters", "width", "after"),
    [("o", "ff", 6.0, "ice"), ("o", "ffi", 8.3, "ce"), ("con", "fi", 5.5, "rm"), ("af", "ter", 9.0, "!")],
)
def test_a_glyph_of_several_letters_is_divided_among_them(before: str, letters: str, width: float, after: str) -> None:
    start = 50 + 5 * len(before)
    chars = typed(before) + [(c, start, 100.0, width) for c in letters] + typed(after, x=start + width)
    layer = layer_of(chars)
    words = text_layer.words(FACTS, layer).words
    assert [w.text for w in words] == [before + letters + after]
    assert words[0].box[2] == pytest.approx(start + width + 5 * len(after))


@pytest.mark.parametrize("angle", [90, 180, 270])
def test_a_turned_ligature_is_divided_along_its_line(angle: int) -> None:
    steps = [(0.0, 5.0), (5.0, 11.0), (5.0, 11.0), (11.0, 16.0)]
    layer = layer_of([(c, 0.0, 0.0, 0.0) for c in "afft"], angle=angle)
    for k, (a, z) in enumerate(steps):
        low, high = (300 - z, 300 - a) if angle in (180, 270) else (300 + a, 300 + z)
        layer.boxes[k] = (low, 400, high, 412) if angle == 180 else (400, low, 412, high)
    assert texts(layer) == ["afft"]


def test_letters_printed_twice_on_the_very_spot_stay_one() -> None:
    assert texts(layer_of([char for char in typed("mafia") for _ in range(2)])) == ["mafia"]


@pytest.mark.parametrize("doubled", ["each", "whole"])
def test_fake_bold_is_read_once_and_bold(doubled: str) -> None:
    once = typed("Bold")
    again = [(c, x + 0.4, y, w) for c, x, y, w in once]
    chars = [c for pair in zip(once, again, strict=True) for c in pair] if doubled == "each" else [*once, *again]
    words = text_layer.words(FACTS, layer_of(chars)).words
    assert [(w.text, w.bold) for w in words] == [("Bold", True)]


def test_double_letters_are_no_overprint() -> None:
    assert texts(layer_of(typed("balloon"))) == ["balloon"]


def test_the_visible_copy_survives_its_invisible_twin() -> None:
    words = text_layer.words(FACTS, layer_of(typed("text") + typed("text"), flags=[4] * 4 + [0] * 4)).words
    assert [(w.text, w.ocr) for w in words] == [("text", False)]


def test_invisible_words_are_marked_and_as_sure_as_the_page_is_plausible() -> None:
    facts = PageFacts(width=600, height=800, plausibility=0.7)
    (word,) = text_layer.words(facts, layer_of(typed("scan"), flags=[4] * 4)).words
    assert word.ocr
    assert word.confidence == pytest.approx(0.7)


def test_accents_drawn_over_letters_become_letters() -> None:
    chars = [("f", 50.0, 100.0, 5.0), ("\u00a8", 55.0, 100.0, 5.0), ("u", 55.0, 100.0, 5.0), ("r", 60.0, 100.0, 5.0)]
    assert texts(layer_of(chars)) == ["für"]


def test_combining_marks_stay_with_their_letter() -> None:
    chars = [("e", 50.0, 100.0, 5.0), ("\u0301", 50.0, 100.0, 5.0), ("t", 55.0, 100.0, 5.0)]
    assert texts(layer_of(chars)) == ["ét"]


def test_a_soft_hyphen_ends_a_word_and_is_a_plain_one_inside() -> None:
    assert texts(layer_of(typed("exam\u00ad") + typed("ple", y=112))) == ["exam\u00ad", "ple"]
    assert texts(layer_of(typed("2008\u00ad2009"))) == ["2008-2009"]


def test_right_to_left_words_keep_logical_order() -> None:
    shalom = "\u05e9\u05dc\u05d5\u05dd"
    chars = [(c, 200 - 5 * k, 100.0, 5.0) for k, c in enumerate(shalom)]
    assert texts(layer_of(chars)) == [shalom]


@pytest.mark.parametrize(("angle", "step"), [(90, (0, 5)), (180, (-5, 0)), (270, (0, -5))])
def test_turned_words_know_their_angle(angle: int, step: tuple[int, int]) -> None:
    layer = layer_of([(c, 300.0, 300.0, 5.0) for c in "turned"], angle=angle)
    for k in range(6):
        layer.boxes[k] += np.array([step[0] * k, step[1] * k] * 2, dtype=np.float32)
        layer.boxes[k][2:] = layer.boxes[k][:2] + (np.array([12, 5]) if angle % 180 else np.array([5, 12]))
    words = text_layer.words(FACTS, layer).words
    assert [(w.text, w.angle) for w in words] == [("turned", angle)]


def test_surrogate_halves_make_one_character() -> None:
    layer = layer_of(typed("xy"))
    layer.codes[:] = (0xD83D, 0xDE00)
    assert texts(layer) == ["\U0001f600"]


def test_text_outside_the_page_is_not_read() -> None:
    assert texts(layer_of(typed("seen") + typed("hidden", x=5000))) == ["seen"]


def test_unmapped_glyphs_show_and_cost_confidence() -> None:
    layer = layer_of(typed("abcd"), flags=[0, 0, 8, 8])
    layer.codes[2:] = 0
    (word,) = text_layer.words(FACTS, layer).words
    assert word.text == "ab\ufffd\ufffd"
    assert word.confidence == pytest.approx(0.5)


def test_odd_numbers_are_survived() -> None:
    layer = layer_of(typed("odd numbers"))
    layer.boxes[0] = math.nan
    layer.boxes[4] = (math.inf, -math.inf, 1e38, -1e38)
    layer.sizes[:] = (0, math.nan, math.inf, -1, 1e30, 1e-30, 10, 10, 10, 10, 10)
    assert "numbers"[-3:] in "".join(texts(layer))


def test_an_empty_layer_has_no_words() -> None:
    assert texts(layer_of([])) == []
