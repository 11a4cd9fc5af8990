"""Service documents made straight in the ledger, for tests of the work protocol alone."""

from __future__ import annotations

import hashlib

from sqlalchemy import select, update

from docfleet.domain.urgency import Urgency
from docfleet.domain.work import DocumentState, Step
from docfleet.ledger import Ledger
from docfleet.ledger.dialect import database_now
from docfleet.ledger.moves import WHOLE, add_slices, lock_document, record_documents
from docfleet.ledger.registering import new_id
from docfleet.ledger.rows import BatchRow, DocumentRow, SliceRow
from docfleet.ledger.service_rows import ContentRow


def submit(
    ledger: Ledger,
    name: str = "a.pdf",
    *,
    tenant: str = "acme",
    urgency: Urgency = Urgency.NORMAL,
    pool: str = "pdf",
    follows: str | None = None,
    deadline_at: float | None = None,
    count: int = 1,
) -> str:
    """One document (or `count` of them) with its plan waiting, as the desk makes it; returns the (last) id."""
    with ledger.unit_of_work() as session:
        batch_id = session.execute(select(BatchRow.id).where(BatchRow.key == f"{tenant}/singles")).scalar_one_or_none()
        if batch_id is None:
            batch_id = new_id()
            session.add(
                BatchRow(
                    id=batch_id, key=f"{tenant}/singles", label="", options_json="{}", created_at=database_now(),
                    tenant_id=tenant, implicit=True,
                )
            )  # fmt: skip
            session.flush()
        digest = hashlib.sha256(name.encode()).hexdigest()
        made = []
        for _ in range(count):
            id_, content_id = new_id(), new_id()
            made.append(id_)
            session.add(
                ContentRow(
                    id=content_id, tenant_id=tenant, region="", sha256=digest, size_bytes=7,
                    media_type="application/pdf", wrapped_key=b"key", refs=1, created_at=database_now(),
                )
            )  # fmt: skip
            session.add(
                DocumentRow(
                    id=id_, batch_id=batch_id, sha256=digest, options_digest=id_, size_bytes=7,
                    media_type="application/pdf", state=DocumentState.RECEIVED, priority=100, round=1, plan_json="",
                    code="", message="", detail="", result_key="", pages_read=0, pages_failed=0, engines_json="{}",
                    cost_usd=0.0, work_seconds=0.0, created_at=database_now(), tenant_id=tenant,
                    content_id=content_id, name=name, options_key="k", urgency=urgency, pool=pool,
                    deadline_at=deadline_at, follows=follows,
                )
            )  # fmt: skip
        session.flush()
        record_documents(session, made, None, DocumentState.RECEIVED, "accepted")
        if follows is None:
            for id_ in made:
                add_slices(session, lock_document(session, id_), [WHOLE[Step.PLAN]])
    return made[-1]


def document_row(ledger: Ledger, document_id: str) -> DocumentRow:
    with ledger.reading() as session:
        return session.execute(select(DocumentRow).where(DocumentRow.id == document_id)).scalar_one()


def content_row(ledger: Ledger, content_id: str) -> ContentRow:
    with ledger.reading() as session:
        return session.execute(select(ContentRow).where(ContentRow.id == content_id)).scalar_one()


def age_document(ledger: Ledger, document_id: str, seconds: float) -> None:
    """As if the document and its waiting slices had come so much earlier."""
    with ledger.unit_of_work() as session:
        session.execute(
            update(SliceRow)
            .where(SliceRow.document_id == document_id)
            .values(created_at=SliceRow.created_at - seconds, priority=SliceRow.priority - int(seconds))
        )
