"""Cancelling, trying again, reprioritising, deleting, and dead letters, on every database."""

from __future__ import annotations

import pytest
from desk_driver import RESULT, fail_at_plan, read_through, submission
from sqlalchemy import text

from docfleet.domain.urgency import Urgency
from docfleet.domain.work import DocumentState
from docfleet.errors import BadRequest, Conflict, DocumentError, Gone, NotFound, PasswordRequired, UnsupportedType
from docfleet.ledger import Ledger
from docfleet.ledger.access import Access
from docfleet.ledger.desk import Desk
from docfleet.ledger.service_values import DocumentFilter
from docfleet.ledger.webhooks import Webhooks


def everything_said(ledger: Ledger) -> str:
    """All text in the ledger that a document may have left."""
    said = []
    with ledger.reading() as session:
        for table in ("document", "page", "slice", "label", "event", "input", "content", "delivery"):
            said += [str(tuple(row)) for row in session.execute(text(f"SELECT * FROM {table}"))]
    return "\n".join(said)


# --- cancelling


def test_cancelling_takes_the_work_away(desk: Desk, ledger: Ledger) -> None:
    id_ = desk.accept(submission()).document_id
    [claim] = ledger.claim("w")
    assert desk.cancel("acme", id_).state is DocumentState.CANCELLED
    assert desk.cancel("acme", id_).state is DocumentState.CANCELLED
    assert ledger.beat("w", [claim]) == {claim.slice_id}
    assert not ledger.claim("w")
    done = desk.accept(submission()).document_id
    read_through(ledger, done)
    with pytest.raises(Conflict):
        desk.cancel("acme", done)


def test_cancelling_one_that_waits_for_another_leaves_that_alone(desk: Desk, ledger: Ledger) -> None:
    first = desk.accept(submission("x")).document_id
    second = desk.accept(submission("x")).document_id
    desk.cancel("acme", second)
    assert read_through(ledger, first) is DocumentState.SUCCEEDED
    assert desk.document("acme", second).state is DocumentState.CANCELLED
    desk.retry("acme", second)
    assert read_through(ledger, second) is DocumentState.SUCCEEDED


def test_whoever_waited_has_the_results_for_itself(desk: Desk, ledger: Ledger) -> None:
    first = desk.accept(submission("x")).document_id
    second = desk.accept(submission("x", urgency=Urgency.BULK)).document_id
    read_through(ledger, first)
    view = desk.document("acme", second)
    assert (view.state, view.duplicate_of, view.cost_usd) == (DocumentState.SUCCEEDED, first, 0.0)
    desk.delete("acme", first)
    assert desk.document("acme", second).results == (RESULT,)
    assert desk.wrapped_key("acme", second)
    assert [page.state for page in desk.pages("acme", second)] == ["read", "read"]
    assert desk.accept(submission("x")).duplicate_of == second
    desk.delete("acme", second)
    assert desk.erased_contents() == []


@pytest.mark.parametrize("end", ["cancelled and deleted", "partial", "failed"])
def test_whoever_waited_for_nothing_is_read_itself(desk: Desk, ledger: Ledger, end: str) -> None:
    first = desk.accept(submission("x"))
    second = desk.accept(submission("x")).document_id
    third = desk.accept(submission("x")).document_id
    if end == "cancelled and deleted":
        desk.cancel("acme", first.document_id)
        desk.delete("acme", first.document_id)
    elif end == "failed":
        fail_at_plan(ledger, first.document_id)
    else:
        read_through(ledger, first.document_id, failed={2})
    assert desk.document("acme", second).duplicate_of == ""
    assert desk.document("acme", third).duplicate_of == second
    assert desk.wrapped_key("acme", second)
    assert read_through(ledger, second) is DocumentState.SUCCEEDED
    assert desk.document("acme", third).state is DocumentState.SUCCEEDED
    assert desk.document("acme", second).content_id == first.content_id


# --- trying again


