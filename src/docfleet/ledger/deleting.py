"""Deleting documents, and the bytes and results that no document points to any more.

Erasing a content forgets its data key: from that commit on nobody can read its bytes, wherever copies of them lie. The
objects themselves are deleted afterwards, by whoever keeps house.
"""

from __future__ import annotations

from collections.abc import Collection

import msgspec
from sqlalchemy import bindparam, case, delete, select, update
from sqlalchemy.orm import Session

from docfleet.domain.work import DOCUMENT_ENDS, DocumentState
from docfleet.errors import Conflict, Gone, NotFound
from docfleet.ledger.checks import known_id
from docfleet.ledger.controlling import standing
from docfleet.ledger.dead_letters import settle
from docfleet.ledger.dialect import database_now
from docfleet.ledger.followers import read_followers
from docfleet.ledger.moves import LockedDocument, lock_document, record_documents
from docfleet.ledger.rows import DOCUMENT, PAGE, SLICE
from docfleet.ledger.service_rows import CONTENT, DELIVERY, WEBHOOK, LabelRow

_LAST = CONTENT.c.refs <= 1
LET_GO = (
    update(CONTENT)
    .where(CONTENT.c.id == bindparam("left_id"), CONTENT.c.erased_at.is_(None))
    .values(
        refs=CONTENT.c.refs - 1,
        wrapped_key=case((_LAST, None), else_=CONTENT.c.wrapped_key),
        erased_at=case((_LAST, database_now()), else_=None),
    )
)
"""One document less points to the content; without any it is erased."""


def delete_document(session: Session, tenant: str, document_id: str) -> None:
    """Leaves a tombstone with the history: ids, states, times and figures, but no name, label, text or result.

    Raises Conflict while it is open, Gone when it was deleted before.
    """
    standing(session, tenant, document_id)
    document = lock_document(session, document_id)
    # again under the lock: two may delete at once
    standing(session, tenant, document_id)
    if document.state not in DOCUMENT_ENDS:
        raise Conflict(f"The document is {document.state}: cancel it first.")
    settle(session, document_id, None)
    if document.state is DocumentState.SUCCEEDED:
        read_followers(session, document)  # who has not taken its results by now cannot any more
    content_id = session.execute(select(DOCUMENT.c.content_id).where(DOCUMENT.c.id == document_id)).scalar_one()
    session.execute(
        update(DOCUMENT)
        .where(DOCUMENT.c.id == document_id)
        .values(
            deleted_at=database_now(), content_id=None, name="", labels_json="{}", options_key="", message="",
            detail="", plan_json="", result_key="", results_json="[]", follows=None,
        )
    )  # fmt: skip
    labels = LabelRow.__table__
    session.execute(delete(LabelRow).where(labels.c.document_id == document_id))
    session.execute(update(PAGE).where(PAGE.c.document_id == document_id).values(reason="", detail=""))
    session.execute(
        update(SLICE)
        .where(SLICE.c.document_id == document_id)
        .values(message="", detail="", payload_json="", result_key="")
    )
    record_documents(session, [document_id], document.state, document.state, "deleted")
    _scrub_messages(session, tenant, document)
    if content_id is not None:
        session.execute(LET_GO, {"left_id": content_id})


def _scrub_messages(session: Session, tenant: str, document: LockedDocument) -> None:
    """What was, or is still to be, told of its ends is told without its name, labels and text."""
    ends = [f"document.{state}" for state in DOCUMENT_ENDS]
    keys = [f"{document.id}:{round_}:{end}" for round_ in range(1, document.round + 1) for end in ends]
    webhooks = select(WEBHOOK.c.id).where(WEBHOOK.c.tenant_id == tenant)
    messages = session.execute(
        select(DELIVERY.c.id, DELIVERY.c.payload_json)
        .where(DELIVERY.c.webhook_id.in_(webhooks), DELIVERY.c.dedupe_key.in_(keys))
        .order_by(DELIVERY.c.id)
    ).all()
    for message in messages:
        payload = msgspec.json.decode(message.payload_json)
        payload["document"] = payload["document"] | {"name": "", "labels": {}, "message": ""}
        scrubbed = update(DELIVERY).where(DELIVERY.c.id == message.id)
        session.execute(scrubbed.values(payload_json=msgspec.json.encode(payload).decode()))


def wrapped_key(session: Session, tenant: str, document_id: str) -> bytes:
    """The data key of the document's bytes and results, encrypted. Raises NotFound or Gone."""
    row = session.execute(
        select(CONTENT.c.wrapped_key, DOCUMENT.c.deleted_at)
        .select_from(DOCUMENT)
        .outerjoin(CONTENT, CONTENT.c.id == DOCUMENT.c.content_id)
        .where(DOCUMENT.c.id == known_id(document_id, "document"), DOCUMENT.c.tenant_id == tenant)
    ).one_or_none()
    if row is None:
        raise NotFound("There is no document with this id.")
    if row.deleted_at is not None or row.wrapped_key is None:
        raise Gone()
    return bytes(row.wrapped_key)


def erased_contents(session: Session, limit: int) -> list[str]:
    """Contents whose objects are to be deleted, the longest erased first."""
    return list(
        session.execute(
            select(CONTENT.c.id)
            .where(CONTENT.c.erased_at.is_not(None), CONTENT.c.purged_at.is_(None))
            .order_by(CONTENT.c.erased_at)
            .limit(limit)
        ).scalars()
    )


def mark_purged(session: Session, content_ids: Collection[str]) -> None:
    """Their objects are deleted. Only what was erased can be."""
    session.execute(
        update(CONTENT)
        .where(CONTENT.c.id.in_(sorted(content_ids)), CONTENT.c.erased_at.is_not(None), CONTENT.c.purged_at.is_(None))
        .values(purged_at=database_now())
    )


def existing_contents(session: Session, content_ids: Collection[str]) -> set[str]:
    """Those of the ids whose objects belong to something: whatever lies under another id is an orphan."""
    if not content_ids:
        return set()
    found = select(CONTENT.c.id).where(CONTENT.c.id.in_(sorted(content_ids)), CONTENT.c.purged_at.is_(None))
    return set(session.execute(found).scalars())
