"""Delays: what is late as always says nothing, what is later than usual is told."""

from __future__ import annotations

import pytest

from docfleet.engines.documentai.delays import SMALLEST, Delays


def test_a_steady_delay_is_no_lateness() -> None:
    delays = Delays()
    assert [delays.late_by(0.4) for _ in range(50)] == [0.0] * 50


def test_one_that_is_later_than_the_others_is_told_by_how_much() -> None:
    delays = Delays()
    for _ in range(10):
        delays.late_by(0.01)
    assert delays.late_by(0.31) == pytest.approx(0.30, abs=0.005)
    assert delays.late_by(0.01) == 0.0


def test_what_changes_for_good_becomes_the_usual() -> None:
    delays = Delays()
    delays.late_by(0.0)
    told = [delays.late_by(0.1) for _ in range(200)]
    assert told[0] == pytest.approx(0.1)
    assert told[-1] == 0.0
    assert all(one == 0.0 or one > SMALLEST for one in told)
