"""The ledger's protocol under a crash at every step, by seeds; `make chaos` runs a hundred thousand of them."""

from __future__ import annotations

import pytest

from chaos.model_ledger import ModelLedger
from chaos.real_ledger import RealLedger
from chaos.simulation import Faults, World


def run_model(seed: int, faults: Faults, fencing: bool = True) -> World:
    return World(ModelLedger(fencing=fencing), seed, faults).run()


@pytest.mark.parametrize("first", range(0, 400, 50))
def test_nothing_is_lost_stuck_or_done_twice(first: int) -> None:
    for seed in range(first, first + 50):
        world = run_model(seed, Faults(two_leaders=seed % 4 == 0))
        assert world.violations == [], f"seed {seed}"


def test_the_storm_is_one() -> None:
    worlds = [run_model(seed, Faults()) for seed in range(40)]
    assert sum(world.kills for world in worlds) > 400
    assert sum(world.refused for world in worlds) > 0, "no stale write was ever tried"


def test_without_fencing_it_turns_red() -> None:
    faults = Faults(pause=0.05)
    red = [seed for seed in range(150) if run_model(seed, faults, fencing=False).violations]
    assert red, "no seed noticed that anybody may write"
    assert all(not run_model(seed, faults).violations for seed in red)


def test_without_repair_it_turns_red() -> None:
    red = [seed for seed in range(12) if run_model(seed, Faults(repair=False)).violations]
    assert len(red) >= 4, "lost hints and lapsed leases went unnoticed"


def test_equal_seeds_are_equal_runs() -> None:
    first, second = (run_model(7, Faults()).book.changes() for _ in range(2))
    assert first == second


def run_real(seed: int, faults: Faults, fencing: bool = True, limit_seconds: float = 600.0) -> World:
    """The same run over the real ledger on SQLite, in some thousand times the model's time."""
    book = RealLedger(fencing)
    try:
        return World(book, seed, faults, documents=4).run(limit_seconds)
    finally:
        book.close()


@pytest.mark.parametrize("seed", range(2))
def test_the_real_ledger_loses_nothing_either(seed: int) -> None:
    assert run_real(seed, Faults(storm_seconds=25.0, two_leaders=seed % 4 == 0)).violations == []


@pytest.mark.slow
def test_the_real_ledger_without_repair_turns_red() -> None:
    faults = Faults(storm_seconds=25.0, repair=False)
    assert any(run_real(seed, faults, limit_seconds=150.0).violations for seed in range(3))


@pytest.mark.slow
def test_the_real_ledger_without_fencing_turns_red() -> None:
    faults = Faults(pause=0.05, storm_seconds=40.0, kill=0.0, redis=False)
    assert any(run_real(seed, faults, fencing=False, limit_seconds=150.0).violations for seed in range(12))
