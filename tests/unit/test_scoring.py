"""The measures themselves, on cases worked out by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring import (
    box_match_rate,
    character_error_rate,
    common_subsequence,
    edit_distance,
    normalise,
    overlap,
    reading_order,
    table_match,
    word_error_rate,
    word_match,
)


@pytest.mark.parametrize(
    ("truth", "read", "edits"),
    [("", "", 0), ("abc", "", 3), ("", "abc", 3), ("kitten", "sitting", 3), ("flaw", "lawn", 2), ("abc", "abc", 0)],
)
def test_edit_distance(truth: str, read: str, edits: int) -> None:
    assert edit_distance(truth, read) == edits


@pytest.mark.parametrize(
    ("truth", "read", "length"), [("", "abc", 0), ("abcbdab", "bdcaba", 4), ("abc", "abc", 3), ("abc", "cba", 1)]
)
def test_common_subsequence(truth: str, read: str, length: int) -> None:
    assert common_subsequence(truth, read) == length


@given(st.text("ab ", max_size=12), st.text("ab ", max_size=12), st.text("ab ", max_size=12))
def test_edit_distance_is_a_metric(a: str, b: str, c: str) -> None:
    assert edit_distance(a, b) == edit_distance(b, a)
    assert (edit_distance(a, b) == 0) == (a == b)
    assert edit_distance(a, c) <= edit_distance(a, b) + edit_distance(b, c)


@given(st.text("abc", max_size=12), st.text("abc", max_size=12))
def test_edits_and_common_subsequence_bound_each_other(a: str, b: str) -> None:
    common = common_subsequence(a, b)
    assert max(len(a), len(b)) - common <= edit_distance(a, b) <= len(a) + len(b) - 2 * common


def test_normalise_folds_typography_and_keeps_letters() -> None:
    assert normalise("“Größe”  ﬁ–x\n’s") == '"Größe" fi-x \'s'
    assert normalise("Cafe\u0301") == "Café"
    assert normalise("Case.") != normalise("case")


def test_error_rates() -> None:
    assert character_error_rate("abcd efgh", "abcd  efgh") == 0
    assert character_error_rate("abcde", "abxde") == pytest.approx(0.2)
    assert character_error_rate("ab", "") == 1
    assert word_error_rate("one two three four", "one too three") == pytest.approx(0.5)
    assert word_error_rate("one", "one two three") == 2


def test_word_match_ignores_order_and_counts_repeats() -> None:
    assert word_match("a b c", "c a b").f1 == 1
    precision, recall, f1 = word_match("a a b", "a b b b")
    assert precision == pytest.approx(2 / 4)
    assert recall == pytest.approx(2 / 3)
    assert f1 == pytest.approx(2 * (2 / 4) * (2 / 3) / (2 / 4 + 2 / 3))
    assert word_match("a", "").f1 == 0
    assert word_match("", "").f1 == 1
    assert word_match("", "a").f1 == 0


def test_reading_order_sees_columns_read_across() -> None:
    left, right = [f"l{i}" for i in range(20)], [f"r{i}" for i in range(20)]
    down = " ".join(left + right)
    across = " ".join(word for pair in zip(left, right, strict=True) for word in pair)
    assert reading_order(down, down) == 1
    assert reading_order(down, across) == pytest.approx(21 / 40)
    assert reading_order(down, " ".join(right + left)) == pytest.approx(0.5)


def test_reading_order_does_not_punish_misread_words() -> None:
    assert reading_order("a b c d", "a x c d") == 1
    assert reading_order("a b", "x y") == 1


def test_overlap() -> None:
    assert overlap((0, 0, 2, 2), (0, 0, 2, 2)) == 1
    assert overlap((0, 0, 2, 2), (1, 0, 3, 2)) == pytest.approx(1 / 3)
    assert overlap((0, 0, 1, 1), (1, 0, 2, 1)) == 0
    assert overlap((0, 0, 0, 0), (0, 0, 0, 0)) == 0


def test_box_match_rate() -> None:
    here, there = (0.1, 0.1, 0.2, 0.12), (0.5, 0.5, 0.6, 0.52)
    assert box_match_rate([("a", here), ("a", there)], [("a", there), ("a", here)]) == 1
    assert box_match_rate([("a", here), ("b", there)], [("a", there), ("b", here)]) == 0
    assert box_match_rate([("a", here), ("b", there)], [("a", here), ("x", there)]) == 1, "misread is not misplaced"
    assert box_match_rate([("a", here), ("a", here)], [("a", here), ("a", there)]) == 0.5, "no box is used twice"
    shifted = (0.15, 0.1, 0.25, 0.12)
    assert box_match_rate([("a", here)], [("a", shifted)]) == 0
    assert box_match_rate([("a", here)], [("a", shifted)], threshold=0.3) == 1


def test_table_match() -> None:
    table = [["Item", "Qty"], ["Paper, white", "2"], ["Ink", "3"]]
    assert table_match([table], [table]).f1 == 1
    assert table_match([table], []).f1 == 0
    assert table_match([], [table]).precision == 0
    assert table_match([], []).f1 == 1
    # 7 relations: 3 to the right, 4 below; a lost column keeps 2 of those below
    assert table_match([table], [[row[:1] for row in table]]).recall == pytest.approx(2 / 7)
    joined = [["Item Qty"], ["Paper, white 2"], ["Ink 3"]]
    assert table_match([table], [joined]).f1 == 0


def test_table_match_looks_past_blank_cells() -> None:
    assert table_match([[["a", "", "b"]]], [[["a", "b"]]]).f1 == 1
    assert table_match([[["a"], [""], ["b"]]], [[["a"], ["b"]]]).f1 == 1
