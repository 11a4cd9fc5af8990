"""Who is to blame when workers die: judged on numbers alone, and on a simulated fleet under fire."""

from __future__ import annotations

import heapq
import random
from collections import defaultdict
from itertools import count

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from docfleet.domain.retry import (
    Action,
    Counters,
    Evidence,
    Failure,
    FailureKind,
    Hazard,
    RetryPolicy,
    evidence_of,
)
from docfleet.ledger.deaths import SPANS

CRASH = Failure(FailureKind.CRASH, "worker_died")
POLICY = RetryPolicy()
SECONDS = st.floats(0, 900)


HAZARD = st.builds(Hazard, st.integers(0, 50), st.floats(0, 6000))


@given(st.lists(SECONDS, min_size=1, max_size=12), st.floats(0, 900), HAZARD)
def test_evidence_grows_with_deaths_that_come_quickly_and_shrinks_with_the_hazard(
    deaths: list[float], more: float, hazard: Hazard
) -> None:
    evidence = evidence_of(deaths, [hazard])
    assert evidence_of([*deaths, min(deaths)]) > evidence_of(deaths) > 0
    assert evidence_of([seconds + more for seconds in deaths], [hazard]) <= evidence + 1e-9
    for worse in (
        msgspec.structs.replace(hazard, deaths=hazard.deaths + 1),
        msgspec.structs.replace(hazard, slot_seconds=hazard.slot_seconds / 2),
    ):
        assert evidence_of(deaths, [worse]) <= evidence + 1e-9
        assert evidence_of(deaths, [hazard, worse]) == evidence_of(deaths, [worse])


def test_no_death_is_no_evidence() -> None:
    assert evidence_of([], [Hazard(1, 1.0)]) == 0.0


@given(st.lists(SECONDS, min_size=3, max_size=3))
def test_in_a_calm_fleet_the_second_crash_isolates_and_the_third_kills(deaths: list[float]) -> None:
    counters, isolated = Counters(), False
    actions = []
    for n in (1, 2, 3):
        known = evidence_of(deaths[:n], [Hazard(0, 1000.0)])
        decision = POLICY.decide(CRASH, counters, 0.0, isolated, Evidence(known, known, 1.0))
        counters, isolated = decision.counters, decision.isolated
        actions.append((decision.action, decision.isolated))
    assert actions == [(Action.RETRY, False), (Action.RETRY, True), (Action.DEAD, True)]


def test_what_was_seen_to_end_an_attempt_needs_no_calm() -> None:
    storm = [Hazard(100, 200.0)]
    assert evidence_of([], storm, certain=3) >= POLICY.convicting_evidence
    assert evidence_of([5.0, 5.0], storm, certain=1) < POLICY.convicting_evidence


def test_evidence_does_not_change_what_is_certain() -> None:
    """Without a hazard (on one machine, by the batch) every crash counts in full and is tried again at once."""
    decision = POLICY.decide(CRASH, Counters(crashes=2), 0.0, True)
    assert (decision.action, decision.delay_seconds) == (Action.DEAD, 0.0)
    assert POLICY.decide(CRASH, Counters(crashes=1), 0.0).delay_seconds == 0.0


EVIDENCE = st.builds(Evidence, st.floats(0, 50), st.floats(0, 50), st.floats(0, 200))


@given(EVIDENCE, st.integers(0, 12), st.booleans())
def test_open_fates_of_others_put_off_the_verdict_and_no_longer_than_a_minute(
    evidence: Evidence, crashes: int, isolated: bool
) -> None:
    decision = POLICY.decide(CRASH, Counters(crashes=crashes), 0.0, isolated, evidence)
    enough = crashes + 1 >= POLICY.max_crashes and evidence.known >= POLICY.convicting_evidence
    doubt = evidence.cautious < POLICY.convicting_evidence and evidence.age_seconds < POLICY.doubt_seconds
    assert (decision.action is Action.DEAD) == (enough and not doubt)
    assert 0.0 <= decision.delay_seconds <= POLICY.suspect_limit_seconds
    if enough and doubt:
        assert decision.isolated
        assert decision.delay_seconds >= POLICY.suspect_seconds


class Fleet(msgspec.Struct):
    """A fleet of slots in virtual time, of which one is killed now and then; the decisions are the real ones."""

    seconds_of: list[float]
    """How long each slice takes."""
    poison: dict[int, float]
    """Slice -> after how many seconds it kills its slot."""
    kill_every: float
    slots: int = 2
    restart_seconds: float = 0.7
    until: float = 1e9
    """When the killing ends."""


class Outcome(msgspec.Struct):
    dead: dict[int, int]
    """Slice -> crashes when it was given up."""
    crashes: int
    """Of slices that were read."""
    last_death: float = 0.0
    """When the last slice was given up."""


