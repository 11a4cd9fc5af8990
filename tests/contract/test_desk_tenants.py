"""No method of the desk shows, changes or reveals anything of another tenant."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest
from desk_driver import fail_at_plan, read_through, submission
from msgspec.structs import replace
from sqlalchemy import text

from docfleet.domain.urgency import Urgency
from docfleet.errors import NotFound
from docfleet.ledger import Ledger
from docfleet.ledger.desk import Desk

Ask = Callable[[Desk, str, str, str], Any]
NOT_FOUND: dict[str, Ask] = {
    "document": lambda desk, tenant, document, batch: desk.document(tenant, document),
    "pages": lambda desk, tenant, document, batch: desk.pages(tenant, document),
    "wrapped_key": lambda desk, tenant, document, batch: desk.wrapped_key(tenant, document),
    "cancel": lambda desk, tenant, document, batch: desk.cancel(tenant, document),
    "retry": lambda desk, tenant, document, batch: desk.retry(tenant, document),
    "reprioritise": lambda desk, tenant, document, batch: desk.reprioritise(tenant, document, Urgency.HIGH),
    "label": lambda desk, tenant, document, batch: desk.label(tenant, document, {"a": "c"}),
    "delete": lambda desk, tenant, document, batch: desk.delete(tenant, document),
    "batch": lambda desk, tenant, document, batch: desk.batch(tenant, batch),
    "seal_batch": lambda desk, tenant, document, batch: desk.seal_batch(tenant, batch),
    "cancel_batch": lambda desk, tenant, document, batch: desk.cancel_batch(tenant, batch),
    "events": lambda desk, tenant, document, batch: desk.events(tenant, document_id=document),
    "events of a batch": lambda desk, tenant, document, batch: desk.events(tenant, batch_id=batch),
    "accept": lambda desk, tenant, document, batch: desk.accept(submission(tenant=tenant, batch_id=batch)),
    "submit": lambda desk, tenant, document, batch: desk.submit(submission(tenant=tenant, batch_id=batch)),
    "accept_many": lambda desk, tenant, document, batch: desk.accept_many([submission(tenant=tenant, batch_id=batch)]),
}
EMPTY: dict[str, Ask] = {
    "documents": lambda desk, tenant, document, batch: desk.documents(tenant).items,
    "batches": lambda desk, tenant, document, batch: desk.batches(tenant).items,
    "dead_letters": lambda desk, tenant, document, batch: desk.dead_letters(tenant).items,
    "dead_letter_groups": lambda desk, tenant, document, batch: desk.dead_letter_groups(tenant),
    "open_dead_letters": lambda desk, tenant, document, batch: desk.open_dead_letters(tenant),
    "retry_dead_letters": lambda desk, tenant, document, batch: desk.retry_dead_letters(tenant),
    "retry one": lambda desk, tenant, document, batch: desk.retry_dead_letters(tenant, document_id=document),
    "discard_dead_letters": lambda desk, tenant, document, batch: desk.discard_dead_letters(tenant),
    "discard one": lambda desk, tenant, document, batch: desk.discard_dead_letters(tenant, document_id=document),
    "find_idempotent": lambda desk, tenant, document, batch: desk.find_idempotent(tenant, "k", "d"),
    "open_documents": lambda desk, tenant, document, batch: desk.open_documents(tenant),
    "known_open_documents": lambda desk, tenant, document, batch: desk.known_open_documents(tenant),
    "open_batch": lambda desk, tenant, document, batch: (
        desk.open_batch(tenant, "inbox", idempotency_key="b").id == batch
    ),
}
OF_NO_TENANT = {"erased_contents", "mark_purged", "content_exists", "kept_prefixes", "prune_idempotency", "empty_log"}
"""Keeping house is for the service itself."""


@pytest.fixture
def theirs(ledger: Ledger) -> tuple[Desk, list[str], str]:
    """A tenant's documents, one in each way to be, and its batch."""
    desk = Desk(ledger)
    batch = desk.open_batch("acme", "inbox", idempotency_key="b").id
    waiting = desk.accept(submission("w", batch_id=batch, idempotency_key="k", request_digest="d")).document_id
    follower = desk.accept(submission("w")).document_id
    failed = desk.accept(submission("f", labels={"a": "b"})).document_id
    done = desk.accept(submission("d")).document_id
    fail_at_plan(ledger, failed)
    read_through(ledger, done)
    return desk, [waiting, follower, failed, done], batch


def everything(ledger: Ledger) -> list[Any]:
    with ledger.reading() as session:
        return [
            sorted(map(str, session.execute(text(f"SELECT * FROM {table} {more}")).all()))
            for table, more in [
                ("document", ""), ("slice", ""), ("page", ""), ("event", ""), ("content", ""), ("label", ""),
                ("idempotency", ""), ("batch", "WHERE tenant_id = 'acme'"),
            ]
        ]  # fmt: skip


def test_every_method_is_walked() -> None:
    public = {name for name, _ in inspect.getmembers(Desk, inspect.isfunction) if not name.startswith("_")}
    assert public == {name for name in (NOT_FOUND | EMPTY) if " " not in name} | OF_NO_TENANT


def test_a_stranger_finds_nothing_and_changes_nothing(theirs: tuple[Desk, list[str], str], ledger: Ledger) -> None:
    desk, documents, batch = theirs
    before = everything(ledger)
    for name, ask in NOT_FOUND.items():
        for document in documents:
            with pytest.raises(NotFound):
                pytest.fail(f"{name} answered a stranger: {ask(desk, 'stranger', document, batch)}")
    for name, ask in EMPTY.items():
        for document in documents:
            assert not ask(desk, "stranger", document, batch), f"{name} answered a stranger"
    assert everything(ledger) == before


def test_the_walk_would_notice(theirs: tuple[Desk, list[str], str]) -> None:
    """The owner gets an answer where a stranger gets none."""
    desk, documents, batch = theirs
    for name in ("document", "pages", "batch", "events", "wrapped_key"):
        NOT_FOUND[name](desk, "acme", documents[0], batch)
    for name in ("documents", "batches", "dead_letters", "dead_letter_groups", "find_idempotent", "open_documents"):
        assert EMPTY[name](desk, "acme", documents[0], batch)


def test_equal_bytes_of_two_tenants_have_nothing_in_common(theirs: tuple[Desk, list[str], str]) -> None:
    desk, documents, _ = theirs
    mine = desk.accept(submission("d", tenant="stranger"))
    assert mine.duplicate_of == ""
    desk.cancel("stranger", mine.document_id)
    desk.delete("stranger", mine.document_id)
    assert desk.document("acme", documents[3]).results
    assert desk.erased_contents() == [mine.content_id]


def test_a_cursor_of_another_tenant_shows_ones_own_documents_only(theirs: tuple[Desk, list[str], str]) -> None:
    desk, _, _ = theirs
    mine = desk.accept(replace(submission(), tenant="stranger")).document_id
    cursor = desk.documents("acme", limit=1).next_cursor
    assert {view.id for view in desk.documents("stranger", cursor=cursor).items} <= {mine}