def test_one_that_failed_is_tried_again_as_a_whole(desk: Desk, ledger: Ledger) -> None:
    id_ = desk.accept(submission()).document_id
    for unready in (None, [1]):
        with pytest.raises(Conflict):
            desk.retry("acme", id_, unready)
    fail_at_plan(ledger, id_)
    assert desk.retry("acme", id_).state is DocumentState.RECEIVED
    assert read_through(ledger, id_) is DocumentState.SUCCEEDED
    with pytest.raises(Conflict):
        desk.retry("acme", id_)


def test_one_that_was_cancelled_starts_again(desk: Desk, ledger: Ledger) -> None:
    id_ = desk.accept(submission()).document_id
    desk.cancel("acme", id_)
    with pytest.raises((Conflict, BadRequest)):
        desk.retry("acme", id_, [1])
    desk.retry("acme", id_)
    assert read_through(ledger, id_) is DocumentState.SUCCEEDED


def test_only_pages_that_were_not_read_are_tried_again(desk: Desk, ledger: Ledger) -> None:
    id_ = desk.accept(submission()).document_id
    read_through(ledger, id_, pages=4, failed={2, 4})
    with pytest.raises(Conflict):
        desk.retry("acme", id_, [1])
    for wrong in ([0], [5], [], [-1], [2, 99]):
        with pytest.raises(BadRequest):
            desk.retry("acme", id_, wrong)
    desk.retry("acme", id_, [4])
    claims = ledger.claim("w", limit=10)
    assert [(claim.first_page, claim.last_page) for claim in claims] == [(4, 4)]
    for claim in claims:
        ledger.hand_back(claim)
    assert read_through(ledger, id_) is DocumentState.PARTIAL
    desk.retry("acme", id_)
    assert read_through(ledger, id_) is DocumentState.SUCCEEDED


def test_a_batch_whose_document_is_tried_again_is_not_finished(desk: Desk, ledger: Ledger) -> None:
    batch = desk.open_batch("acme", "inbox")
    id_ = desk.accept(submission(batch_id=batch.id)).document_id
    fail_at_plan(ledger, id_)
    with ledger.unit_of_work() as session:
        session.execute(text("UPDATE batch SET finished_at = 1, sealed_at = 1 WHERE NOT implicit"))
    desk.retry("acme", id_)
    assert desk.batch("acme", batch.id).finished_at is None


# --- priority


def test_a_document_wanted_sooner_is_chosen_anew(desk: Desk, ledger: Ledger) -> None:
    id_ = desk.accept(submission()).document_id
    with ledger.unit_of_work() as session:
        session.execute(text("UPDATE slice SET dispatched_at = 1"))
    view = desk.reprioritise("acme", id_, Urgency.CRITICAL, deadline_at=2e9)
    assert (view.urgency, view.deadline_at) == (Urgency.CRITICAL, 2e9)
    with ledger.reading() as session:
        row = session.execute(text("SELECT urgency, deadline_at, dispatched_at FROM slice")).one()
    assert tuple(row) == ("critical", 2e9, None)
    # without a deadline the old one stays
    assert desk.reprioritise("acme", id_, Urgency.BULK).deadline_at == 2e9
    with pytest.raises(BadRequest):
        desk.reprioritise("acme", id_, Urgency.BULK, deadline_at=float("inf"))
    read_through(ledger, id_)
    with pytest.raises(Conflict):
        desk.reprioritise("acme", id_, Urgency.HIGH)


def test_whoever_waits_for_another_takes_it_along(desk: Desk) -> None:
    first = desk.accept(submission("x", urgency=Urgency.NORMAL)).document_id
    second = desk.accept(submission("x", urgency=Urgency.BULK)).document_id
    desk.reprioritise("acme", second, Urgency.NORMAL)
    assert desk.document("acme", first).urgency is Urgency.NORMAL
    desk.reprioritise("acme", second, Urgency.CRITICAL)
    assert desk.document("acme", first).urgency is Urgency.CRITICAL
    with pytest.raises(Conflict):
        desk.reprioritise("acme", first, Urgency.HIGH)
    assert desk.document("acme", first).urgency is Urgency.CRITICAL


# --- deleting


