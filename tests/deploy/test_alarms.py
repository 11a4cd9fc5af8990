"""Every alarm is on when it must be and silent when it must not, by promtool and the rules that are deployed."""

from __future__ import annotations

from pathlib import Path

import pytest

from alarm_cases import WORK
from alarm_cases_engines import ENGINES
from alarm_cases_objectives import OBJECTIVES
from alarm_cases_plumbing import PLUMBING
from monitoring_source import Case, promtool_says

CASES = [*OBJECTIVES, *WORK, *ENGINES, *PLUMBING]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.alert}: {case.what}")
def test_an_alarm(case: Case, tmp_path: Path) -> None:
    assert promtool_says(case, tmp_path) == ""
