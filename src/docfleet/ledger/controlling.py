"""What a tenant does to a document that is there: stop it, try it again, want it sooner."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import msgspec
from sqlalchemy import bindparam, select, update
from sqlalchemy.orm import Session

from docfleet.domain.urgency import RANK, Urgency
from docfleet.domain.work import DOCUMENT_ENDS, OPEN_SLICES, PAGE_READ, DocumentState
from docfleet.errors import BadRequest, Conflict, Gone, NotFound
from docfleet.ledger.accepting import wake
from docfleet.ledger.checks import known_id
from docfleet.ledger.dead_letters import settle
from docfleet.ledger.dialect import database_now
from docfleet.ledger.moves import LockedDocument, cancel_open_slices, lock_document, move_document, record_documents
from docfleet.ledger.registering import restart
from docfleet.ledger.restarting import retry_document
from docfleet.ledger.rows import BATCH, DOCUMENT, PAGE, SLICE


class Standing(msgspec.Struct, frozen=True):
    """What has to be known of a document before it is locked."""

    follows: str | None
    urgency: Urgency
    pool: str


_STANDING = select(DOCUMENT.c.follows, DOCUMENT.c.deleted_at, DOCUMENT.c.urgency, DOCUMENT.c.pool).where(
    DOCUMENT.c.id == bindparam("wanted_id"), DOCUMENT.c.tenant_id == bindparam("tenant")
)


def standing(session: Session, tenant: str, document_id: str) -> Standing:
    """Raises NotFound, or Gone when it was deleted."""
    row = session.execute(_STANDING, {"wanted_id": known_id(document_id, "document"), "tenant": tenant}).one_or_none()
    if row is None:
        raise NotFound("There is no document with this id.")
    if row.deleted_at is not None:
        raise Gone()
    return Standing(row.follows, Urgency(row.urgency), row.pool)


def cancel(session: Session, tenant: str, document_id: str) -> None:
    """Ends it as CANCELLED at once; its worker learns it at the next beat. One that is cancelled stays so.

    Raises Conflict when it has ended otherwise.
    """
    standing(session, tenant, document_id)
    document = lock_document(session, document_id)
    if document.state is DocumentState.CANCELLED:
        return
    if document.state in DOCUMENT_ENDS:
        raise Conflict(f"The document has ended already: it is {document.state}.")
    _cancel(session, document, "cancelled")


def _cancel(session: Session, document: LockedDocument, cause: str) -> None:
    cancel_open_slices(session, document, cause)
    move_document(session, document, DocumentState.CANCELLED, cause, finished_at=database_now(), follows=None)
    # those who waited for its results are read themselves now
    wake(session)


def open_documents_of(session: Session, batch_id: str, limit: int) -> list[str]:
    """Ids, the oldest first: a document comes before those that wait for it."""
    return list(
        session.execute(
            select(DOCUMENT.c.id)
            .where(DOCUMENT.c.batch_id == batch_id, DOCUMENT.c.state.in_(sorted(set(DocumentState) - DOCUMENT_ENDS)))
            .order_by(DOCUMENT.c.id)
            .limit(limit)
        ).scalars()
    )


def cancel_some(session: Session, document_ids: Collection[str], cause: str) -> int:
    """Cancels those that are open; returns how many that were."""
    count = 0
    for document_id in document_ids:
        document = lock_document(session, document_id)
        if document.state not in DOCUMENT_ENDS:
            _cancel(session, document, cause)
            count += 1
    return count


def retry(
    session: Session,
    tenant: str,
    document_id: str,
    pages: Collection[int] | None,
    sealed_passwords: bytes | None = None,
) -> None:
    """A new round of a document that did not succeed: what was not read, or of that these pages only.

    An encrypted document needs its passwords again: those it came with were forgotten when it ended.

    Raises Conflict when it succeeded, is open, or has read one of the pages; BadRequest for pages it does not have.
    """
    standing(session, tenant, document_id)
    document = lock_document(session, document_id)
    # again under the lock: it may have been deleted meanwhile
    wanted = standing(session, tenant, document_id)
    require_retryable(document)
    if pages is not None:
        _check_pages(session, document, pages)
    try_again(session, document, pages)
    if sealed_passwords is not None:
        known = update(DOCUMENT).where(DOCUMENT.c.id == document_id)
        session.execute(known.values(sealed_passwords=sealed_passwords))
    reopen_batches(session, [document.batch_id])
    wake(session, wanted.pool)


def require_retryable(document: LockedDocument) -> None:
    """Raises Conflict when there is nothing to try again."""
    if document.state is DocumentState.SUCCEEDED:
        raise Conflict("The document succeeded: every page was read.")
    if document.state not in DOCUMENT_ENDS:
        raise Conflict(f"The document has not ended: it is {document.state}.")


def try_again(session: Session, document: LockedDocument, pages: Collection[int] | None) -> None:
    """`document` is locked and has ended, but not well. Its dead letters (of these pages) count as dealt with."""
    settle(session, document.id, pages)
    if document.state is DocumentState.CANCELLED:
        restart(session, document, "tried again")
    else:
        retry_document(session, document, pages)


def reopen_batches(session: Session, batch_ids: Collection[str]) -> None:
    """They are not finished any more. After the documents, since everybody locks a batch last."""
    session.execute(
        update(BATCH)
        .where(BATCH.c.id.in_(sorted(set(batch_ids))), BATCH.c.finished_at.is_not(None))
        .values(finished_at=None)
    )


def _check_pages(session: Session, document: LockedDocument, pages: Collection[int]) -> None:
    wanted = set(pages)
    if not wanted or not all(1 <= page <= (document.pages or 0) for page in wanted):
        raise BadRequest(f"The document has pages 1 to {document.pages or 0}.")
    if document.state is DocumentState.CANCELLED:
        raise Conflict("The document was cancelled: it is read again as a whole or not at all.")
    read = set(
        session.execute(
            select(PAGE.c.number).where(PAGE.c.document_id == document.id, PAGE.c.outcome == PAGE_READ)
        ).scalars()
    )
    if wanted & read:
        raise Conflict(f"Page {min(wanted & read)} was read already.")


def reprioritise(session: Session, tenant: str, document_id: str, urgency: Urgency, deadline_at: float | None) -> None:
    """Urgency, and the deadline when given, of the document and of what waits of it.

    Whoever waits for another document's results takes that one along when it becomes more urgent. Raises Conflict when
    the document has ended, or would become less urgent than one that waits for it.
    """
    if deadline_at is not None and not 0 <= deadline_at < 1e11:
        raise BadRequest("The deadline is not a time.")
    urgency = Urgency(urgency)
    before = standing(session, tenant, document_id)
    # the one that is waited for is locked first, as everywhere
    leader = lock_document(session, before.follows) if before.follows else None
    document = lock_document(session, document_id)
    now = standing(session, tenant, document_id)
    if document.state in DOCUMENT_ENDS:
        raise Conflict(f"The document has ended already: it is {document.state}.")
    for waiting in session.execute(_FOLLOWERS, {"leader_id": document_id}):
        if RANK[Urgency(waiting.urgency)] < RANK[urgency]:
            raise Conflict(f"Document {waiting.id} waits for its results with priority {waiting.urgency}.")
    _set_urgency(session, document, urgency, deadline_at)
    if leader is not None and now.follows == leader.id and leader.state not in DOCUMENT_ENDS:
        leading = standing(session, tenant, leader.id)
        if RANK[urgency] < RANK[leading.urgency]:
            _set_urgency(session, leader, urgency, None)
    wake(session, now.pool)


_FOLLOWERS = select(DOCUMENT.c.id, DOCUMENT.c.urgency).where(DOCUMENT.c.follows == bindparam("leader_id"))


def _set_urgency(session: Session, document: LockedDocument, urgency: Urgency, deadline_at: float | None) -> None:
    said: dict[str, Any] = {"urgency": urgency.value}
    if deadline_at is not None:
        said["deadline_at"] = deadline_at
    session.execute(update(DOCUMENT).where(DOCUMENT.c.id == document.id).values(**said))
    # not in the window any more, so that it is chosen anew by its new urgency
    session.execute(
        update(SLICE)
        .where(SLICE.c.document_id == document.id, SLICE.c.state.in_(sorted(OPEN_SLICES)))
        .values(dispatched_at=None, **said)
    )
    record_documents(session, [document.id], document.state, document.state, f"priority {urgency}")