def test_a_deleted_document_is_gone_but_for_its_history(desk: Desk, ledger: Ledger) -> None:
    Access(ledger).ensure_tenant("acme", "Acme")
    Webhooks(ledger).add("acme", "https://example.com/hook", b"sealed")
    content = submission(name="secret name", labels={"secret label": "secret value"})
    id_ = desk.accept(content).document_id
    with pytest.raises(Conflict):
        desk.delete("acme", id_)
    read_through(ledger, id_, pages=2, failed={2})
    assert everything_said(ledger).count("secret value") > 2
    desk.delete("acme", id_)
    for ask in (desk.document, desk.pages, desk.wrapped_key, desk.cancel, desk.retry, desk.delete):
        with pytest.raises(Gone):
            ask("acme", id_)
    with pytest.raises(Gone):
        desk.reprioritise("acme", id_, Urgency.HIGH)
    assert desk.documents("acme").items == ()
    assert desk.documents("acme", DocumentFilter(labels={"secret label": "secret value"})).items == ()
    assert desk.dead_letters("acme").items == ()
    assert desk.retry_dead_letters("acme") == 0
    said = everything_said(ledger)
    assert "document.partial" in said
    for secret in ("secret", RESULT.path, "The page is damaged", str(content.wrapped_key)):
        assert secret not in said
    history = desk.events("acme", document_id=id_, limit=100)
    assert [event.to_state for event in history if event.slice_id is None][-2:] == ["partial", "partial"]
    assert history[-1].cause == "deleted"


def test_the_last_to_go_takes_the_bytes_along(desk: Desk, ledger: Ledger) -> None:
    first = desk.accept(submission("x"))
    second = desk.accept(submission("x"))
    desk.cancel("acme", second.document_id)
    read_through(ledger, first.document_id)
    third = desk.accept(submission("x"))
    key = desk.wrapped_key("acme", third.document_id)
    for id_ in (first.document_id, second.document_id):
        desk.delete("acme", id_)
        view = desk.document("acme", third.document_id)
        assert view.results == (RESULT,)
        assert desk.wrapped_key("acme", third.document_id) == key
        assert [page.state for page in desk.pages("acme", third.document_id)] == ["read", "read"]
        assert desk.erased_contents() == []
    desk.delete("acme", third.document_id)
    assert desk.erased_contents() == [first.content_id]
    assert key.hex() not in everything_said(ledger)
    with ledger.reading() as session:
        assert session.execute(text("SELECT wrapped_key, refs FROM content")).one() == (None, 0)
    assert desk.accept(submission("x")).duplicate_of == ""


def test_what_was_purged_is_asked_for_no_more(desk: Desk) -> None:
    alive = desk.accept(submission()).content_id
    ids = []
    for _ in range(3):
        accepted = desk.accept(submission())
        desk.cancel("acme", accepted.document_id)
        desk.delete("acme", accepted.document_id)
        ids.append(accepted.content_id)
    assert desk.erased_contents(2) == ids[:2]
    desk.mark_purged([*ids[:2], alive])
    assert desk.erased_contents() == ids[2:]
    # an erased one still belongs to the purge, not to the search for orphans
    assert desk.content_exists([*ids, alive, "0" * 32, "\ufffd"]) == {ids[2], alive}
    assert desk.content_exists([]) == set()


# --- dead letters


def dead(desk: Desk, ledger: Ledger, code: type[DocumentError] = PasswordRequired) -> str:
    id_ = desk.accept(submission(name="dead.pdf")).document_id
    fail_at_plan(ledger, id_, code)
    return id_


def test_dead_letters_are_listed_and_grouped_with_their_cause(desk: Desk, ledger: Ledger) -> None:
    first, second = dead(desk, ledger), dead(desk, ledger)
    third = dead(desk, ledger, UnsupportedType)
    paged = desk.accept(submission()).document_id
    read_through(ledger, paged, pages=3, failed={1, 3})
    letters = desk.dead_letters("acme").items
    assert [letter.document_id for letter in letters] == [paged, paged, third, second, first]
    assert [(letter.code, letter.step, letter.first_page) for letter in letters][::-1][2:] == [
        ("unsupported_type", "plan", 0), ("damaged", "local", 1), ("damaged", "local", 3),
    ]  # fmt: skip
    letter = letters[-1]
    assert (letter.document_name, letter.batch_id, letter.document_state) == ("dead.pdf", None, DocumentState.FAILED)
    assert (letter.message, letter.attempts, letter.errors) == (PasswordRequired().message, 1, 1)
    groups = desk.dead_letter_groups("acme")
    assert {(group.code, group.step): (group.count, group.documents) for group in groups} == {
        ("password_required", "plan"): (2, 2), ("unsupported_type", "plan"): (1, 1), ("damaged", "local"): (2, 1),
    }  # fmt: skip
    assert all(group.oldest_at <= group.newest_at and group.example_message for group in groups)
    assert len(desk.dead_letters("acme", code="damaged").items) == 2
    page = desk.dead_letters("acme", limit=3)
    rest = desk.dead_letters("acme", cursor=page.next_cursor, limit=3)
    assert (*page.items, *rest.items) == letters
    assert rest.next_cursor is None


