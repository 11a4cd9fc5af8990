"""Claims by hint, claims without a broker, and the window: on every database the ledger runs on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from docfleet.domain.retry import Failure, FailureKind
from docfleet.domain.urgency import Urgency
from docfleet.domain.work import Step
from docfleet.ledger import Claim, Lane, Ledger, NewSlice, Plan
from ledger_driver import audit, pass_time, read
from service_driver import age_document, submit


@pytest.fixture
def ledger(address: str | Path) -> Iterator[Ledger]:
    with Ledger.open(address, jitter=lambda: 0.0) as opened:
        yield opened
        audit(opened)


def waiting(ledger: Ledger, pool: str = "pdf", limit: int = 10) -> list[str]:
    """The documents in the order of the window."""
    return [one.document_id for one in ledger.window(pool, limit)]


def dispatch(ledger: Ledger, limit: int = 10) -> list[int]:
    ids = [one.slice_id for one in ledger.window("pdf", limit)]
    ledger.mark_dispatched(ids)
    return ids


def claim_hinted(ledger: Ledger, worker: str, slice_id: int) -> Claim:
    claim = ledger.claim_slice(worker, slice_id)
    assert claim is not None
    return claim


def test_a_hint_is_claimed_once_and_tells_all_the_worker_needs(ledger: Ledger) -> None:
    document = submit(ledger, "report.pdf", urgency=Urgency.HIGH)
    [one] = ledger.window("pdf", 5)
    claim = claim_hinted(ledger, "w/0-1", one.slice_id)
    assert (claim.document.id, claim.step, claim.attempt) == (document, Step.PLAN, 1)
    told = claim.document
    assert (told.tenant, told.source.name, told.wrapped_key, told.urgency, told.pool) == (
        "acme", "report.pdf", b"key", Urgency.HIGH, "pdf",
    )  # fmt: skip
    assert claim.result_prefix == f"contents/{told.content_id}/slices/{claim.slice_id}/1"
    assert ledger.claim_slice("w/1-1", one.slice_id) is None
    assert ledger.claim_slice("w/1-1", 10**9) is None


def test_a_hinted_slice_is_in_no_window_until_it_waits_again(ledger: Ledger) -> None:
    submit(ledger)
    [slice_id] = dispatch(ledger)
    assert ledger.window("pdf", 5) == []
    assert ledger.count_hinted("pdf") == 1
    assert ledger.hinted("pdf", 5) == [(slice_id, Urgency.NORMAL)]
    claim = claim_hinted(ledger, "w", slice_id)
    assert (ledger.count_hinted("pdf"), ledger.window("pdf", 5)) == (0, [])
    ledger.hand_back(claim)
    assert [one.slice_id for one in ledger.window("pdf", 5)] == [slice_id]


def test_a_slice_that_backs_off_is_no_candidate_and_its_hint_is_refused(ledger: Ledger) -> None:
    submit(ledger)
    [slice_id] = dispatch(ledger)
    ledger.fail(claim_hinted(ledger, "w", slice_id), Failure(FailureKind.WAIT, "quota", after_seconds=60))
    assert ledger.window("pdf", 5) == []
    assert ledger.claim_slice("w", slice_id) is None
    assert ledger.claim_next("w", ["pdf"]) == []
    assert ledger.oldest_waiting("pdf") is None
    pass_time(ledger, 61)
    assert [one.slice_id for one in ledger.window("pdf", 5)] == [slice_id]
    assert ledger.claim_slice("w", slice_id) is not None


def test_a_marked_slice_that_was_claimed_meanwhile_stays_claimed(ledger: Ledger) -> None:
    submit(ledger)
    [one] = ledger.window("pdf", 5)
    claim_hinted(ledger, "w", one.slice_id)
    ledger.mark_dispatched([one.slice_id])
    assert ledger.count_hinted("pdf") == 0


def test_a_broker_that_lost_its_hints_is_told_again(ledger: Ledger) -> None:
    submit(ledger, count=3)
    submit(ledger, pool="image")
    ledger.mark_dispatched([one.slice_id for one in ledger.window("image", 9)])
    ids = dispatch(ledger)
    assert ledger.forget_hints("pdf") == 3
    assert [one.slice_id for one in ledger.window("pdf", 9)] == ids
    assert ledger.forget_hints() == 1


def test_direct_mode_takes_what_is_hinted_too(ledger: Ledger) -> None:
    submit(ledger, count=3)
    dispatch(ledger, limit=2)
    assert len(ledger.claim_next("w", ["pdf", "image"], limit=5)) == 3
    assert ledger.claim_next("w", ["pdf"]) == []


def test_pools_are_apart(ledger: Ledger) -> None:
    submit(ledger, pool="image")
    assert ledger.claim_next("w", ["pdf"]) == []
    assert waiting(ledger, "pdf") == []
    assert len(waiting(ledger, "image")) == 1
    assert len(ledger.claim_next("w", ["image"])) == 1


def test_the_urgent_first_but_an_old_one_is_not_starved(ledger: Ledger) -> None:
    bulk = submit(ledger, urgency=Urgency.BULK)
    critical = submit(ledger, urgency=Urgency.CRITICAL, tenant="other")
    assert waiting(ledger) == [critical, bulk]
    submit(ledger, urgency=Urgency.CRITICAL, tenant="other", count=50)
    age_document(ledger, bulk, 10_000)
    assert bulk in waiting(ledger, limit=2)
    dispatch(ledger, limit=20)
    assert ledger.oldest_waiting("pdf") == pytest.approx(10_000, abs=60)


def test_a_flood_does_not_delay_a_trickle(ledger: Ledger) -> None:
    flood = submit(ledger, tenant="flood", count=300)
    age_document(ledger, flood, 5_000)
    dispatch(ledger, limit=20)
    trickle = submit(ledger, tenant="trickle")
    assert waiting(ledger, limit=1) == [trickle]
    [claim] = ledger.claim_next("w", ["pdf"])
    assert claim.document.tenant in ("trickle", "flood")


def test_a_long_document_does_not_block_a_short_one_and_is_not_starved(ledger: Ledger) -> None:
    long = submit(ledger, "long.pdf")
    [claim] = ledger.claim_next("w", ["pdf"])
    ledger.finish(claim, next_slices=[NewSlice(Step.LOCAL, n, n) for n in range(1, 251)], plan=Plan(250))
    dispatch(ledger, limit=10)
    short = submit(ledger, "short.pdf")
    assert waiting(ledger, limit=1) == [short]
    age_document(ledger, long, 4_000)
    later = [submit(ledger, f"{n}.pdf") for n in range(20)]
    order = waiting(ledger, limit=35)
    assert set(later) <= set(order), "a fair share between documents"
    assert long in order


def test_an_assembly_goes_before_new_work(ledger: Ledger) -> None:
    first = submit(ledger, "first.pdf")
    [claim] = ledger.claim_next("w", ["pdf"])
    submit(ledger, "second.pdf", count=3)
    ledger.finish(claim, next_slices=[NewSlice(Step.LOCAL, 1, 1)], plan=Plan(1))
    pages = next(one for one in ledger.window("pdf", 9) if one.document_id == first)
    claim = claim_hinted(ledger, "w", pages.slice_id)
    ledger.finish(claim, "k", read(1, 1))
    assert waiting(ledger)[0] == first


def test_the_isolation_lane_does_not_wait_for_a_pool_without_workers(ledger: Ledger) -> None:
    for pool in ("pdf", "image"):
        submit(ledger, pool=pool)
        for _ in range(2):
            [claim] = ledger.claim_next("w", [pool])
            ledger.release_worker("w", crashed=True)
            pass_time(ledger, 10)
    [unmanned] = ledger.window("pdf", 5)
    ledger.mark_dispatched([unmanned.slice_id])
    [hinted] = ledger.window("image", 5)
    ledger.mark_dispatched([hinted.slice_id])
    claim = claim_hinted(ledger, "w2", hinted.slice_id)
    assert claim.isolated
    assert ledger.claim_slice("w3", unmanned.slice_id) is None, "the lane still holds one slice"
    assert ledger.window("pdf", 5) == [], "it is hinted again when the lane is free"
    ledger.hand_back(claim)
    assert [one.slice_id for one in ledger.window("pdf", 5)] == [unmanned.slice_id]


def test_the_isolation_lane_is_hinted_one_at_a_time(ledger: Ledger) -> None:
    submit(ledger, "a.pdf", count=2)
    suspects = []
    for claim in ledger.claim_next("w", ["pdf"], limit=2):
        ledger.fail(claim, Failure(FailureKind.CRASH, "worker_died"))
        again = claim_hinted(ledger, "w", claim.slice_id)
        ledger.fail(again, Failure(FailureKind.CRASH, "worker_died"))
        suspects.append(claim.slice_id)
    pass_time(ledger, 60)
    first = dispatch(ledger)
    assert len(first) == 1
    assert dispatch(ledger) == []
    [other] = set(suspects) - set(first)
    claim = claim_hinted(ledger, "w/0", first[0])
    assert claim.isolated
    assert ledger.claim_slice("w/1", other) is None, "the lane is taken"
    assert ledger.claim_next("w/1", ["pdf"]) == []
    assert ledger.claim_next("w/1", ["pdf"], lanes={Lane.SHARED}) == []
    submit(ledger, "b.pdf")
    assert ledger.claim_next("w/0", ["pdf"]) == [], "whoever is in the lane gets nothing more"
    assert len(ledger.claim_next("w/1", ["pdf"])) == 1
    ledger.hand_back(claim)
    [claim] = ledger.claim_next("w/2", ["pdf"])
    assert claim.isolated


def test_a_refused_suspect_is_hinted_again(ledger: Ledger) -> None:
    submit(ledger, count=2)
    one, two = ledger.claim_next("w", ["pdf"], limit=2)
    for claim in (one, two):
        ledger.fail(claim, Failure(FailureKind.CRASH, "worker_died"))
        again = claim_hinted(ledger, "other", claim.slice_id)
        ledger.fail(again, Failure(FailureKind.CRASH, "worker_died"))
    pass_time(ledger, 60)
    ledger.mark_dispatched([one.slice_id, two.slice_id])
    held = claim_hinted(ledger, "w/0", one.slice_id)
    assert ledger.claim_slice("w/1", two.slice_id) is None
    assert ledger.count_hinted("pdf") == 0
    ledger.hand_back(held)
    assert len(ledger.window("pdf", 5)) == 1