def run(fleet: Fleet, seed: int) -> Outcome:
    chance, serial = random.Random(seed), count()
    events: list[tuple[float, int, str, int, int]] = []
    waiting = [(0.0, i) for i in range(len(fleet.seconds_of))]
    counters = [Counters()] * len(waiting)
    isolated: set[int] = set()
    deaths: dict[int, list[tuple[float, float]]] = defaultdict(list)
    innocent: list[float] = []
    busy: dict[int, tuple[int, float, int]] = {}
    undecided: dict[int, list[float]] = defaultdict(list)
    epoch = [0] * fleet.slots
    left = len(waiting)
    outcome = Outcome({}, 0)

    def plan(at: float, what: str, slot: int = -1) -> None:
        heapq.heappush(events, (at, next(serial), what, slot, epoch[slot] if slot >= 0 else 0))

    def take(slot: int, now: float) -> None:
        lane_taken = any(index in isolated for index, _, _ in busy.values())
        skipped = []
        while waiting and waiting[0][0] <= now:
            index = heapq.heappop(waiting)[1]
            if index in isolated and lane_taken:
                skipped.append((now, index))
                continue
            busy[slot] = (index, now, epoch[slot])
            plan(now + fleet.poison.get(index, fleet.seconds_of[index]), "over", slot)
            break
        else:
            plan(now + 0.25, "free", slot)
        for item in skipped:
            heapq.heappush(waiting, item)

    def hazards(died_at: list[float], now: float) -> list[Hazard]:
        return [Hazard(sum(at > now - span for at in died_at), fleet.slots * min(span, now)) for span in SPANS]

    def die(slot: int, now: float) -> None:
        nonlocal left
        epoch[slot] += 1
        plan(now + fleet.restart_seconds, "free", slot)
        if slot not in busy:
            if what == "kill":
                innocent.append(now)
            return
        index, began, _ = busy.pop(slot)
        deaths[index].append((now, now - began))
        undecided[index].append(now)
        innocent[:] = [at for at in innocent if at > now - max(SPANS)]
        others = [at for other, own in undecided.items() if other != index for at in own]
        seconds = [each for _, each in deaths[index]]
        known = evidence_of(seconds, hazards(innocent, now))
        cautious = evidence_of(seconds, hazards(innocent + others, now))
        evidence = Evidence(known, cautious, now - deaths[index][0][0])
        decision = POLICY.decide(CRASH, counters[index], 0.0, index in isolated, evidence)
        counters[index] = decision.counters
        if decision.isolated:
            isolated.add(index)
        if decision.action is Action.DEAD:
            outcome.dead[index] = decision.counters.crashes
            outcome.last_death = now
            undecided.pop(index)
            left -= 1
        else:
            heapq.heappush(waiting, (now + decision.delay_seconds if decision.delay_seconds else 0.0, index))

    for slot in range(fleet.slots):
        plan(0.0, "free", slot)
    plan(fleet.kill_every, "kill")
    while left:
        now, _, what, slot, when = heapq.heappop(events)
        if what == "kill":
            if now < fleet.until:
                plan(now + fleet.kill_every, "kill")
                die(chance.randrange(fleet.slots), now)
        elif when != epoch[slot]:
            continue  # of a process that is dead
        elif what == "free":
            take(slot, now)
        elif busy[slot][0] in fleet.poison:
            die(slot, now)
        else:
            index = busy.pop(slot)[0]
            innocent += [at for at, _ in deaths[index]]
            undecided.pop(index, None)
            outcome.crashes += counters[index].crashes
            left -= 1
            take(slot, now)
    return outcome


def test_no_innocent_slice_dies_in_a_storm_and_poison_does() -> None:
    """20,000 slices on two slots of which one is killed every two seconds."""
    chance = random.Random(1)
    seconds = [chance.uniform(0.1, 1.0) for _ in range(20_000)]
    poison = dict.fromkeys(chance.sample(range(20000), 40), 0.05)
    outcome = run(Fleet(seconds, poison, kill_every=2.0), seed=1)
    assert set(outcome.dead) == set(poison)
    assert max(outcome.dead.values()) <= 8
    assert outcome.crashes > 200, "the storm was none"


def test_long_slices_survive_a_storm_that_begins_with_them() -> None:
    """The worst there is: nothing has ended well yet, and most attempts die. But others die as well."""
    for seed in range(25):
        chance = random.Random(seed)
        assert not run(Fleet([chance.uniform(3, 6) for _ in range(20)], {}, kill_every=2.0), seed).dead
        seconds = [chance.uniform(3, 6) for _ in range(60)]
        assert not run(Fleet(seconds, {}, kill_every=0.5, slots=8), seed).dead


@pytest.mark.parametrize("seconds_to_kill", [0.05, 1.0, 10.0])
@pytest.mark.parametrize("slots", [2, 8, 40])
def test_one_poison_in_a_calm_fleet_dies_at_its_third_crash(seconds_to_kill: float, slots: int) -> None:
    chance = random.Random(2)
    seconds = [chance.uniform(0.1, 1.0) for _ in range(100)]
    assert run(Fleet(seconds, {30: seconds_to_kill}, kill_every=1e12, slots=slots), seed=2).dead == {30: 3}


@pytest.mark.parametrize("seconds_to_kill", [0.05, 1.0, 10.0])
@pytest.mark.parametrize("slots", [2, 8, 40])
@pytest.mark.parametrize("sound", [0, 480])
def test_a_batch_of_poisons_is_given_up_soon_after_a_minute(seconds_to_kill: float, slots: int, sound: int) -> None:
    """20 submitted together, alone or among others: each is the others' doubt, and for a minute only."""
    chance = random.Random(2)
    seconds = [chance.uniform(0.1, 1.0) for _ in range(20 + sound)]
    poison = dict.fromkeys(chance.sample(range(len(seconds)), 20), seconds_to_kill)
    outcome = run(Fleet(seconds, poison, kill_every=1e12, slots=slots), seed=2)
    assert set(outcome.dead) == set(poison)
    assert max(outcome.dead.values()) <= 11
    # a minute, what all there is takes, and suspects run one at a time
    turns = sum(seconds) / slots + sum(outcome.dead.values()) * (seconds_to_kill + 0.7)
    assert outcome.last_death <= 60 + turns + 2 * POLICY.suspect_limit_seconds


def test_poison_that_hides_in_a_storm_dies_after_it() -> None:
    seconds = [0.5] * 300
    outcome = run(Fleet(seconds, {7: 3.0}, kill_every=2.0, until=150.0), seed=3)
    assert set(outcome.dead) == {7}