def test_dead_letters_are_tried_again_by_group(desk: Desk, ledger: Ledger) -> None:
    first, second = dead(desk, ledger), dead(desk, ledger)
    third = dead(desk, ledger, UnsupportedType)
    assert desk.retry_dead_letters("acme", code="password_required", step="plan") == 2
    assert desk.retry_dead_letters("acme", code="password_required", step="plan") == 0
    assert [letter.document_id for letter in desk.dead_letters("acme").items] == [third]
    for id_ in (first, second):
        assert read_through(ledger, id_) is DocumentState.SUCCEEDED
    assert desk.retry_dead_letters("acme") == 1
    fail_at_plan(ledger, third)
    # died anew: a letter once more
    [letter] = desk.dead_letters("acme").items
    assert (letter.document_id, letter.code) == (third, "password_required")
    for wrong in ({"step": "dance"}, {"code": "\x00"}):
        with pytest.raises(BadRequest):
            desk.retry_dead_letters("acme", **wrong)
    with pytest.raises(NotFound):
        desk.retry_dead_letters("acme", document_id="\x00")


def test_dead_letters_are_tried_again_by_page(desk: Desk, ledger: Ledger) -> None:
    id_ = desk.accept(submission()).document_id
    read_through(ledger, id_, pages=3, failed={1, 3})
    desk.retry("acme", id_, [3])
    # the other page was not tried again, so its letter stays; and nothing is tried again of what is open
    assert [letter.first_page for letter in desk.dead_letters("acme").items] == [1]
    assert desk.retry_dead_letters("acme") == 0
    assert [letter.first_page for letter in desk.dead_letters("acme").items] == [1]
    assert read_through(ledger, id_) is DocumentState.PARTIAL
    assert desk.retry_dead_letters("acme", document_id=id_) == 1
    assert read_through(ledger, id_) is DocumentState.SUCCEEDED
    assert desk.dead_letters("acme").items == ()


def test_discarded_letters_leave_their_document_as_it_is(desk: Desk, ledger: Ledger) -> None:
    first, second = dead(desk, ledger), dead(desk, ledger, UnsupportedType)
    assert desk.discard_dead_letters("acme", code="password_required") == 1
    assert desk.discard_dead_letters("acme", code="password_required") == 0
    assert [letter.document_id for letter in desk.dead_letters("acme").items] == [second]
    assert desk.document("acme", first).state is DocumentState.FAILED
    assert desk.events("acme", document_id=first)[-1].cause == "discarded"
    # it can still be tried again
    desk.retry("acme", first)
    assert read_through(ledger, first) is DocumentState.SUCCEEDED


def test_many_dead_letters_are_dealt_with_in_parts(desk: Desk, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("docfleet.ledger.desk._PART", 3)
    for _ in range(8):
        dead(desk, ledger)
    assert desk.retry_dead_letters("acme") == 8
    assert desk.dead_letters("acme").items == ()
    for view in desk.documents("acme").items:
        fail_at_plan(ledger, view.id)
    assert desk.discard_dead_letters("acme") == 8
    assert desk.dead_letter_groups("acme") == []


def test_a_large_batch_is_cancelled_in_parts(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("docfleet.ledger.desk._PART", 3)
    batch = desk.open_batch("acme")
    for _ in range(7):
        desk.accept(submission(batch_id=batch.id))
    assert desk.cancel_batch("acme", batch.id) == 7
