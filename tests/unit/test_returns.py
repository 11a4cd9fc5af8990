"""The return on a month of documents, against figures worked out by hand."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docfleet.domain.returns import MOST_DOCUMENTS, Assumptions, break_even, by_minutes, compare

amounts = st.floats(0, 1e6, allow_nan=False)


def test_the_reference_case() -> None:
    told = compare(Assumptions(standing_usd=200.0, each_usd=0.01))
    assert (told.by_hand_usd, told.here_usd) == (5000.0, 300.0)
    assert told.per_document_usd == pytest.approx(0.03)
    assert told.saved_usd == 4700.0
    assert told.return_on_cost == pytest.approx(4700 / 300)
    # 200 dollars that stand, 49 cents saved with each: the 409th document pays
    assert told.break_even_documents == 409


def test_by_the_time_it_takes() -> None:
    assert by_minutes(1.5, 20.0) == pytest.approx(0.5)


def test_what_never_pays_and_what_costs_nothing() -> None:
    dearer = compare(Assumptions(100, 0.01, 10.0, 0.02))
    assert dearer.break_even_documents is None
    assert dearer.saved_usd < 0
    free = compare(Assumptions(0, 0.5, 0.0, 0.0))
    assert (free.per_document_usd, free.return_on_cost) == (None, None)


def test_where_both_cost_the_same_it_breaks_even() -> None:
    assert break_even(200.0, 0.0, 0.5) == 400
    assert break_even(200.0, 0.0, 0.1 + 0.2 + 0.2) == 400, "the last bits of a price decide nothing"
    assert break_even(0.0, 0.01, 0.5) == 0
    assert break_even(200.0, 0.5, 0.5) is None


@pytest.mark.parametrize("wrong", [-1.0, math.nan, math.inf])
def test_nonsense_is_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match="from 0 on"):
        compare(Assumptions(10, wrong))


@given(st.integers(0, 10**6), amounts, amounts, amounts)
def test_from_the_break_even_on_it_is_cheaper_here(documents: int, hand: float, standing: float, each: float) -> None:
    even = compare(Assumptions(documents, hand, standing, each)).break_even_documents
    if even is None:
        assert (hand - each) * MOST_DOCUMENTS <= standing, "a volume that nobody has"
        return
    if even > 10**9:
        return  # beyond what floats tell apart
    assert compare(Assumptions(even, hand, standing, each)).saved_usd >= -1e-6 * (1 + even * hand)
    before = max(0, even - 1)
    assert compare(Assumptions(before, hand, standing, each)).saved_usd <= 1e-6 * (1 + even * hand)
