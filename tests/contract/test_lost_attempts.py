"""What killed and fenced attempts left in contents that live, and that nothing which is needed goes with it."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from desk_driver import RESULTS, read_through, submission
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from docfleet.dispatch.purge import attempt_prefix, purge_attempts
from docfleet.domain.work import DocumentState, Step
from docfleet.errors import Fenced
from docfleet.ledger import Claim, DocumentSummary, Ledger, NewSlice, PageOutcome, Plan
from docfleet.ledger.desk import Desk
from docfleet.store import FolderStore

DAY = 86400.0


class Shelf:
    """A store whose objects are as old as a test wants them."""

    def __init__(self, folder: Path, desk: Desk) -> None:
        self.folder, self.desk = folder, desk
        self.store = FolderStore(folder)

    def put(self, key: str, age: float = 2 * DAY) -> str:
        self.store.put(key, b"bytes")
        at = time.time() - age
        os.utime(self.folder / key, (at, at))
        return key

    def wrote(self, claim: Claim, age: float = 2 * DAY) -> set[str]:
        """What an attempt writes, as an attempt at any step may."""
        content = claim.document.content_id
        return {
            self.put(f"{claim.result_prefix}/pages.msgpack", age),
            self.put(f"contents/{content}/results/{claim.slice_id}-{claim.token}/document.json", age),
            self.put(f"contents/{content}/results/{claim.slice_id}-{claim.token}/tables/1.csv", age),
        }

    def sweep(self) -> int:
        return purge_attempts(self.desk, self.store, time.time() - DAY, lambda: False)

    def keys(self) -> set[str]:
        return set(self.store.list("contents"))


@pytest.fixture
def shelf(tmp_path: Path, desk: Desk) -> Shelf:
    return Shelf(tmp_path / "store", desk)


def claim_again(ledger: Ledger, claim: Claim) -> Claim:
    """Its worker is killed, and another takes the same slice."""
    ledger.release_worker(claim.worker, crashed=True, working_on=[claim.slice_id])
    with ledger.unit_of_work() as session:
        session.execute(text("UPDATE slice SET available_at = available_at - 1000"))
    [again] = [found for found in ledger.claim("second", limit=100) if found.slice_id == claim.slice_id]
    return again


def test_what_a_killed_attempt_wrote_goes_and_what_counts_stays(ledger: Ledger, desk: Desk, shelf: Shelf) -> None:
    desk.accept(submission(content_id="c" * 32))
    source = shelf.put(f"contents/{'c' * 32}/source")
    [plan] = ledger.claim("first")
    ledger.finish(plan, next_slices=[NewSlice(Step.LOCAL, 1, 2), NewSlice(Step.LOCAL, 3, 3)], plan=Plan(3))
    lost, other = ledger.claim("first", limit=2)
    shelf.wrote(lost)
    again = claim_again(ledger, lost)
    assert again.token > lost.token
    running = shelf.wrote(again)
    with pytest.raises(Fenced):
        ledger.finish(lost, f"{lost.result_prefix}/pages.msgpack", [PageOutcome(1), PageOutcome(2)])
    assert shelf.sweep() == 2, "the pages and the results of the attempt that lost"
    assert shelf.keys() == {source} | running, "what a living attempt wrote is its own affair, however old"
    kept = f"{again.result_prefix}/pages.msgpack"
    ledger.finish(again, kept, [PageOutcome(1, engine="text"), PageOutcome(2, engine="text")])
    assert shelf.sweep() == 1
    assert shelf.keys() == {source, kept}
    assert other.document.id == again.document.id


def test_pages_that_are_still_to_be_assembled_stay_those_of_a_success_do_not(
    ledger: Ledger, desk: Desk, shelf: Shelf
) -> None:
    desk.accept(submission())
    [plan] = ledger.claim("w")
    ledger.finish(plan, next_slices=[NewSlice(Step.LOCAL, 1, 1)], plan=Plan(1))
    [page] = ledger.claim("w")
    pages = shelf.put(f"{page.result_prefix}/pages.msgpack")
    ledger.finish(page, pages, [PageOutcome(1, engine="text")])
    assert shelf.sweep() == 0, "the assembly needs them"
    [assembly] = ledger.claim("w")
    results = f"contents/{assembly.document.content_id}/results/{assembly.slice_id}-{assembly.token}"
    document = shelf.put(f"{results}/document.json")
    assert ledger.finish_document(assembly, DocumentSummary(results, results_json=RESULTS)) is DocumentState.SUCCEEDED
    assert shelf.sweep() == 1, "its worker was killed before it could delete them"
    assert shelf.keys() == {document}


def test_pages_of_a_partial_document_stay_for_another_try(ledger: Ledger, desk: Desk, shelf: Shelf) -> None:
    accepted = desk.accept(submission())
    assert read_through(ledger, accepted.document_id, pages=2, failed=[2]) is DocumentState.PARTIAL
    with ledger.reading() as session:
        key = session.execute(text("SELECT result_key FROM slice WHERE step = 'local' AND state = 'done'")).scalar_one()
    content = desk.document("acme", accepted.document_id).content_id
    assert key.startswith(f"contents/{content}/slices/")
    # the driver names the prefix of an attempt as the key of its pages
    with ledger.unit_of_work() as session:
        session.execute(text("UPDATE slice SET result_key = :key WHERE result_key = :old"),
                        {"key": f"{key}/pages.msgpack", "old": key})  # fmt: skip
    shelf.put(f"{key}/pages.msgpack")
    assert shelf.sweep() == 0


def test_shared_results_stay_while_one_document_points_to_them(ledger: Ledger, desk: Desk, shelf: Shelf) -> None:
    first = desk.accept(submission("same"))
    [plan] = ledger.claim("w")
    prefix = f"contents/{plan.document.content_id}/results/{plan.slice_id}-{plan.token}"
    summary = DocumentSummary(prefix, results_json=RESULTS)
    ledger.finish_in_one(plan, Plan(1), [PageOutcome(1, engine="text")], "", summary)
    result = shelf.put(f"{prefix}/document.json")
    second = desk.accept(submission("same"))
    assert desk.document("acme", second.document_id).result_key == prefix
    desk.delete("acme", first.document_id)
    assert shelf.sweep() == 0
    assert shelf.keys() == {result}


def test_young_bytes_and_unknown_contents_are_left_alone(ledger: Ledger, desk: Desk, shelf: Shelf) -> None:
    desk.accept(submission())
    [claim] = ledger.claim("first")
    young = shelf.wrote(claim, age=60.0)
    claim_again(ledger, claim)
    foreign = shelf.put(f"contents/{'f' * 32}/slices/1/1/pages.msgpack")
    half = shelf.put(f"contents/{claim.document.content_id}/results/{claim.slice_id}-{claim.token}/text.txt")
    assert shelf.sweep() == 0, "an attempt that wrote a moment ago may still be writing"
    assert shelf.keys() == young | {foreign, half}


def test_more_attempts_than_are_looked_up_at_once(
    ledger: Ledger, desk: Desk, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("docfleet.dispatch.purge._BATCH", 3)
    kept = set()
    for _ in range(7):
        desk.accept(submission())
        [claim] = ledger.claim("first")
        shelf.wrote(claim)
        kept |= shelf.wrote(claim_again(ledger, claim))
    assert shelf.sweep() == 14
    assert shelf.keys() == kept


@given(st.lists(st.sampled_from(["contents", "c", "source", "slices", "results", "7", "7-3", "x.json"]), max_size=8))
def test_an_attempt_is_a_whole_prefix_below_its_content(parts: list[str]) -> None:
    key = "/".join(parts)
    prefix = attempt_prefix(key)
    assert not prefix or (key.startswith(f"{prefix}/") and prefix.split("/")[2] in ("slices", "results"))
    assert prefix.count("/") in ((4,) if parts[2:3] == ["slices"] else (3,)) or not prefix
