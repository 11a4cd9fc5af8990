"""Webhooks and the messages to them, on every database."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from desk_driver import counting_statements, fail_at_plan, read_through, submission
from webhook_driver import URL, at_once

from docfleet.domain.work import DocumentState
from docfleet.errors import BadRequest, Conflict, NotFound
from docfleet.ledger import Ledger, NewBatch, NewInput
from docfleet.ledger.access import Access
from docfleet.ledger.desk import Desk
from docfleet.ledger.moves import lock_document, move_document
from docfleet.ledger.webhook_values import WebhookView
from docfleet.ledger.webhooks import MAX_WEBHOOKS, Webhooks


@pytest.fixture
def ledger(address: str | Path) -> Iterator[Ledger]:
    with Ledger.open(address, jitter=lambda: 0.0) as opened:
        access = Access(opened)
        for tenant in ("acme", "other"):
            access.ensure_tenant(tenant, tenant)
        yield opened


@pytest.fixture
def webhooks(ledger: Ledger) -> Webhooks:
    return Webhooks(ledger)


def messages(webhooks: Webhooks, webhook: WebhookView) -> list[tuple[str, Any]]:
    """(Event type, data) of all, the oldest first."""
    found = webhooks.deliveries(webhook.tenant, webhook.id, limit=1000).items
    return [(item.event_type, json.loads(item.payload_json)) for item in reversed(found)]


# --- what is told


def test_an_end_is_told_once_to_each_webhook_that_wants_it(desk: Desk, ledger: Ledger, webhooks: Webhooks) -> None:
    all_of_it = webhooks.add("acme", URL, b"s")
    failures = webhooks.add("acme", URL, b"s", ["document.failed"])
    successes = webhooks.add("acme", URL, b"s", ["document.succeeded", "batch.finished"])
    stranger = webhooks.add("other", URL, b"s")
    accepted = desk.accept(submission(name='sc"an\n ü 😀.pdf', labels={"a": 'b"\\'}))
    read_through(ledger, accepted.document_id)
    [(event_type, data)] = messages(webhooks, all_of_it)
    assert event_type == "document.succeeded"
    assert data == {
        "document": {
            "id": accepted.document_id, "name": 'sc"an\n ü 😀.pdf', "state": "succeeded", "batch_id": None,
            "labels": {"a": "b\"\\"}, "code": "", "message": "", "pages": 2, "pages_read": 2, "pages_failed": 0,
            "duplicate_of": "",
        }
    }  # fmt: skip
    assert len(messages(webhooks, successes)) == 1
    assert messages(webhooks, failures) == messages(webhooks, stranger) == []


def test_every_way_to_end_is_told(desk: Desk, ledger: Ledger, webhooks: Webhooks) -> None:
    webhook = webhooks.add("acme", URL, b"s")
    partial = desk.accept(submission()).document_id
    read_through(ledger, partial, failed={2})
    failed = desk.accept(submission()).document_id
    fail_at_plan(ledger, failed)
    cancelled = desk.accept(submission()).document_id
    desk.cancel("acme", cancelled)
    told = [(kind, data["document"]["id"], data["document"]["code"]) for kind, data in messages(webhooks, webhook)]
    assert told == [
        ("document.partial", partial, "damaged"),
        ("document.failed", failed, "password_required"),
        ("document.cancelled", cancelled, told[2][2]),
    ]


def test_results_taken_from_another_document_are_told_too(desk: Desk, ledger: Ledger, webhooks: Webhooks) -> None:
    webhook = webhooks.add("acme", URL, b"s")
    first = desk.accept(submission("same"))
    follower = desk.accept(submission("same"))
    read_through(ledger, first.document_id)
    later = desk.accept(submission("same"))
    told = {data["document"]["id"]: data["document"]["duplicate_of"] for _, data in messages(webhooks, webhook)}
    assert set(told) == {first.document_id, follower.document_id, later.document_id}
    assert told[later.document_id]


def test_an_end_in_a_later_round_is_told_anew(desk: Desk, ledger: Ledger, webhooks: Webhooks) -> None:
    webhook = webhooks.add("acme", URL, b"s")
    document = desk.accept(submission()).document_id
    fail_at_plan(ledger, document)
    desk.retry("acme", document)
    read_through(ledger, document)
    assert [kind for kind, _ in messages(webhooks, webhook)] == ["document.failed", "document.succeeded"]


def test_nothing_is_told_to_a_disabled_webhook_nor_of_files_on_the_disk(
    desk: Desk, ledger: Ledger, webhooks: Webhooks
) -> None:
    disabled = webhooks.add("acme", URL, b"s")
    webhooks.disable("acme", disabled.id)
    Access(ledger).ensure_tenant("local", "local")
    at_home = webhooks.add("local", URL, b"s")
    document = desk.accept(submission()).document_id
    read_through(ledger, document)
    batch = ledger.register(NewBatch("b", options_digest="o"), [NewInput("a", "/a", sha256="0" * 64, size_bytes=1)])
    ledger.cancel_batch(batch.batch_id)
    assert messages(webhooks, disabled) == messages(webhooks, at_home) == []


class UndoneError(Exception):
    """Whatever undoes a transaction."""


def end_and_undo(ledger: Ledger, document_id: str) -> None:
    with ledger.unit_of_work() as session:
        move_document(session, lock_document(session, document_id), DocumentState.FAILED, "x", code="x")
        raise UndoneError


def test_an_end_that_is_undone_is_not_told(desk: Desk, ledger: Ledger, webhooks: Webhooks) -> None:
    webhook = webhooks.add("acme", URL, b"s")
    document = desk.accept(submission()).document_id
    with pytest.raises(UndoneError):
        end_and_undo(ledger, document)
    assert messages(webhooks, webhook) == []


def test_an_end_that_nobody_wants_to_know_of_costs_one_statement(desk: Desk, ledger: Ledger) -> None:
    document = desk.accept(submission()).document_id
    with counting_statements(ledger) as sent:
        desk.cancel("acme", document)
    assert sum("webhook" in statement for statement in sent) == 1
    assert not any("delivery" in statement for statement in sent)


# --- batches


def test_a_batch_is_finished_once_when_its_last_document_ends(desk: Desk, ledger: Ledger, webhooks: Webhooks) -> None:
    webhook = webhooks.add("acme", URL, b"s", ["batch.finished"])
    batch = desk.open_batch("acme", "May", {"year": "2026"}, "key")
    documents = [desk.accept(submission(batch_id=batch.id)).document_id for _ in range(3)]
    read_through(ledger, documents[0])
    desk.seal_batch("acme", batch.id)
    read_through(ledger, documents[1], failed={1})
    assert messages(webhooks, webhook) == []
    assert desk.batch("acme", batch.id).finished_at is None
    fail_at_plan(ledger, documents[2])
    [(kind, data)] = messages(webhooks, webhook)
    assert kind == "batch.finished"
    assert data["batch"] == {
        "id": batch.id, "label": "May", "labels": {"year": "2026"},
        "documents": {"failed": 1, "partial": 1, "succeeded": 1}, "pages": 4, "pages_read": 3, "pages_failed": 1,
    }  # fmt: skip
    assert desk.batch("acme", batch.id).finished_at is not None
    desk.retry("acme", documents[2])
    read_through(ledger, documents[2])
    desk.seal_batch("acme", batch.id)
    assert len(messages(webhooks, webhook)) == 1


def test_a_batch_sealed_after_its_last_document_is_finished_at_once(
    desk: Desk, ledger: Ledger, webhooks: Webhooks
) -> None:
    webhook = webhooks.add("acme", URL, b"s", ["batch.finished"])
    batch = desk.open_batch("acme", "", {}, "key")
    read_through(ledger, desk.accept(submission(batch_id=batch.id)).document_id)
    assert messages(webhooks, webhook) == []
    assert desk.seal_batch("acme", batch.id).finished_at is not None
    assert len(messages(webhooks, webhook)) == 1
    empty = desk.open_batch("acme", "", {}, "key")
    assert desk.seal_batch("acme", empty.id).finished_at is not None


def test_documents_by_themselves_make_no_batch(desk: Desk, ledger: Ledger, webhooks: Webhooks) -> None:
    webhook = webhooks.add("acme", URL, b"s", ["batch.finished"])
    read_through(ledger, desk.accept(submission()).document_id)
    assert messages(webhooks, webhook) == []


def test_whoever_comes_last_finishes_the_batch(desk: Desk, ledger: Ledger, webhooks: Webhooks) -> None:
    """Its last documents end, and it is sealed, all at the same time."""
    webhook = webhooks.add("acme", URL, b"s", ["batch.finished"])
    for _ in range(15):
        batch = desk.open_batch("acme", "", {}, "key")
        documents = [desk.accept(submission(batch_id=batch.id)).document_id for _ in range(3)]
        ends = [lambda document=document: desk.cancel("acme", document) for document in documents]
        at_once(lambda batch=batch: desk.seal_batch("acme", batch.id), *ends)
        assert desk.batch("acme", batch.id).finished_at is not None
    assert len(messages(webhooks, webhook)) == 15


def test_removing_a_webhook_never_breaks_the_end_of_a_document(desk: Desk, webhooks: Webhooks) -> None:
    for _ in range(10):
        hooks = [webhooks.add("acme", URL, b"s") for _ in range(2)]
        documents = [desk.accept(submission()).document_id for _ in range(2)]
        at_once(
            *(lambda document=document: desk.cancel("acme", document) for document in documents),
            *(lambda hook=hook: webhooks.remove("acme", hook.id) for hook in hooks),
        )
    assert webhooks.list("acme") == []


# --- what a tenant sets up


def test_webhooks_are_kept(webhooks: Webhooks) -> None:
    first = webhooks.add("acme", URL, b"sealed", ["document.failed", "document.failed"])
    second = webhooks.add("acme", URL + "2", b"sealed")
    assert webhooks.get("acme", first.id) == first
    assert first.event_types == ("document.failed",)
    assert webhooks.list("acme") == [first, second]
    webhooks.remove("acme", first.id)
    assert webhooks.list("acme") == [second]
    with pytest.raises(BadRequest):
        webhooks.add("acme", URL, b"", ["document.lost"])
    with pytest.raises(BadRequest):
        webhooks.add("acme", "https://example.org/" + "x" * 2000, b"")
    for _ in range(MAX_WEBHOOKS - 1):
        webhooks.add("acme", URL, b"")
    with pytest.raises(Conflict):
        webhooks.add("acme", URL, b"")


def test_a_stranger_finds_nothing(webhooks: Webhooks) -> None:
    mine = webhooks.add("acme", URL, b"s")
    message = webhooks.send_test("acme", mine.id)
    calls: list[Callable[[str], object]] = [
        lambda tenant: webhooks.get(tenant, mine.id), lambda tenant: webhooks.remove(tenant, mine.id),
        lambda tenant: webhooks.enable(tenant, mine.id), lambda tenant: webhooks.disable(tenant, mine.id),
        lambda tenant: webhooks.send_test(tenant, mine.id), lambda tenant: webhooks.deliveries(tenant, mine.id),
        lambda tenant: webhooks.delivery(tenant, message.id), lambda tenant: webhooks.attempts(tenant, message.id),
        lambda tenant: webhooks.redeliver(tenant, message.id),
    ]  # fmt: skip
    for call in calls:
        with pytest.raises(NotFound):
            call("other")
    assert webhooks.list("other") == []
    assert webhooks.get("acme", mine.id) == mine
    for nonsense in ("", "\0", "x" * 32, "'"):
        with pytest.raises(NotFound):
            webhooks.get("acme", nonsense)
        with pytest.raises(NotFound):
            webhooks.delivery("acme", nonsense)
        with pytest.raises(NotFound):
            webhooks.remove("acme", nonsense)


def test_the_log_is_paged(webhooks: Webhooks) -> None:
    webhook = webhooks.add("acme", URL, b"s")
    sent = [webhooks.send_test("acme", webhook.id).id for _ in range(5)]
    found: list[str] = []
    cursor = None
    while True:
        page = webhooks.deliveries("acme", webhook.id, cursor, 2)
        found += [item.id for item in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert sorted(found, reverse=True) == found
    assert set(found) == set(sent)
    with pytest.raises(BadRequest):
        webhooks.deliveries("acme", webhook.id, "rubbish")
