"""Figures as people read them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from docfleet.console import figures


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (None, "–"), (0, "0 ms"), (0.4, "400 ms"), (0.9996, "1.0 s"), (1, "1 s"), (1.25, "1.2 s"), (9.94, "9.9 s"),
        (12.3, "12 s"), (59.6, "1 min"), (75, "1 min 15 s"), (3600, "1 h"), (3661, "1 h 1 min"), (200000, "2 d 7 h"),
    ],
)  # fmt: skip
def test_durations(seconds: float | None, said: str) -> None:
    assert figures.duration(seconds) == said


@pytest.mark.parametrize(
    ("usd", "said"),
    [
        (None, "–"), (0, "$0.00"), (0.00004, "$0.000040"), (0.0015, "$0.0015"), (0.5, "$0.50"), (0.999, "$1.00"),
        (1234.5, "$1,234.50"), (-3, "-$3.00"), (-0.5, "-$0.50"),
    ],
)  # fmt: skip
def test_money(usd: float | None, said: str) -> None:
    assert figures.money(usd) == said


@pytest.mark.parametrize(
    ("share", "said"),
    [(None, "–"), (0, "0 %"), (1, "100 %"), (0.99999, "99.9 %"), (0.00001, "0.1 %"), (0.5, "50 %"), (0.987, "98.7 %")],
)
def test_what_is_not_quite_all_is_never_told_as_all(share: float | None, said: str) -> None:
    assert figures.percent(share) == said


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (None, "–"),
        (0, "0"),
        (9999, "9,999"),
        (12345, "12.3 k"),
        (999_999, "1,000 k"),
        (1234567, "1.23 M"),
        (2e9, "2 G"),
    ],
)
def test_short_counts(number: float | None, said: str) -> None:
    assert figures.short_count(number) == said


@pytest.mark.parametrize(("number", "said"), [(None, "–"), (999, "999 B"), (1536, "1.54 kB"), (1e9, "1 GB")])
def test_sizes(number: float | None, said: str) -> None:
    assert figures.size(number) == said


def test_times() -> None:
    now = datetime(2026, 3, 14, 9, 26, 53, tzinfo=UTC)
    assert figures.moment("2026-03-14T10:26:53.589000+01:00") == "2026-03-14 09:26:53"
    assert figures.ago("2026-03-14T09:26:50Z", now) == "3 s ago"
    assert figures.ago("2026-03-14T09:26:52Z", now) == "now"
    assert figures.ago("2026-03-14T12:26:53Z", now) == "in 3 h"
    assert figures.ago("2026-03-12T08:00:00Z", now) == "2 d ago"
    assert figures.ago(None, now) == figures.moment("") == "–"
