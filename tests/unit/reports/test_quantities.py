"""Numbers as a reader wants them."""

from __future__ import annotations

import pytest

from docfleet.reports import quantities as say


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.00 s"),
        (0.424, "0.42 s"),
        (9.994, "9.99 s"),
        (9.996, "10.0 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min"),
        (75, "1 min 15 s"),
        (3599.7, "1 h"),
        (7322, "2 h 2 min"),
        (48 * 3600, "2 d"),
        (49 * 3600 + 60, "2 d 1 h"),
        (-1, "0.00 s"),
    ],
)
def test_duration(seconds: float, text: str) -> None:
    assert say.duration(seconds) == text


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [(1, 3, "33.3 %"), (0, 3, "0 %"), (3, 3, "100 %"), (9_999, 10_000, "99.9 %"), (1, 10**6, "0.1 %"), (0, 0, "–")],
)
def test_a_share_is_round_only_when_exact(part: float, whole: float, text: str) -> None:
    assert say.share(part, whole) == text


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (999_960, "1.0 MB"), (1_234_567, "1.2 MB")]
)
def test_size(number: int, text: str) -> None:
    assert say.size(number) == text


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (0, "$0.00"),
        (0.00001, "< $0.0001"),
        (0.0015, "$0.0015"),
        (0.7, "$0.70"),
        (1.5, "$1.50"),
        (1234.5, "$1,234.50"),
        (-1.5, "−$1.50"),
    ],
)
def test_dollars(amount: float, text: str) -> None:
    assert say.dollars(amount) == text


def test_rates_and_counts() -> None:
    assert [say.rate(value) for value in (0.4213, 12.34, 4567.8)] == ["0.42", "12.3", "4,568"]
    assert say.counted(1, "page") == "1 page"
    assert say.counted(1234, "page") == "1,234 pages"
    assert say.confidence(None) == "–"
    assert say.confidence(0.9712) == "97.1 %"
