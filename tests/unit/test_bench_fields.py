"""How the benchmark of fields counts."""

from __future__ import annotations

import pytest
from bench.fields import amount, day, judge, judge_pairs
from bench.tables import Score


@pytest.mark.parametrize(
    ("text", "number"), [("RM 9.00", "9"), ("1,234.50", "1234.5"), ("-3.10", "-3.1"), ("none", "none"), ("100", "100")]
)
def test_sums_are_numbers(text: str, number: str) -> None:
    assert amount(text) == number


@pytest.mark.parametrize(
    ("text", "iso"),
    [
        ("25/12/2018", "2018-12-25"),
        ("01-02-18", "2018-02-01"),
        ("2018-02-01", "2018-02-01"),
        ("40.1.2018", "40.1.2018"),
    ],
)
def test_dates_are_days(text: str, iso: str) -> None:
    assert day(text) == iso


def test_only_what_the_truth_knows_counts() -> None:
    true = {"total_amount": "9.00", "receipt_date": "25/12/2018", "supplier_name": "A. B. Ltd"}
    found = {"total_amount": "9", "receipt_date": "2018-12-24", "currency": "MYR"}
    score, wrong = judge(true, found)
    assert score == Score(1, 2, 3)
    assert {name for name, _, _ in wrong} == {"receipt_date", "supplier_name"}
    assert judge({"supplier_name": "A. B. Ltd"}, {"supplier_name": "a.b. LTD"})[0] == Score(1, 1, 1)


def test_pairs_may_be_misread_but_not_mismatched_or_counted_twice() -> None:
    true = [("Date:", "March 14, 1995"), ("Name:", "R. Miller")]
    assert judge_pairs(true, [("Date", "March 14. 1996"), ("Name", "R. Miller")]) == Score(2, 2, 2)
    assert judge_pairs(true, [("Date", "R. Miller")]) == Score(0, 1, 2)
    assert judge_pairs(true, [("Name", "R. Miller"), ("Name", "R. Miller")]) == Score(1, 2, 2)
    assert judge_pairs([], [("Name", "x")]) == Score(0, 1, 0)
