"""Workers that come, are seen and go, and whom their deaths are blamed on; on every database the ledger runs on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from docfleet.domain.retry import Action
from docfleet.domain.work import DocumentState, Step
from docfleet.ledger import Claim, Ledger, NewSlice, Plan
from docfleet.ledger.service_values import WorkerFacts
from ledger_driver import audit, pass_time, read
from service_driver import document_row, submit


@pytest.fixture
def ledger(address: str | Path) -> Iterator[Ledger]:
    with Ledger.open(address, jitter=lambda: 0.0) as opened:
        yield opened
        audit(opened)


def facts(name: str, slots: int = 2, pool: str = "pdf") -> WorkerFacts:
    return WorkerFacts(name, "host", pool, "here", slots, "1")


def run_sql(ledger: Ledger, statement: str) -> None:
    with ledger.unit_of_work() as session:
        session.execute(text(statement))


def claim_one(ledger: Ledger, worker: str) -> Claim:
    [claim] = ledger.claim_next(worker, ["pdf"])
    return claim


def kill(ledger: Ledger, serial: int, cause: str = "worker_died") -> tuple[Claim, Action, bool]:
    """A slot takes the next slice and dies; the claim, what is done, and whether in isolation from then on."""
    claim = claim_one(ledger, f"w/0-{serial}")
    [ended] = ledger.release_worker(f"w/0-{serial}", crashed=True, cause=cause)
    return claim, ended.decision.action, ended.decision.isolated


def storm(ledger: Ledger, deaths: int) -> None:
    """So many slots died a moment ago under slices that were read well later."""
    ledger.announce(facts("w"))
    for n in range(deaths):
        submit(ledger, f"innocent {n}")
        kill(ledger, 1000 + n)
        claim = claim_one(ledger, f"w/1-{n}")
        ledger.finish_in_one(claim, Plan(1), read(1, 1), "k")
    run_sql(ledger, "UPDATE worker SET started_at = started_at - 100")


def test_workers_are_seen_until_they_end(ledger: Ledger) -> None:
    ledger.announce(facts("one"))
    ledger.announce(facts("two", pool="pdf,image"))
    ledger.see_worker("one", "direct")
    one, _ = ledger.workers()
    assert (one.name, one.mode, one.slots, one.ended_at) == ("one", "direct", 2, None)
    assert one.started_at <= one.seen_at
    ledger.end_worker("two", "stopped")
    assert [(view.name, view.cause) for view in ledger.workers("image")] == [("two", "stopped")]
    assert ledger.workers("image")[0].ended_at is not None
    ledger.see_worker("two", "broker")
    assert ledger.workers("image")[0].mode == ""
    run_sql(ledger, "UPDATE worker SET seen_at = seen_at - 700 WHERE name = 'one'")
    assert [view.name for view in ledger.workers()] == ["two"]


def test_in_a_calm_fleet_three_deaths_are_enough(ledger: Ledger) -> None:
    document = submit(ledger)
    ledger.announce(facts("w"))
    assert [kill(ledger, 1)[1:], kill(ledger, 2)[1:]] == [(Action.RETRY, False), (Action.RETRY, True)]
    assert ledger.claim_next("w/0-9", ["pdf"]) == [], "a suspect waits a little"
    pass_time(ledger, 5)
    claim, action, _ = kill(ledger, 3)
    assert (claim.isolated, action) == (True, Action.DEAD)
    row = document_row(ledger, document)
    assert (row.state, row.code) == (DocumentState.FAILED, "worker_died")


def test_in_a_storm_three_deaths_are_not(ledger: Ledger) -> None:
    storm(ledger, deaths=12)
    document = submit(ledger, "unlucky")
    for n in range(6):
        claim = claim_one(ledger, f"w/0-{n}")
        run_sql(ledger, f"UPDATE slice SET started_at = started_at - 4 WHERE id = {claim.slice_id}")
        [ended] = ledger.release_worker(f"w/0-{n}", crashed=True)
        assert (ended.decision.action, ended.decision.isolated) == (Action.RETRY, False)
        pass_time(ledger, 10)
    claim = claim_one(ledger, "w/0-99")
    assert ledger.finish_in_one(claim, Plan(1), read(1, 1), "k") is DocumentState.SUCCEEDED
    assert document_row(ledger, document).state is DocumentState.SUCCEEDED
    with ledger.reading() as session:
        assert session.execute(text("SELECT count(*) FROM death WHERE innocent")).scalar() == 18


def test_poison_dies_in_a_storm_too(ledger: Ledger) -> None:
    storm(ledger, deaths=12)
    document = submit(ledger, "poison")
    for n in range(15):
        _, action, _ = kill(ledger, n)
        if action is Action.DEAD:
            break
        pass_time(ledger, 10)
    assert 3 <= n + 1 <= 9
    assert document_row(ledger, document).state is DocumentState.FAILED


def test_an_end_that_was_seen_to_counts_even_in_a_storm_and_names_its_cause(ledger: Ledger) -> None:
    storm(ledger, deaths=12)
    document = submit(ledger)
    for n in range(3):
        pass_time(ledger, 10)
        _, action, _ = kill(ledger, n, cause="out_of_memory")
    assert action is Action.DEAD
    assert document_row(ledger, document).code == "out_of_memory"


def test_a_slot_that_was_stopped_blames_nobody(ledger: Ledger) -> None:
    submit(ledger)
    for n in range(5):
        claim_one(ledger, f"w/{n}")
        [ended] = ledger.release_worker(f"w/{n}", crashed=False, cause="stopped")
        assert ended.decision.counters.waits == n + 1
    with ledger.reading() as session:
        assert session.execute(text("SELECT count(*) FROM death")).scalar() == 0


def test_a_lapse_of_a_silent_supervisor_is_a_loss_at_once(ledger: Ledger) -> None:
    submit(ledger)
    ledger.announce(facts("w"))
    claim_one(ledger, "w/0-1")
    pass_time(ledger, 15.2)
    assert ledger.expire_leases() == [], "it was seen a moment ago, so its slot may have died alone"
    run_sql(ledger, "UPDATE worker SET seen_at = seen_at - 15")
    [ended] = ledger.expire_leases()
    assert (ended.decision.counters.losses, ended.decision.counters.crashes) == (1, 0)


def test_a_lapse_under_a_living_supervisor_is_a_crash(ledger: Ledger) -> None:
    submit(ledger)
    ledger.announce(facts("w"))
    claim_one(ledger, "w/0-1")
    pass_time(ledger, 20)
    ledger.see_worker("w", "broker")
    [ended] = ledger.expire_leases()
    assert (ended.decision.counters.losses, ended.decision.counters.crashes) == (0, 1)


def test_a_slice_that_is_there_whenever_a_host_dies_is_found_out(ledger: Ledger) -> None:
    document = submit(ledger)
    for n in range(12):
        claim_one(ledger, f"host-{n}/0-1")
        pass_time(ledger, 20)
        [ended] = ledger.expire_leases()
        pass_time(ledger, 10)
        if ended.decision.action is Action.DEAD:
            break
    assert (ended.decision.counters.losses, ended.decision.counters.crashes) == (6, 3)
    assert document_row(ledger, document).code == "worker_died"


def test_pages_cut_from_a_suspect_inherit_the_suspicion_and_its_deaths_count_once(ledger: Ledger) -> None:
    submit(ledger)
    ledger.announce(facts("w"))
    claim = claim_one(ledger, "w/p")
    ledger.finish(claim, next_slices=[NewSlice(Step.LOCAL, 1, 3)], plan=Plan(3))
    kill(ledger, 1)
    kill(ledger, 2)
    pass_time(ledger, 10)
    states = []
    for n, poison in enumerate((False, True, False)):
        claim = claim_one(ledger, f"w/i-{n}")
        assert (claim.isolated, claim.crash_count, claim.first_page) == (True, 2, claim.last_page)
        if poison:
            [ended] = ledger.release_worker(f"w/i-{n}", crashed=True)
            assert ended.decision.action is Action.DEAD
        else:
            states.append(ledger.finish(claim, "k", read(claim.first_page, claim.first_page)))
    assert states[-1] is DocumentState.ASSEMBLING
    with ledger.reading() as session:
        counted = session.execute(text("SELECT count(*), count(DISTINCT worker) FROM death WHERE innocent")).one()
    assert tuple(counted) == (4, 2)
    ledger.finish_document(claim_one(ledger, "w/a"))


def test_a_verdict_waits_while_the_fate_of_others_is_open(ledger: Ledger) -> None:
    """The first seconds of a storm: several slices died, none has ended yet."""
    ledger.announce(facts("w"))
    run_sql(ledger, "UPDATE worker SET started_at = started_at - 100")
    first, second = submit(ledger, "unlucky"), submit(ledger, "as unlucky")
    for n in range(2):
        claims = [claim_one(ledger, f"w/0-{n}"), claim_one(ledger, f"w/1-{n}")]
        ids = ", ".join(str(claim.slice_id) for claim in claims)
        run_sql(ledger, f"UPDATE slice SET started_at = started_at - 2 WHERE id IN ({ids})")
        for slot in (0, 1):
            ledger.release_worker(f"w/{slot}-{n}", crashed=True)
        pass_time(ledger, 10)
    claim = claim_one(ledger, "w/0-2")
    run_sql(ledger, f"UPDATE slice SET started_at = started_at - 2 WHERE id = {claim.slice_id}")
    [ended] = ledger.release_worker("w/0-2", crashed=True)
    assert (ended.decision.action, ended.decision.isolated, ended.decision.counters.crashes) == (Action.RETRY, True, 3)
    # a minute after its first death nothing has spoken for it
    run_sql(ledger, "UPDATE death SET at = at - 61")
    pass_time(ledger, 10)
    assert [kill(ledger, 3)[1], kill(ledger, 4)[1]] == [Action.DEAD, Action.DEAD]
    assert {document_row(ledger, one).state for one in (first, second)} == {DocumentState.FAILED}


def test_slots_killed_while_they_were_free_tell_of_a_storm(ledger: Ledger) -> None:
    ledger.announce(facts("w"))
    submit(ledger, "unlucky")
    for n in range(6):
        assert ledger.release_worker(f"w/1-{n}", crashed=True, working_on=()) == []
    for n in range(3):
        claim = claim_one(ledger, f"w/0-{n}")
        run_sql(ledger, f"UPDATE slice SET started_at = started_at - 2 WHERE id = {claim.slice_id}")
        [ended] = ledger.release_worker(f"w/0-{n}", crashed=True)
        assert (ended.decision.action, ended.decision.isolated) == (Action.RETRY, False)
        pass_time(ledger, 10)
    ledger.finish_in_one(claim_one(ledger, "w/0-9"), Plan(1), read(1, 1), "k")
