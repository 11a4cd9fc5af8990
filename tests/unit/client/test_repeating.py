"""When and how long a client repeats itself."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docfleet.client.repeating import RepeatPolicy, Trouble, may_repeat, retry_after

NOW = datetime(2026, 3, 14, 9, 0, 0, tzinfo=UTC)


@given(
    attempts=st.integers(1, 1000),
    elapsed=st.floats(0, 1000),
    asked=st.none() | st.floats(0, 1000),
    jitter=st.floats(0, 1),
)
def test_pauses_are_bounded_and_never_shorter_than_asked(
    attempts: int, elapsed: float, asked: float | None, jitter: float
) -> None:
    policy = RepeatPolicy()
    pause = policy.pause(attempts, elapsed, asked, jitter)
    if pause is None:
        assert elapsed + (asked or 0) + policy.longest_seconds > policy.total_seconds
    else:
        assert (asked or 0) <= pause <= (asked or 0) + policy.longest_seconds
        assert elapsed + pause <= policy.total_seconds


def test_pauses_grow() -> None:
    policy = RepeatPolicy(total_seconds=1000)
    pauses = [policy.pause(attempts, 0, None, 1.0) for attempts in range(1, 9)]
    assert pauses == [0.5, 1, 2, 4, 8, 15, 15, 15]
    assert RepeatPolicy(total_seconds=0).pause(1, 0.1, None, 0.5) is None
    assert policy.shortened(3).total_seconds == 3
    assert policy.shortened(None) is policy.shortened(5000) is policy


@pytest.mark.parametrize(
    ("trouble", "repeatable", "other"),
    [
        (Trouble.NOT_SENT, True, True), (429, True, True), (Trouble.LOST, True, False), (502, True, False),
        (503, True, False), (504, True, False), (500, False, False), (409, False, False), (400, False, False),
    ],
)  # fmt: skip
def test_what_may_be_repeated(trouble: Trouble | int, repeatable: bool, other: bool) -> None:
    assert may_repeat(trouble, repeatable=True) is repeatable
    assert may_repeat(trouble, repeatable=False) is other


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None), ("", None), ("7", 7.0), ("Sat, 14 Mar 2026 09:00:30 GMT", 30.0),
        ("Sat, 14 Mar 2026 08:00:00 GMT", 0.0), ("soon", None), ("-1", None),
    ],
)  # fmt: skip
def test_retry_after(value: str | None, seconds: float | None) -> None:
    assert retry_after(value, NOW) == seconds
