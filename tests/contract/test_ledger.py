"""What the ledger promises, on every database it runs on."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from msgspec.structs import replace
from sqlalchemy import text

from docfleet.domain.retry import Action, Failure, FailureKind
from docfleet.domain.work import (
    DOCUMENT_TRANSITIONS,
    SLICE_TRANSITIONS,
    DocumentState,
    SliceState,
    Step,
)
from docfleet.errors import EngineFailed, Fenced, LedgerError, PasswordRequired
from docfleet.ledger import (
    DocumentSummary,
    Lane,
    Ledger,
    NewInput,
    NewSlice,
    PageOutcome,
    Plan,
)
from docfleet.ledger.migrations import head
from docfleet.ledger.schema import HEAD
from docfleet.ledger.tally_rows import ALL_TABLES
from ledger_driver import (
    BATCH,
    audit,
    file_named,
    finish_pages,
    pass_time,
    plan_document,
    read,
)

ERROR = Failure.of_error(EngineFailed("The engine gave up."))


@pytest.fixture
def ledger(address: str | Path) -> Iterator[Ledger]:
    with Ledger.open(address, jitter=lambda: 0.0) as opened:
        yield opened
        audit(opened)


def batch_of(ledger: Ledger, *inputs: NewInput) -> str:
    return ledger.register(BATCH, inputs).batch_id


# --- submitting


def test_the_same_submission_again_changes_nothing(ledger: Ledger) -> None:
    inputs = [file_named("a.pdf"), file_named("b.pdf"), file_named("copy of a.pdf", "a.pdf")]
    first = ledger.register(BATCH, inputs)
    again = ledger.register(BATCH, inputs)
    assert (first.new_documents, first.known_documents) == (2, 1)
    assert (again.new_documents, again.known_documents) == (0, 3)
    assert again.batch_id == first.batch_id
    assert len(ledger.claim("w", limit=10)) == 2


def test_equal_bytes_are_one_document_with_two_inputs(ledger: Ledger) -> None:
    batch = batch_of(ledger, file_named("a.pdf"), file_named("b.pdf", "a.pdf"))
    first, second = ledger.rows_for_index(batch)
    assert first.document_id == second.document_id
    assert (first.duplicate_of, second.duplicate_of) == (None, "a.pdf")


def test_other_options_make_another_document(ledger: Ledger) -> None:
    batch = batch_of(ledger, file_named("a.pdf"))
    [before] = ledger.rows_for_index(batch)
    ledger.register(replace(BATCH, options_digest="o2"), [file_named("a.pdf")])
    [after] = ledger.rows_for_index(batch)
    assert before.document_id != after.document_id
    assert before.document_id is not None
    assert [e.to_state for e in ledger.events_of(before.document_id) if e.entity == "document"][-1] == "cancelled"


def test_a_changed_file_points_to_its_new_bytes_and_back(ledger: Ledger) -> None:
    """Where results go to no folder, what was read of the old bytes is still there when they come back."""
    one, two = (replace(file_named("a.pdf", content), folder=None) for content in ("one", "two"))
    batch = batch_of(ledger, one)
    [before] = ledger.rows_for_index(batch)
    batch_of(ledger, two)
    [between] = ledger.rows_for_index(batch)
    assert between.document_id != before.document_id
    batch_of(ledger, one)
    [again] = ledger.rows_for_index(batch)
    assert (again.document_id, again.state) == (before.document_id, DocumentState.RECEIVED)
    [claim] = ledger.claim("w", limit=5)
    assert claim.document.id == before.document_id
    assert claim.round == 2


def test_a_document_no_input_needs_any_more_counts_no_more(ledger: Ledger) -> None:
    batch = batch_of(ledger, file_named("a.pdf", "one"))
    [claim] = ledger.claim("w")
    ledger.fail(claim, Failure.of_error(PasswordRequired()))
    batch_of(ledger, file_named("a.pdf", "two"))
    [row] = ledger.rows_for_index(batch)
    assert (row.state, row.folder) == (DocumentState.RECEIVED, "a")
    assert ledger.progress(batch).documents[DocumentState.FAILED] == 0
    assert ledger.dead_letters(batch) == []
    assert ledger.retry_failed(batch) == 0


def test_a_refused_input_is_in_the_index_without_a_document(ledger: Ledger) -> None:
    refused = NewInput("bomb.zip", "/inbox/bomb.zip", code="archive_unsafe", message="Too large.")
    batch = batch_of(ledger, refused)
    [row] = ledger.rows_for_index(batch)
    assert (row.state, row.document_id, row.code, row.message) == (None, None, "archive_unsafe", "Too large.")
    assert ledger.progress(batch).refused == 1
    assert ledger.claim("w") == []


def test_folder_names_are_unique_even_where_case_does_not_count(ledger: Ledger) -> None:
    inputs = [
        NewInput(f"{n}.pdf", f"/{n}.pdf", sha256=f"{n:064}", folder="Scan" if n % 2 else "scan") for n in range(14)
    ]
    batch = batch_of(ledger, *inputs)
    folders = [row.folder or "" for row in ledger.rows_for_index(batch)]
    assert folders[:3] == ["scan", "Scan-2", "scan-3"]
    assert len({folder.casefold() for folder in folders}) == 14


def test_many_inputs_keep_their_order(ledger: Ledger) -> None:
    names = [f"{n}.pdf" for n in range(601)]
    batch = batch_of(ledger, *(file_named(name) for name in names))
    assert [row.name for row in ledger.rows_for_index(batch)] == names
    assert [claim.document.source.name for claim in ledger.claim("w", limit=3)] == names[:3]


# --- one document from end to end


def test_a_document_goes_through_all_its_states(ledger: Ledger) -> None:
    batch = batch_of(ledger, file_named("a.pdf"))
    plan_document(ledger, pages=25)
    claims = ledger.claim("w", limit=10)
    assert [(c.first_page, c.last_page) for c in claims] == [(1, 10), (11, 20), (21, 25)]
    assert claims[0].document.pages == 25
    states = [finish_pages(ledger, claim) for claim in claims]
    assert states == [DocumentState.RUNNING, DocumentState.RUNNING, DocumentState.ASSEMBLING]
    [assemble] = ledger.claim("w", limit=10)
    assert assemble.step is Step.ASSEMBLE
    keys = [record.result_key for record in ledger.pages_of(assemble.document.id)]
    assert len(keys) == 25
    assert keys[10] == claims[1].result_prefix
    assert ledger.finish_document(assemble, DocumentSummary("done/a")) is DocumentState.SUCCEEDED
    [row] = ledger.rows_for_index(batch)
    assert (row.state, row.code, row.pages, row.pages_read, row.pages_failed) == ("succeeded", "", 25, 25, 0)
    assert (row.engines, row.confidence, row.cost_usd, row.work_seconds) == ({"text": 25}, 0.5, 6.25, 50.0)
    assert row.result_key == "done/a"
    assert row.started_at is not None
    assert row.finished_at is not None
    assert row.finished_at >= row.started_at
    assert ledger.is_drained(batch)
    moves = [e.to_state for e in ledger.events_of(assemble.document.id) if e.entity == "document"]
    assert moves == ["received", "running", "assembling", "succeeded"]


def test_progress_counts(ledger: Ledger) -> None:
    batch = batch_of(ledger, file_named("a.pdf"), file_named("b.pdf"))
    plan_document(ledger, pages=3, per_slice=1)
    [claim] = ledger.claim("w", {Step.LOCAL})
    ledger.finish(claim, "k", read(1, 1))
    [claim] = ledger.claim("w", {Step.LOCAL})
    ledger.finish(claim, "k", [PageOutcome(2, "timed_out")])
    now = ledger.progress(batch)
    assert (now.inputs, now.pages, now.pages_read, now.pages_failed) == (2, 3, 1, 1)
    assert (now.documents[DocumentState.RECEIVED], now.documents[DocumentState.RUNNING]) == (1, 1)
    assert (now.slices[SliceState.QUEUED], now.slices[SliceState.DONE]) == (2, 3)
    assert now.open_documents == 2


def test_urgent_documents_first_and_nearly_ready_ones_before_new_ones(ledger: Ledger) -> None:
    batch_of(ledger, file_named("slow.pdf"), file_named("urgent.pdf", priority=1), file_named("other.pdf"))
    plan_document(ledger, pages=1)
    [claim] = ledger.claim("w", {Step.LOCAL})
    assert claim.document.source.name == "urgent.pdf"
    finish_pages(ledger, claim)
    [claim] = ledger.claim("w")
    assert (claim.document.source.name, claim.step) == ("urgent.pdf", Step.ASSEMBLE)
    [claim] = ledger.claim("w")
    assert (claim.document.source.name, claim.step) == ("slow.pdf", Step.PLAN)


def test_claims_are_of_the_batch_and_steps_asked_for(ledger: Ledger) -> None:
    one = batch_of(ledger, file_named("a.pdf"))
    two = ledger.register(replace(BATCH, key="two"), [file_named("b.pdf")]).batch_id
    assert ledger.claim("w", {Step.LOCAL}) == []
    [claim] = ledger.claim("w", batch_id=two)
    assert claim.document.batch_id == two
    [claim] = ledger.claim("w", batch_id=one)
    assert claim.document.batch_id == one
    assert sorted(id_ for id_, _ in ledger.list_batches()) == sorted([one, two])
    assert ledger.find_batch("two") == two


def test_a_page_passed_on_to_the_cloud_keeps_the_document_running(ledger: Ledger) -> None:
    batch = batch_of(ledger, file_named("a.pdf"))
    plan_document(ledger, pages=3)
    [claim] = ledger.claim("w")
    state = ledger.finish(claim, "local", [*read(1, 1), *read(3, 3)], [NewSlice(Step.CLOUD, 2, 2)])
    assert state is DocumentState.RUNNING
    [claim] = ledger.claim("w")
    assert (claim.step, claim.first_page, claim.last_page) == (Step.CLOUD, 2, 2)
    assert ledger.finish(claim, "cloud", read(2, 2, "cloud")) is DocumentState.ASSEMBLING
    [claim] = ledger.claim("w")
    ledger.finish_document(claim)
    [row] = ledger.rows_for_index(batch)
    assert (row.state, row.engines) == (DocumentState.SUCCEEDED, {"cloud": 1, "text": 2})
    assert [record.result_key for record in ledger.pages_of(claim.document.id)] == ["local", "cloud", "local"]


def test_a_failed_second_reading_does_not_take_the_first_away(ledger: Ledger) -> None:
    batch = batch_of(ledger, file_named("a.pdf"))
    plan_document(ledger, pages=2)
    [claim] = ledger.claim("w")
    ledger.finish(claim, "local", read(1, 2), [NewSlice(Step.CLOUD, 2, 2)])
    [claim] = ledger.claim("w")
    ledger.fail(claim, Failure(FailureKind.ERROR, "refused", retryable=False))
    [claim] = ledger.claim("w")
    # not every slice ended well, and that is said
    assert ledger.finish_document(claim) is DocumentState.PARTIAL
    [row] = ledger.rows_for_index(batch)
    assert (row.pages_read, row.code) == (2, "refused")


@pytest.mark.parametrize(
    ("step", "arguments"),
    [
        (Step.PLAN, {}),
        (Step.PLAN, {"plan": Plan(1), "page_outcomes": read(1, 1)}),
        (Step.PLAN, {"plan": Plan(3), "next_slices": [NewSlice(Step.LOCAL, 2, 4)]}),
        (Step.PLAN, {"plan": Plan(3), "next_slices": [NewSlice(Step.LOCAL, 0, 1)]}),
        (Step.PLAN, {"plan": Plan(3), "next_slices": [NewSlice(Step.LOCAL, 2, 1)]}),
        (Step.LOCAL, {"page_outcomes": read(1, 1)}),
        (Step.LOCAL, {"page_outcomes": read(1, 3)}),
        (Step.LOCAL, {"page_outcomes": [*read(1, 2), *read(2, 2)]}),
        (Step.LOCAL, {"page_outcomes": read(1, 2), "plan": Plan(2)}),
    ],
)
def test_a_finish_that_does_not_fit_its_slice_changes_nothing(ledger: Ledger, step: Step, arguments: dict) -> None:
    batch_of(ledger, file_named("a.pdf"))
    if step is Step.LOCAL:
        plan_document(ledger, pages=2)
    [claim] = ledger.claim("w")
    with pytest.raises(LedgerError):
        ledger.finish(claim, **arguments)
    assert ledger.beat("w", [claim]) == frozenset()


# --- one writer


def test_a_claimed_slice_is_claimed_once(ledger: Ledger) -> None:
    batch_of(ledger, file_named("a.pdf"))
    assert len(ledger.claim("one")) == 1
    assert ledger.claim("two") == []


def test_a_stale_worker_changes_nothing(ledger: Ledger) -> None:
    batch_of(ledger, file_named("a.pdf"))
    plan_document(ledger, pages=1)
    [stale] = ledger.claim("stale")
    pass_time(ledger, 60)
    ledger.expire_leases()
    [fresh] = ledger.claim("fresh")
    assert fresh.token > stale.token
    assert fresh.result_prefix != stale.result_prefix
    for write in (
        lambda: finish_pages(ledger, stale),
        lambda: ledger.fail(stale, ERROR),
        lambda: ledger.hand_back(stale),
    ):
        with pytest.raises(Fenced):
            write()
    assert ledger.beat("stale", [stale]) == {stale.slice_id}
    finish_pages(ledger, fresh)
    with pytest.raises(Fenced):
        finish_pages(ledger, stale)
    [record] = ledger.pages_of(fresh.document.id)
    assert record.result_key == fresh.result_prefix


def test_a_worker_that_gets_its_slice_back_cannot_use_the_old_claim(ledger: Ledger) -> None:
    batch_of(ledger, file_named("a.pdf"))
    plan_document(ledger, pages=1)
    [old] = ledger.claim("w")
    ledger.hand_back(old)
    [new] = ledger.claim("w")
    for write in (lambda: finish_pages(ledger, old), lambda: ledger.fail(old, ERROR)):
        with pytest.raises(Fenced):
            write()
    assert ledger.beat("w", [old]) == {old.slice_id}
    assert ledger.beat("w", [old, new]) == frozenset(), "the slice is still this worker's"
    assert finish_pages(ledger, new) is DocumentState.ASSEMBLING


def test_finishing_twice_is_finishing_once(ledger: Ledger) -> None:
    """The reply to the first commit may have been lost."""
    batch_of(ledger, file_named("a.pdf"))
    plan_document(ledger, pages=1)
    [claim] = ledger.claim("w")
    assert finish_pages(ledger, claim) is finish_pages(ledger, claim) is DocumentState.ASSEMBLING
    [claim] = ledger.claim("w", limit=5)
    assert ledger.finish_document(claim) is ledger.finish_document(claim) is DocumentState.SUCCEEDED


def test_a_beat_keeps_a_lease(ledger: Ledger) -> None:
    batch_of(ledger, file_named("a.pdf"), file_named("b.pdf"))
    kept, forgotten = ledger.claim("w", limit=2)
    for _ in range(3):
        pass_time(ledger, 10)
        assert ledger.beat("w", [kept]) == frozenset()
    assert [ended.slice_id for ended in ledger.expire_leases()] == [forgotten.slice_id]


def test_cancelling_takes_work_from_its_worker(ledger: Ledger) -> None:
    batch = batch_of(ledger, file_named("a.pdf"), file_named("b.pdf"))
    [claim] = ledger.claim("w")
    assert ledger.cancel_batch(batch) == 2
    assert ledger.cancel_batch(batch) == 0
    assert ledger.beat("w", [claim]) == {claim.slice_id}
    with pytest.raises(Fenced):
        ledger.finish(claim, plan=Plan(1), next_slices=[NewSlice(Step.LOCAL, 1, 1)])
    assert ledger.is_drained(batch)


# --- failures


def test_a_poison_slice_dies_at_its_third_crash_and_names_its_cause(ledger: Ledger) -> None:
    batch = batch_of(ledger, file_named("poison.pdf"))
    for crash in (1, 2, 3):
        [claim] = ledger.claim(f"w{crash}")
        assert (claim.attempt, claim.crash_count, claim.isolated) == (crash, crash - 1, crash == 3)
        [ended] = ledger.release_worker(f"w{crash}", crashed=True)
    assert ended.decision.action is Action.DEAD
    assert ledger.claim("w4") == []
    [row] = ledger.rows_for_index(batch)
    assert (row.state, row.code) == (DocumentState.FAILED, "worker_died")
    [letter] = ledger.dead_letters(batch)
    assert (letter.crash_count, letter.worker, letter.name) == (3, "w3", "poison.pdf")


def test_one_poison_page_costs_one_page(ledger: Ledger) -> None:
    """Ten pages share a slice; the one that kills its worker must not take the other nine with it."""
    batch = batch_of(ledger, file_named("a.pdf"))
    plan_document(ledger, pages=10)
    crashes = 0
    while claims := ledger.claim(worker := f"w{crashes}", {Step.LOCAL}):
        if claims[0].first_page <= 7 <= claims[0].last_page:
            crashes += 1
            ledger.release_worker(worker, crashed=True)
        else:
            finish_pages(ledger, claims[0])
    assert crashes == 3
    [claim] = ledger.claim("w", {Step.ASSEMBLE})
    assert ledger.finish_document(claim) is DocumentState.PARTIAL
    [row] = ledger.rows_for_index(batch)
    assert (row.pages_read, row.pages_failed, row.code) == (9, 1, "worker_died")
    assert row.message.startswith("Page 7 could not be read")
    assert [letter.first_page for letter in ledger.dead_letters(batch)] == [7]


def test_the_isolation_lane_holds_one_and_its_worker_nothing_else(ledger: Ledger) -> None:
    batch_of(ledger, *(file_named(f"{n}.pdf") for n in range(5)))
    for _ in range(2):
        for name in ("w0", "w1"):
            ledger.claim(name, limit=1)
        for name in ("w0", "w1"):
            ledger.release_worker(name, crashed=True)
    # two suspects now wait first in line
    [other] = ledger.claim("busy", lanes={Lane.SHARED})
    assert not other.isolated
    [still_shared] = ledger.claim("busy")
    assert not still_shared.isolated, "a worker that holds something takes no suspect"
    [suspect] = ledger.claim("alone", limit=10)
    assert suspect.isolated
    assert ledger.claim("alone", limit=10) == [], "a worker that has a suspect takes nothing else"
    assert all(not claim.isolated for claim in ledger.claim("next", limit=10)), "one suspect at a time"
    assert ledger.claim("lane", lanes={Lane.ISOLATED}) == []
    ledger.hand_back(suspect)
    [suspect] = ledger.claim("lane", lanes={Lane.ISOLATED}, limit=10)
    assert suspect.isolated


def test_errors_back_off_and_die_at_the_third(address: str | Path) -> None:
    with Ledger.open(address, jitter=lambda: 1.0) as ledger:
        batch_of(ledger, file_named("a.pdf"))
        plan_document(ledger, pages=1)
        for delay in (1.0, 2.0):
            [claim] = ledger.claim("w")
            assert ledger.fail(claim, ERROR).decision.delay_seconds == delay
            pass_time(ledger, delay - 0.5)
            assert ledger.claim("w") == []
            pass_time(ledger, 0.6)
        [claim] = ledger.claim("w")
        ended = ledger.fail(claim, ERROR)
        assert (ended.decision.action, ended.document_state) == (Action.DEAD, DocumentState.FAILED)
        audit(ledger)


def test_a_hopeless_error_is_not_tried_again(ledger: Ledger) -> None:
    batch = batch_of(ledger, file_named("a.pdf"))
    [claim] = ledger.claim("w")
    assert ledger.fail(claim, Failure.of_error(PasswordRequired())).document_state is DocumentState.FAILED
    [row] = ledger.rows_for_index(batch)
    assert (row.code, row.message) == ("password_required", PasswordRequired().message)
    assert row.started_at is not None


def test_waiting_is_free(ledger: Ledger) -> None:
    batch_of(ledger, file_named("a.pdf"))
    for _ in range(20):
        [claim] = ledger.claim("w")
        assert (claim.crash_count, claim.error_count, claim.isolated) == (0, 0, False)
        ledger.hand_back(claim, "quota", after_seconds=30)
        assert ledger.claim("w") == []
        pass_time(ledger, 31)


def test_a_host_that_dies_blames_nobody(ledger: Ledger) -> None:
    batch_of(ledger, *(file_named(f"{n}.pdf") for n in range(6)))
    for name in ("w0", "w1", "w2"):
        assert len(ledger.claim(name, limit=2)) == 2
    pass_time(ledger, 60)
    ended = ledger.expire_leases()
    assert len(ended) == 6
    assert {item.decision.counters.crashes for item in ended} == {0}
    assert {claim.isolated for claim in ledger.claim("w", limit=10)} == {False}


def test_a_lease_that_lapses_alone_is_a_crash_once_its_company_had_time_to_lapse_too(ledger: Ledger) -> None:
    batch_of(ledger, file_named("a.pdf"))
    ledger.claim("w")
    pass_time(ledger, 16)
    assert ledger.expire_leases() == []
    pass_time(ledger, 3)
    [ended] = ledger.expire_leases()
    assert ended.decision.counters.crashes == 1


def test_a_stopped_worker_blames_nobody(ledger: Ledger) -> None:
    batch_of(ledger, file_named("a.pdf"))
    ledger.claim("w")
    [ended] = ledger.release_worker("w", crashed=False)
    assert (ended.decision.counters.crashes, ended.decision.counters.waits) == (0, 1)
    assert ledger.release_worker("w", crashed=True) == []


def test_dead_pages_make_a_document_partial_and_all_of_them_failed(ledger: Ledger) -> None:
    batch = batch_of(ledger, file_named("some.pdf"), file_named("none.pdf"))
    for _ in range(2):
        plan_document(ledger, pages=4, per_slice=2)
    for claim in ledger.claim("w", {Step.LOCAL}, limit=10):
        if claim.document.source.name == "some.pdf" and claim.first_page == 3:
            finish_pages(ledger, claim)
        else:
            ledger.fail(claim, Failure(FailureKind.ERROR, "damaged", "It is damaged.", retryable=False))
    [claim] = ledger.claim("w")
    assert ledger.finish_document(claim) is DocumentState.PARTIAL
    some, none = ledger.rows_for_index(batch)
    assert (some.state, some.pages_read, some.pages_failed, some.code) == (DocumentState.PARTIAL, 2, 2, "damaged")
    assert some.message == "Pages 1, 2 could not be read: It is damaged."
    assert (none.state, none.pages_read, none.pages_failed) == (DocumentState.FAILED, 0, 4)


def test_pages_that_failed_inside_a_finished_slice_count_too(ledger: Ledger) -> None:
    batch_of(ledger, file_named("a.pdf"))
    plan_document(ledger, pages=2)
    [claim] = ledger.claim("w")
    ledger.finish(claim, "k", [*read(1, 1), PageOutcome(2, "timed_out", detail="Too slow.")])
    [claim] = ledger.claim("w")
    assert ledger.finish_document(claim) is DocumentState.PARTIAL


def test_pages_nobody_was_asked_to_read_are_not_read(ledger: Ledger) -> None:
    batch = batch_of(ledger, file_named("a.pdf"))
    [claim] = ledger.claim("w")
    ledger.finish(claim, plan=Plan(3), next_slices=[NewSlice(Step.LOCAL, 1, 2)])
    [claim] = ledger.claim("w")
    finish_pages(ledger, claim)
    [claim] = ledger.claim("w")
    assert ledger.finish_document(claim) is DocumentState.PARTIAL
    [row] = ledger.rows_for_index(batch)
    assert (row.pages_failed, row.code) == (1, "page_missing")


def test_a_document_without_pages_fails(ledger: Ledger) -> None:
    batch = batch_of(ledger, file_named("a.pdf"))
    [claim] = ledger.claim("w")
    assert ledger.finish(claim, plan=Plan(0)) is DocumentState.FAILED
    [row] = ledger.rows_for_index(batch)
    assert row.code == "no_pages"


# --- again


def test_trying_again_reads_only_what_failed(ledger: Ledger) -> None:
    batch = batch_of(ledger, file_named("a.pdf"), file_named("fine.pdf"))
    plan_document(ledger, pages=40, per_slice=20)
    plan_document(ledger, pages=1)
    for claim in ledger.claim("w", {Step.LOCAL}, limit=10):
        outcomes = read(claim.first_page, claim.last_page)
        if claim.first_page == 21:
            outcomes[3:15] = [PageOutcome(page, "timed_out") for page in range(24, 36)]
        ledger.finish(claim, "first", outcomes)
    for claim in ledger.claim("w", limit=2):
        ledger.finish_document(claim)
    assert ledger.retry_failed(batch, {"damaged"}) == 0
    assert ledger.retry_failed(batch) == 1
    assert ledger.retry_failed(batch) == 0
    claims = ledger.claim("w", limit=10)
    assert [(c.step, c.first_page, c.last_page, c.round) for c in claims] == [
        (Step.LOCAL, 24, 33, 2),
        (Step.LOCAL, 34, 35, 2),
    ]
    for claim in claims:
        ledger.finish(claim, "second", read(claim.first_page, claim.last_page))
    [claim] = ledger.claim("w")
    assert ledger.finish_document(claim) is DocumentState.SUCCEEDED
    keys = [record.result_key for record in ledger.pages_of(claim.document.id)]
    assert (keys[22], keys[23], keys[34], keys[35]) == ("first", "second", "second", "first")


def test_a_plan_that_failed_is_planned_again(ledger: Ledger) -> None:
    batch = batch_of(ledger, file_named("a.pdf"))
    [claim] = ledger.claim("w")
    ledger.fail(claim, Failure.of_error(PasswordRequired()))
    assert ledger.retry_failed(batch, {"password_required"}) == 1
    plan_document(ledger, pages=1)
    [claim] = ledger.claim("w")
    finish_pages(ledger, claim)
    [claim] = ledger.claim("w")
    assert ledger.finish_document(claim) is DocumentState.SUCCEEDED
    [row] = ledger.rows_for_index(batch)
    assert row.code == ""
    assert ledger.dead_letters(batch) == []


def test_results_that_could_not_be_written_are_written_again(ledger: Ledger) -> None:
    batch = batch_of(ledger, file_named("a.pdf"))
    plan_document(ledger, pages=1)
    [claim] = ledger.claim("w")
    finish_pages(ledger, claim)
    [claim] = ledger.claim("w")
    ended = ledger.fail(claim, Failure(FailureKind.ERROR, "disk_full", "The disk is full.", retryable=False))
    assert ended.document_state is DocumentState.FAILED
    assert ledger.retry_failed(batch) == 1
    [claim] = ledger.claim("w")
    assert (claim.step, claim.round) == (Step.ASSEMBLE, 2)
    assert ledger.finish_document(claim) is DocumentState.SUCCEEDED


# --- the database's own guards


@pytest.mark.parametrize("entity", ["document", "slice"])
def test_the_database_refuses_exactly_the_illegal_moves(ledger: Ledger, entity: str) -> None:
    batch_of(ledger, file_named("a.pdf"))
    table = DOCUMENT_TRANSITIONS if entity == "document" else SLICE_TRANSITIONS
    for before, after in product(table, repeat=2):
        legal = before == after or after in table[before]  # type: ignore[index, operator]
        refusal = _try_to_move(ledger, entity, before.value, after.value)
        assert (refusal is None) == legal, f"{before} > {after}: {refusal}"
        assert refusal is None or "illegal" in refusal


class Undo(Exception):
    """Rolls a transaction back."""


def _try_to_move(ledger: Ledger, entity: str, before: str, after: str) -> str | None:
    """Makes a row in one state (which is fine), moves it, undoes both; returns what the database said against it."""
    row = "d1" if entity == "document" else "999"
    extra = ""
    if entity == "slice":
        extra = f", token = token + 1, lease_until = {'1' if after == 'running' else 'NULL'}"
    try:
        with ledger.unit_of_work() as session:
            session.execute(text(_copy_of(entity, row, before)))
            session.execute(text(f"UPDATE {entity} SET state = '{after}'{extra} WHERE id = '{row}'"))
            raise Undo
    except Undo:
        return None
    except LedgerError as error:
        return error.message


def _copy_of(entity: str, row: str, state: str) -> str:
    table = ALL_TABLES.tables[entity]
    changed = {"id": f"'{row}'", "state": f"'{state}'", "sha256": "'other'", "folder_key": "NULL", "first_page": "1",
               "last_page": "1", "lease_until": "1" if state == "running" else "NULL"}  # fmt: skip
    names = [column.name for column in table.columns]
    return (
        f"INSERT INTO {entity} ({', '.join(names)}) SELECT {', '.join(changed.get(n, n) for n in names)} FROM {entity}"
    )


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE event SET cause = 'other'",
        "DELETE FROM event",
        "UPDATE slice SET state = 'lost'",
        "UPDATE slice SET token = token - 1",
        "UPDATE slice SET state = 'running', lease_until = 1",
        "UPDATE slice SET lease_until = 1",
        "UPDATE slice SET first_page = 3",
        "UPDATE document SET pages = -1",
        "UPDATE document SET batch_id = 'nowhere'",
        "DELETE FROM document",
    ],
)
def test_the_database_refuses_nonsense(ledger: Ledger, statement: str) -> None:
    batch_of(ledger, file_named("a.pdf"))
    with pytest.raises(LedgerError), ledger.unit_of_work() as session:
        session.execute(text(statement))


def test_the_migrations_make_the_tables_of_the_rows(ledger: Ledger) -> None:
    with ledger.reading() as session:
        context = MigrationContext.configure(session.connection(), opts={"compare_type": True})
        assert compare_metadata(context, ALL_TABLES) == []


def test_the_newest_migration_is_known_without_looking() -> None:
    assert head() == HEAD


def test_a_ledger_of_a_newer_docfleet_is_left_alone(address: str | Path) -> None:
    with Ledger.open(address) as ledger, ledger.unit_of_work() as session:
        session.execute(text("UPDATE alembic_version SET version_num = 'b0001'"))
    with pytest.raises(LedgerError, match="newer docfleet"):
        Ledger.open(address)


def test_a_ledger_that_a_newer_docfleet_only_added_to_is_worked_on(address: str | Path) -> None:
    """While a fleet is updated workers of before start slots anew, and they go on when it is set back."""
    with Ledger.open(address) as ledger, ledger.unit_of_work() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with Ledger.open(address) as ledger:
        assert ledger.find_batch("k") is None
        with ledger.reading() as session:
            assert session.execute(text("SELECT version_num FROM alembic_version")).scalar_one() == "9999"


def test_a_failed_unit_of_work_leaves_nothing(ledger: Ledger) -> None:
    def insert_and_fail() -> None:
        with ledger.unit_of_work() as session:
            session.execute(
                text("INSERT INTO batch (id, key, label, options_json, created_at) VALUES ('b', 'k', '', '', 0)")
            )
            raise Undo

    with pytest.raises(Undo):
        insert_and_fail()
    assert ledger.find_batch("k") is None


# --- SQLite alone


def test_what_is_not_a_ledger_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_bytes(b"This is a text file, and it is longer than a header of SQLite is." * 20)
    with pytest.raises(LedgerError, match="not a database"):
        Ledger.open(tmp_path / "ledger.db")


def test_a_ledger_locked_too_long_is_said_so(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "ledger.db", busy_seconds=0.05) as ledger:
        other = sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LedgerError, match="locked by another process"):
            ledger.claim("w")
        assert ledger.find_batch("readers do not wait") is None
        other.execute("ROLLBACK")
        other.close()
        assert ledger.claim("w") == []


def test_a_full_disk_is_said_so_and_harms_nothing(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "ledger.db") as ledger:
        batch = batch_of(ledger, file_named("a.pdf"))
        with ledger.unit_of_work() as session:
            pages = session.execute(text("PRAGMA page_count")).scalar_one()
            session.execute(text(f"PRAGMA max_page_count = {pages}"))
        with pytest.raises(LedgerError, match="disk is full"):
            ledger.register(BATCH, [file_named(f"{n}.pdf") for n in range(400)])
        with ledger.unit_of_work() as session:
            session.execute(text("PRAGMA max_page_count = 1000000"))
        assert ledger.progress(batch).inputs == 1
        audit(ledger)


def test_a_folder_that_cannot_be_made_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LedgerError, match="folder cannot be made"):
        Ledger.open(tmp_path / "file" / "ledger.db")


def test_other_databases_are_refused() -> None:
    with pytest.raises(LedgerError, match="SQLite and Postgres"):
        Ledger.open("mysql://localhost/docfleet")
