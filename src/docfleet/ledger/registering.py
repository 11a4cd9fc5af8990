"""Submitting inputs. The same submission again changes nothing, so the same command continues its batch."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence

from sqlalchemy import delete, exists, select, update
from sqlalchemy.orm import Session, aliased

from docfleet.domain.work import DOCUMENT_ENDS, DocumentState, Step
from docfleet.ledger.dialect import database_now, upsert
from docfleet.ledger.moves import (
    WHOLE,
    LockedDocument,
    add_slices,
    cancel_open_slices,
    lock_document,
    move_document,
    record_documents,
)
from docfleet.ledger.rows import PAGE, BatchRow, DocumentRow, InputRow
from docfleet.ledger.values import NewBatch, NewInput, Registered


def new_id() -> str:
    """32 hexadecimal digits that sort by time of making (the layout of UUID version 7, RFC 9562).

    The clock here only spreads ids; nothing is decided by it.
    """
    milliseconds = time.time_ns() // 1_000_000
    return f"{milliseconds:012x}7{secrets.randbits(12):03x}{8 | secrets.randbits(2):x}{secrets.randbits(60):015x}"


def register(session: Session, batch: NewBatch, inputs: Sequence[NewInput]) -> Registered:
    """Makes the batch, its inputs and their documents, as far as they are not there; each new document gets its plan.

    An input that now has other bytes, or other options, points to another document afterwards; a document no input
    points to any more is cancelled, and a cancelled one that is wanted again starts again.
    """
    batch_id = _make_batch(session, batch)
    wanted = [item for item in inputs if not item.code]
    document_of, made = _make_documents(session, batch_id, batch, wanted)
    left = _point_inputs(session, batch_id, inputs, document_of)
    _cancel_orphans(session, left)
    _revive(session, list(document_of.values()))
    return Registered(batch_id, made, len(wanted) - made, len(inputs) - len(wanted))


def _make_batch(session: Session, batch: NewBatch) -> str:
    session.execute(
        upsert(session, BatchRow)
        .values(
            id=new_id(), key=batch.key, label=batch.label, options_json=batch.options_json, created_at=database_now()
        )
        .on_conflict_do_update(index_elements=["key"], set_={"label": batch.label, "options_json": batch.options_json})
    )
    return session.execute(select(BatchRow.id).where(BatchRow.key == batch.key)).scalar_one()


def _make_documents(
    session: Session, batch_id: str, batch: NewBatch, wanted: Sequence[NewInput]
) -> tuple[dict[str, str], int]:
    """sha256 -> document id, and how many are new."""
    first_of: dict[str, NewInput] = {}
    for item in wanted:
        first_of.setdefault(item.sha256, item)
    if not first_of:
        return {}, 0
    same = (DocumentRow.batch_id == batch_id, DocumentRow.options_digest == batch.options_digest)
    known = select(DocumentRow.sha256, DocumentRow.id).where(*same, DocumentRow.sha256.in_(first_of))
    there = dict(session.execute(known).all())
    missing = [item for sha256, item in first_of.items() if sha256 not in there]
    folders = _free_folders(session, missing, _inherited_folders(session, batch_id, missing))
    mine: set[str] = set()
    for item, folder in zip(missing, folders, strict=True):
        id_ = new_id()
        session.execute(
            upsert(session, DocumentRow)
            .values(
                id=id_, batch_id=batch_id, sha256=item.sha256, options_digest=batch.options_digest,
                size_bytes=item.size_bytes, media_type=item.media_type, state=DocumentState.RECEIVED,
                priority=item.priority, round=1, pages=None, plan_json="", folder=folder,
                folder_key=folder.casefold() if folder is not None else None, code="", message="", detail="",
                result_key="", pages_read=0, pages_failed=0, engines_json="{}", confidence=None, cost_usd=0.0,
                work_seconds=0.0, created_at=database_now(), started_at=None, finished_at=None,
            )
            .on_conflict_do_nothing(index_elements=["batch_id", "sha256", "options_digest"])
        )  # fmt: skip
        mine.add(id_)
    if missing:
        there = dict(session.execute(known).all())
    # another registration may have been faster: then the row is there under its id
    new = [item for item in missing if there[item.sha256] in mine]
    _begin(session, batch_id, [(there[item.sha256], item.priority) for item in new])
    return there, len(new)


def _begin(session: Session, batch_id: str, documents: Sequence[tuple[str, int]]) -> None:
    """Records new documents and makes their plan slices."""
    record_documents(session, [id_ for id_, _ in documents], None, DocumentState.RECEIVED, "registered")
    for id_, priority in documents:
        fresh = LockedDocument(id_, batch_id, DocumentState.RECEIVED, 1, priority, None, "", None)
        add_slices(session, fresh, [WHOLE[Step.PLAN]])


def _inherited_folders(session: Session, batch_id: str, items: Sequence[NewInput]) -> dict[str, str]:
    """sha256 -> folder of the document that its input pointed to before, when no other input needs that one.

    A file that changed, or is read under other options, so keeps its folder. The document before gives it up, and its
    options with it: its results are about to be replaced, so asking for them once more has to read them once more.
    """
    inherited: dict[str, str] = {}
    other = aliased(InputRow)
    shared = exists().where(other.document_id == DocumentRow.id, other.id != InputRow.id)
    for item in items:
        if item.folder is None:
            continue
        before = session.execute(
            select(DocumentRow.id, DocumentRow.folder)
            .join(InputRow, InputRow.document_id == DocumentRow.id)
            .where(
                InputRow.batch_id == batch_id,
                InputRow.path == item.path,
                InputRow.member == item.member,
                DocumentRow.folder.is_not(None),
                ~shared,
            )
        ).one_or_none()
        if before is not None and before.folder is not None:
            session.execute(
                update(DocumentRow)
                .where(DocumentRow.id == before.id)
                .values(folder=None, folder_key=None, options_digest=f"superseded {before.id}")
                .execution_options(synchronize_session=False)
            )
            inherited[item.sha256] = before.folder
    return inherited


def _free_folders(session: Session, items: Sequence[NewInput], inherited: dict[str, str]) -> list[str | None]:
    """The wanted folder names, made unique even where case does not count: scan, scan-2 … scan-9, scan-1f0c…"""
    taken = {folder.casefold() for folder in inherited.values()}

    def is_free(name: str) -> bool:
        key = name.casefold()
        return key not in taken and not session.execute(select(exists().where(DocumentRow.folder_key == key))).scalar()

    names: list[str | None] = []
    for item in items:
        if item.folder is None:
            names.append(None)
            continue
        if item.sha256 in inherited:
            names.append(inherited[item.sha256])
            continue
        numbered = [item.folder, *(f"{item.folder}-{n}" for n in range(2, 10))]
        hashed = [f"{item.folder}-{item.sha256[:12]}", f"{item.folder}-{new_id()}"]
        name = next(name for name in [*numbered, *hashed] if is_free(name))
        taken.add(name.casefold())
        names.append(name)
    return names


def _point_inputs(session: Session, batch_id: str, inputs: Sequence[NewInput], document_of: dict[str, str]) -> set[str]:
    """Makes or updates the input rows; returns the documents some input pointed to before and does not now."""
    left: set[str] = set()
    for item in inputs:
        place = (InputRow.batch_id == batch_id, InputRow.path == item.path, InputRow.member == item.member)
        document_id = None if item.code else document_of[item.sha256]
        before = session.execute(select(InputRow.document_id).where(*place)).scalar_one_or_none()
        if before is not None and before != document_id:
            left.add(before)
        said = {
            "document_id": document_id, "name": item.name, "sha256": item.sha256, "size_bytes": item.size_bytes,
            "code": item.code, "message": item.message, "detail": item.detail,
        }  # fmt: skip
        session.execute(
            upsert(session, InputRow)
            .values(batch_id=batch_id, path=item.path, member=item.member, created_at=database_now(), **said)
            .on_conflict_do_update(index_elements=["batch_id", "path", "member"], set_=said)
        )
    return left


def _cancel_orphans(session: Session, document_ids: set[str]) -> None:
    for document_id in sorted(document_ids):
        document = lock_document(session, document_id)
        wanted = session.execute(select(exists().where(InputRow.document_id == document_id))).scalar()
        if not wanted and document.state not in DOCUMENT_ENDS:
            cancel_open_slices(session, document, "no input needs it")
            move_document(session, document, DocumentState.CANCELLED, "no input needs it", finished_at=database_now())


def _revive(session: Session, document_ids: Sequence[str]) -> None:
    cancelled = (
        session.execute(
            select(DocumentRow.id)
            .where(DocumentRow.id.in_(document_ids), DocumentRow.state == DocumentState.CANCELLED)
            .order_by(DocumentRow.id)
        )
        .scalars()
        .all()
    )
    for document_id in cancelled:
        document = lock_document(session, document_id)
        if document.state is DocumentState.CANCELLED:
            restart(session, document, "submitted again")


def restart(session: Session, document: LockedDocument, cause: str) -> None:
    """A new round from the plan on; what was read before counts no more."""
    session.execute(delete(PAGE).where(PAGE.c.document_id == document.id))
    document = move_document(
        session, document, DocumentState.RECEIVED, cause,
        round=document.round + 1, code="", message="", detail="", started_at=None, finished_at=None,
    )  # fmt: skip
    add_slices(session, document, [WHOLE[Step.PLAN]])
