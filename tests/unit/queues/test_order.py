"""The order in which queues are asked."""

from __future__ import annotations

from collections import Counter

from kombu.utils.scheduling import cycle_by_name

from docfleet.queues.options import all_queues, queues_of
from docfleet.queues.order import TURN, UrgentFirst

QUEUES = list(queues_of("pdf"))


def take(cycle: UrgentFirst, waiting: Counter[str]) -> str:
    """As Redis does: the first queue asked that holds a hint."""
    chosen = next(name for name in cycle.consume(len(QUEUES)) if waiting[name])
    waiting[chosen] -= 1
    cycle.rotate(chosen)
    return chosen


def test_most_hints_are_taken_by_urgency_and_some_from_the_other_end() -> None:
    cycle = UrgentFirst()
    cycle.update(reversed(QUEUES))
    waiting = Counter(dict.fromkeys(QUEUES, 100))
    taken = Counter(take(cycle, waiting) for _ in range(100))
    assert taken["pdf.critical"] == 100 - 100 // TURN
    assert taken["pdf.bulk"] == 100 // TURN


def test_a_critical_hint_waits_for_one_other_at_most() -> None:
    cycle = UrgentFirst()
    cycle.update(QUEUES)
    waiting = Counter({"pdf.bulk": 100})
    for _ in range(TURN - 1):
        take(cycle, waiting)
    waiting["pdf.critical"] = 1
    assert "pdf.critical" in [take(cycle, waiting), take(cycle, waiting)]


def test_a_queue_is_never_left_out() -> None:
    cycle = UrgentFirst()
    cycle.update(all_queues())
    for _ in range(2 * TURN):
        assert sorted(cycle.consume(len(all_queues()))) == sorted(all_queues())
        cycle.rotate("pdf.bulk")


def test_kombu_finds_it_by_the_name_in_the_settings() -> None:
    assert cycle_by_name("docfleet.queues.order:UrgentFirst") is UrgentFirst
