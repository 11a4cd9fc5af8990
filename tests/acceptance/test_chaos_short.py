"""The short form of `make chaos`: a real fleet, a minute of storm, and the auditor; and that the auditor is awake."""

from __future__ import annotations

from chaos.trial import Verdict, Wish, as_table, run_trial

STORM = frozenset(
    {"slot killed", "sandbox killed", "worker killed", "dispatcher killed", "Redis emptied", "hints tenfold"}
)


def told(verdict: Verdict) -> str:
    return "\n".join([*map(str, verdict.violations), as_table(verdict)])


def test_a_storm_loses_nothing() -> None:
    """Times are not judged here: other tests may use the cores at the same time. `make chaos` judges them."""
    verdict = run_trial(Wish(documents=300, poison=2, seconds=45, seed=11, kinds=STORM, every_seconds=3.0))
    assert [item for item in verdict.violations if item.invariant != "I9"] == [], told(verdict)
    assert sum(item.count for item in verdict.recoveries) >= 8, told(verdict)


def test_without_its_repair_the_service_turns_red() -> None:
    wish = Wish(
        documents=80, poison=0, seconds=15, drain_seconds=15, seed=5, repair=False, every_seconds=2.0,
        kinds=frozenset({"worker killed", "Redis emptied"}),
    )  # fmt: skip
    assert any(item.invariant == "I3" for item in run_trial(wish).violations)
