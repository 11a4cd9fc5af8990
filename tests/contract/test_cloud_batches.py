"""Batches in the ledger: what waits is parked, whoever moves on has taken it, money ends once; on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import select, text

from docfleet.domain.pricing import PriceBook, Rate
from docfleet.domain.retry import Failure, FailureKind
from docfleet.domain.urgency import Pool
from docfleet.domain.work import Step
from docfleet.errors import Fenced
from docfleet.ledger import Claim, Ledger, NewSlice, Plan
from docfleet.ledger.batch_rows import CLOUD_FILE, FileState
from docfleet.ledger.batch_sweeping import BatchSweeping
from docfleet.ledger.budgets import Budgets
from docfleet.ledger.cloud_batches import CloudBatches
from docfleet.ledger.money_rows import RESERVATION
from docfleet.ledger.money_values import Ask, Reservation
from ledger_driver import audit
from service_driver import submit

HOUR = 3600.0


@pytest.fixture
def ledger(address: str | Path) -> Iterator[Ledger]:
    with Ledger.open(address, jitter=lambda: 0.0) as opened:
        yield opened
        audit(opened)


@pytest.fixture
def batches(ledger: Ledger) -> CloudBatches:
    return CloudBatches(ledger)


@pytest.fixture
def sweeping(batches: CloudBatches) -> BatchSweeping:
    return BatchSweeping(batches)


def claimed(ledger: Ledger, slices: int) -> list[Claim]:
    submit(ledger)
    [plan] = ledger.claim_next("slot", [Pool.PDF])
    ledger.finish(plan, next_slices=[NewSlice(Step.CLOUD, n, n) for n in range(1, slices + 1)], plan=Plan(slices))
    return ledger.claim_next("cloud", [Pool.CLOUD], slices)


def paid(ledger: Ledger, claim: Claim) -> Reservation:
    budgets = Budgets(ledger, PriceBook({"OCR": Rate.flat(1500)}))
    [found] = budgets.reserve([Ask(claim.slice_id, claim.token, claim.document.tenant, "documentai", "OCR", 1)])
    assert isinstance(found, Reservation)
    return found


def staged(batches: CloudBatches, count: int = 2, group: str = "g") -> list[Claim]:
    claims = claimed(batches.ledger, count)
    for claim in claims:
        reservation = paid(batches.ledger, claim)
        file_id = batches.begin(claim, reservation, group, "us", f"in/{claim.slice_id}")
        assert file_id is not None
        batches.park(claim, file_id)
    return claims


def formed(batches: CloudBatches) -> str:
    [group] = batches.waiting()
    made = batches.form(group, 100)
    assert made is not None
    return made


def money(ledger: Ledger) -> list[str]:
    with ledger.reading() as session:
        return list(session.execute(select(RESERVATION.c.state).order_by(RESERVATION.c.slice_id)).scalars())


def states(ledger: Ledger) -> list[str]:
    with ledger.reading() as session:
        return list(session.execute(select(CLOUD_FILE.c.state).order_by(CLOUD_FILE.c.slice_id)).scalars())


def past(ledger: Ledger, column: str, seconds: float) -> None:
    table = "cloud_batch" if column in ("due_at", "ended_at") else "cloud_file"
    with ledger.unit_of_work() as session:
        session.execute(text(f"UPDATE {table} SET {column} = {column} - :s"), {"s": seconds})


def cloud_claims(ledger: Ledger) -> list[Claim]:
    return ledger.claim_next("cloud", [Pool.CLOUD], 100)


def test_what_is_parked_is_claimed_by_nobody_and_loses_no_money(batches: CloudBatches) -> None:
    ledger = batches.ledger
    claims = staged(batches)
    assert cloud_claims(ledger) == []
    assert ledger.oldest_waiting(Pool.CLOUD) is None
    assert Budgets(ledger, PriceBook({})).repair_reservations(-1.0) == 0
    assert money(ledger) == ["parked", "parked"]
    with pytest.raises(Fenced):
        ledger.fail(claims[0], Failure(FailureKind.ERROR, "late"))


def test_a_slice_is_in_a_batch_once(batches: CloudBatches) -> None:
    [claim] = staged(batches, 1)
    assert batches.begin(claim, paid(batches.ledger, claim), "g", "us", "in/again") is None


def test_a_claim_that_was_lost_parks_nothing(batches: CloudBatches) -> None:
    ledger = batches.ledger
    [claim] = claimed(ledger, 1)
    file_id = batches.begin(claim, paid(ledger, claim), "g", "us", "in/1")
    assert file_id is not None
    ledger.hand_back(claim)
    with pytest.raises(Fenced):
        batches.park(claim, file_id)
    assert states(ledger) == [FileState.UPLOADING]
    assert BatchSweeping(batches).let_go() == 1
    assert (states(ledger), money(ledger)) == ([FileState.OVER], ["released"])
    assert len(cloud_claims(ledger)) == 1


def test_a_batch_is_formed_asked_for_and_ended_once(batches: CloudBatches) -> None:
    ledger = batches.ledger
    claims = staged(batches, 3)
    batch_id = formed(batches)
    assert batches.waiting() == []
    assert batches.open_at("us") == 1
    [batch] = batches.take_due(5, 30.0)
    assert (batch.id, batch.asked_seconds, batches.take_due(5, 30.0)) == (batch_id, None, [])
    assert (batches.ask(batch_id, "{}"), batches.ask(batch_id, "{}")) == (True, False)
    batches.began(batch_id, "operations/7", "us-host", 5.0)
    assert batches.ask(batch_id, "{}") is False
    keys = batches.keys_of(batch_id)
    assert keys == tuple(f"in/{claim.slice_id}" for claim in claims)
    assert batches.end(batch_id, {keys[0]: "out/x/0"}, {keys[1]: ("unsupported_format", "No.")}, ("no_result", "")) == 1
    assert batches.end(batch_id, dict.fromkeys(keys, "out/late")) == 0
    assert states(ledger) == [FileState.READ, FileState.FAILED, FileState.FAILED]
    assert money(ledger) == ["parked", "released", "released"]
    files = batches.files_of([claim.slice_id for claim in cloud_claims(ledger)])
    assert [files[claim.slice_id].code for claim in claims] == ["", "unsupported_format", "no_result"]
    assert batches.open_at("us") == 0


def test_what_nobody_knows_of_counts_as_paid(batches: CloudBatches) -> None:
    staged(batches)
    batch_id = formed(batches)
    batches.end(batch_id, {}, whole=("operation_gone", ""), billed=True)
    assert money(batches.ledger) == ["lost", "lost"]


def test_many_who_form_at_once_make_one_batch_of_each_file(on_postgres: Ledger) -> None:
    batches = CloudBatches(on_postgres)
    count = len(staged(batches, 20))
    [group] = batches.waiting()
    with ThreadPoolExecutor(6) as threads:
        made = [one for one in threads.map(lambda _: batches.form(group, 5), range(6)) if one]
    keys = [key for one in made for key in batches.keys_of(one)]
    assert len(keys) == len(set(keys)) == count - sum(waiting.files for waiting in batches.waiting())


def test_files_of_a_cancelled_document_are_let_go(batches: CloudBatches, sweeping: BatchSweeping) -> None:
    ledger = batches.ledger
    staged(batches)
    cancel(ledger)
    assert sweeping.let_go() == 2
    assert money(ledger) == ["released", "released"]
    leftovers = sweeping.leftovers()
    assert len(leftovers) == 2
    sweeping.cleaned([one.file_id for one in leftovers])
    assert sweeping.leftovers() == []
    assert sweeping.old(HOUR) == []
    past(ledger, "cleaned_at", HOUR + 1)
    sweeping.forget(sweeping.old(HOUR))
    assert states(ledger) == []


def test_cancelled_in_a_batch_its_input_goes_at_once_and_its_result_later(
    batches: CloudBatches, sweeping: BatchSweeping
) -> None:
    ledger = batches.ledger
    staged(batches, 1)
    batch_id = formed(batches)
    cancel(ledger)
    assert sweeping.let_go() == 0
    [leftover] = sweeping.leftovers()
    assert (leftover.key, leftover.prefix) == (batches.keys_of(batch_id)[0], "")
    sweeping.cleaned([leftover.file_id])
    past(ledger, "cleaned_at", 2 * HOUR)
    assert sweeping.old(HOUR) == [], "its batch still runs"
    batches.end(batch_id, {leftover.key: "out/0"})
    assert sweeping.let_go() == 1
    assert money(ledger) == ["lost"]
    [leftover] = sweeping.leftovers()
    assert leftover.prefix == "out/0"
    sweeping.cleaned([leftover.file_id])
    past(ledger, "cleaned_at", 2 * HOUR)
    past(ledger, "ended_at", 2 * HOUR)
    sweeping.forget(sweeping.old(HOUR))
    assert [one.batch_id for one in sweeping.old(HOUR)] == [batch_id]


def test_what_waits_too_long_or_becomes_urgent_goes_on(batches: CloudBatches, sweeping: BatchSweeping) -> None:
    ledger = batches.ledger
    staged(batches)
    with ledger.reading() as session:
        urgency = session.execute(text("SELECT urgency FROM slice WHERE step = 'cloud'")).scalars().first()
    assert sweeping.unstage(HOUR, [str(urgency)]) == 0
    past(ledger, "staged_at", HOUR + 1)
    assert sweeping.unstage(HOUR, [str(urgency)]) == 2
    assert money(ledger) == ["released", "released"]
    assert len(cloud_claims(ledger)) == 2


def test_switched_off_everything_goes_on(batches: CloudBatches, sweeping: BatchSweeping) -> None:
    ledger = batches.ledger
    staged(batches, 2)
    formed(batches)
    staged(batches, 1, "other")
    assert sweeping.abandon() == 3
    assert sorted(money(ledger)) == ["lost", "lost", "released"]
    assert len(cloud_claims(ledger)) == 3
    assert sweeping.abandon() == 0


def test_a_slice_that_is_parked_for_nothing_is_woken(batches: CloudBatches) -> None:
    ledger = batches.ledger
    staged(batches, 2)
    assert batches.wake_forgotten() == 0
    with ledger.unit_of_work() as session:
        session.execute(text("DELETE FROM cloud_file"))
    assert batches.wake_forgotten() == 2
    assert len(cloud_claims(ledger)) == 2


def cancel(ledger: Ledger) -> None:
    from docfleet.ledger.desk import Desk

    with ledger.reading() as session:
        rows = session.execute(text("SELECT tenant_id, id FROM document")).all()
    for tenant, id_ in rows:
        Desk(ledger).cancel(tenant, id_)
