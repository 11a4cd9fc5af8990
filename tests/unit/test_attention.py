"""What somebody should look at."""

from __future__ import annotations

from msgspec.structs import replace

from docfleet.domain.attention import (
    BudgetState,
    Facts,
    PoolState,
    Severity,
    WaitingClass,
    notices,
)
from docfleet.domain.tallying import Sums

WELL = Facts(
    last_hour=Sums(accepted=1000, succeeded=990, failed=9, broken=1),
    lately=Sums(succeeded=50),
    open_dead_letters=0,
    waiting=[WaitingClass("pdf", "normal", 40, 3.0), WaitingClass("image", "bulk", 9, 1800.0)],
    pools=[PoolState("pdf", 2, 2, 8, 1000.0), PoolState("image", 1, 1, 4, 1000.0)],
    decided_seconds=2.0,
    budgets=[BudgetState("documentai", 50.0, 10.0, 80)],
)


def codes(facts: Facts) -> list[str]:
    return [notice.code for notice in notices(facts)]


def test_a_fleet_that_is_well_needs_nobody() -> None:
    assert notices(WELL) == []
    assert notices(Facts(Sums(), Sums())) == [], "and neither does one of which nothing may be known"


def test_a_dispatcher_that_is_away_is_critical_and_an_idle_pool_of_none_is_not() -> None:
    assert codes(replace(WELL, decided_seconds=61.0)) == ["dispatcher_away"]
    assert codes(replace(WELL, decided_seconds=None)) == ["dispatcher_away"]
    idle = replace(WELL, waiting=[], pools=[PoolState("pdf", 0, 0, 0, 9000.0)])
    assert notices(idle) == []


def test_waiting_work_without_workers_late_or_stuck() -> None:
    assert codes(replace(WELL, pools=[PoolState("pdf", 2, 0, 0, 5.0)])) == ["no_workers"]
    old = [WaitingClass("pdf", "normal", 40, 61.0)]
    assert codes(replace(WELL, waiting=old)) == ["late"]
    assert codes(replace(WELL, waiting=old, lately=Sums())) == ["queue_stuck"]
    old = [WaitingClass("pdf", "bulk", 40, 3599.0)]
    assert codes(replace(WELL, waiting=old)) == [], "bulk may take an hour"
    fresh = [WaitingClass("pdf", "critical", 1, 12.0)]
    assert codes(replace(WELL, waiting=fresh, lately=Sums())) == ["late"], "nothing is stuck after 12 s"


def test_workers_that_do_not_come_are_missed_after_five_minutes() -> None:
    assert codes(replace(WELL, pools=[PoolState("pdf", 5, 2, 8, 299.0)])) == []
    assert codes(replace(WELL, pools=[PoolState("pdf", 5, 2, 8, 301.0)])) == ["workers_missing"]


def test_failures_count_from_a_share_and_a_number_on() -> None:
    assert codes(replace(WELL, last_hour=Sums(succeeded=1, broken=2))) == [], "two of three say nothing yet"
    [few] = notices(replace(WELL, last_hour=Sums(succeeded=997, broken=3)))
    assert (few.code, few.severity) == ("failing", Severity.WARNING)
    [many] = notices(replace(WELL, last_hour=Sums(succeeded=95, broken=5)))
    assert many.severity is Severity.CRITICAL
    assert codes(replace(WELL, last_hour=Sums(failed=90, succeeded=10))) == [], "the documents' own fault"


def test_dead_letters_budgets_and_webhooks() -> None:
    [letters] = notices(replace(WELL, open_dead_letters=3))
    assert (letters.code, letters.severity, letters.page) == ("dead_letters", Severity.WARNING, "dead-letters")
    burst = replace(WELL, open_dead_letters=30, last_hour=Sums(succeeded=99999, dead_letters=10))
    assert notices(burst)[0].severity is Severity.CRITICAL
    for spent, code in ((39.9, []), (40.0, ["budget_warned"]), (50.0, ["budget_exhausted"])):
        assert codes(replace(WELL, budgets=[BudgetState("documentai", 50.0, spent, 80)])) == code
    assert BudgetState("x", 0.0, 0.0, 80).state == "exhausted", "a limit of nothing lets nothing pass"
    assert codes(replace(WELL, disabled_webhooks=["w1"])) == ["webhooks_disabled"]


def test_the_worst_comes_first() -> None:
    facts = replace(WELL, open_dead_letters=1, decided_seconds=99.0, budgets=[BudgetState("a", 1.0, 0.9, 80)])
    assert [notice.severity for notice in notices(facts)] == ["critical", "warning", "warning"]
