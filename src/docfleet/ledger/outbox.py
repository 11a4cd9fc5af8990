"""Messages that leave because something ended, written in its transaction.

Ends are noted as they happen and written up once, when the transaction is about to commit: one statement however many
documents ended in it, and the batch is locked last, when all its documents are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import (
    ColumnElement,
    Integer,
    Select,
    String,
    Text,
    bindparam,
    case,
    exists,
    false,
    func,
    insert,
    literal,
    literal_column,
    null,
    or_,
    select,
    update,
)
from sqlalchemy import cast as sql_cast
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session
from sqlalchemy.sql.functions import FunctionElement

from docfleet.domain.delivery import BATCH_FINISHED, TEST_EVENT, DeliveryState
from docfleet.domain.work import DocumentState
from docfleet.ledger.dialect import database_now
from docfleet.ledger.rows import BATCH, DOCUMENT
from docfleet.ledger.service_rows import DELIVERY, WEBHOOK

if TYPE_CHECKING:
    from docfleet.ledger.moves import LockedDocument

_NOTED = "docfleet ends"
_OPEN_STATES = (DocumentState.RECEIVED, DocumentState.RUNNING, DocumentState.ASSEMBLING)


class message_id(FunctionElement[str]):
    """A new id that sorts by time: msg_, 14 hexadecimal digits of microseconds, 16 random ones."""

    type = String()
    inherit_cache = True
    name = "message_id"


@compiles(message_id, "sqlite")
def _id_in_sqlite(element: Any, compiler: Any, **options: Any) -> str:
    micros = "CAST((julianday('now') - 2440587.5) * 86400000000.0 AS INTEGER)"
    return f"('msg_' || printf('%014x', {micros}) || lower(hex(randomblob(8))))"


@compiles(message_id, "postgresql")
def _id_in_postgres(element: Any, compiler: Any, **options: Any) -> str:
    micros = "to_hex((EXTRACT(EPOCH FROM clock_timestamp()) * 1000000)::bigint)"
    return f"('msg_' || lpad({micros}, 14, '0') || right(replace(gen_random_uuid()::text, '-', ''), 16))"


class json_object(FunctionElement[str]):
    """A JSON object of names and values, one after the other."""

    type = Text()
    inherit_cache = True
    name = "json_object"


@compiles(json_object, "sqlite")
def _object_in_sqlite(element: Any, compiler: Any, **options: Any) -> str:
    return f"json_object({compiler.process(element.clauses, **options)})"


@compiles(json_object, "postgresql")
def _object_in_postgres(element: Any, compiler: Any, **options: Any) -> str:
    return f"json_build_object({compiler.process(element.clauses, **options)})"


class json_of(FunctionElement[str]):
    """Text that is JSON, as JSON."""

    type = Text()
    inherit_cache = True
    name = "json_of"


@compiles(json_of, "sqlite")
def _json_in_sqlite(element: Any, compiler: Any, **options: Any) -> str:
    return f"json({compiler.process(element.clauses, **options)})"


@compiles(json_of, "postgresql")
def _json_in_postgres(element: Any, compiler: Any, **options: Any) -> str:
    return f"({compiler.process(element.clauses, **options)})::json"


def _object(**members: ColumnElement[Any]) -> json_object:
    arguments: list[ColumnElement[Any]] = []
    for name, value in members.items():
        arguments += [literal_column(f"'{name}'"), value]
    return json_object(*arguments)


def _wants(event_type: ColumnElement[str]) -> ColumnElement[bool]:
    asked = WEBHOOK.c.event_types_json.like(literal('%"') + event_type + literal('"%'))
    return WEBHOOK.c.disabled_at.is_(None) & or_(WEBHOOK.c.event_types_json == "[]", asked)


def _messages(
    chosen: Select[Any],
    event_type: ColumnElement[str],
    dedupe_key: ColumnElement[str],
    document_id: ColumnElement[str],
    batch_id: ColumnElement[str],
    payload: ColumnElement[str],
) -> dict[str, Any]:
    """INSERTs, by dialect, of one message for each webhook row in `chosen`."""
    values: dict[str, ColumnElement[Any]] = {
        "id": message_id(),
        "tenant_id": WEBHOOK.c.tenant_id,
        "webhook_id": WEBHOOK.c.id,
        "event_type": event_type,
        "dedupe_key": dedupe_key,
        "document_id": document_id,
        "batch_id": batch_id,
        "payload_json": payload,
        "state": literal(DeliveryState.WAITING.value),
        "attempts": literal(0, Integer()),
        "token": literal(0, Integer()),
        "available_at": database_now(),
        "created_at": database_now(),
    }
    # The lock is the one the foreign key takes anyway; taken here, a webhook that is just being removed is left out
    # instead of making the document's end fail.
    source = chosen.with_only_columns(*values.values()).with_for_update(read=True, key_share=True, of=WEBHOOK)
    return {
        name: dialect.insert(DELIVERY).from_select(list(values), source).on_conflict_do_nothing()
        for name, dialect in (("sqlite", sqlite), ("postgresql", postgresql))
    }


_DOCUMENT_EVENT = literal("document.") + sql_cast(DOCUMENT.c.state, String)
_EXPLICIT_BATCH = case((BATCH.c.implicit.is_(False), BATCH.c.id), else_=null())
_ENDS = _messages(
    select(WEBHOOK.c.id)
    .select_from(DOCUMENT)
    .join(BATCH, BATCH.c.id == DOCUMENT.c.batch_id)
    .join(WEBHOOK, WEBHOOK.c.tenant_id == DOCUMENT.c.tenant_id)
    .where(DOCUMENT.c.id.in_(bindparam("document_ids", expanding=True)), _wants(_DOCUMENT_EVENT)),
    _DOCUMENT_EVENT,
    DOCUMENT.c.id + literal(":") + sql_cast(DOCUMENT.c.round, String) + literal(":") + _DOCUMENT_EVENT,
    DOCUMENT.c.id,
    func.coalesce(_EXPLICIT_BATCH, ""),
    sql_cast(
        _object(
            document=_object(
                id=DOCUMENT.c.id,
                name=DOCUMENT.c.name,
                state=sql_cast(DOCUMENT.c.state, String),
                batch_id=_EXPLICIT_BATCH,
                labels=json_of(DOCUMENT.c.labels_json),
                code=DOCUMENT.c.code,
                message=DOCUMENT.c.message,
                pages=DOCUMENT.c.pages,
                pages_read=DOCUMENT.c.pages_read,
                pages_failed=DOCUMENT.c.pages_failed,
                duplicate_of=DOCUMENT.c.duplicate_of,
            )
        ),
        Text,
    ),
)
_BATCH_END = _messages(
    select(WEBHOOK.c.id).where(
        WEBHOOK.c.tenant_id == bindparam("tenant"), _wants(literal(BATCH_FINISHED, literal_execute=True))
    ),
    literal(BATCH_FINISHED),
    bindparam("of_batch", type_=String()) + literal(":finished"),
    literal(""),
    bindparam("of_batch", type_=String()),
    bindparam("payload", type_=Text()),
)

_NOTICE = _messages(
    select(WEBHOOK.c.id).where(WEBHOOK.c.tenant_id == bindparam("tenant"), _wants(bindparam("type", type_=String()))),
    bindparam("type", type_=String()),
    bindparam("dedupe", type_=String()),
    literal(""),
    literal(""),
    bindparam("payload", type_=Text()),
)


_WHO_ASKS = select(
    BATCH.c.implicit,
    BATCH.c.finished_at,
    exists().where(WEBHOOK.c.tenant_id == BATCH.c.tenant_id, WEBHOOK.c.disabled_at.is_(None)).label("asked_for"),
).where(BATCH.c.id == bindparam("of_batch"))
"""What most ends cost: nobody asks, and no batch is about to be finished."""


class _Ends(msgspec.Struct):
    documents: list[str] = []
    batches: set[str] = set()


def note_end(session: Session, document: LockedDocument) -> None:
    """`document` has ended: `write_outbox` tells of it. Files of the disk have nobody who waits for a message."""
    if document.content_id is None:
        return
    noted = session.info.setdefault(_NOTED, _Ends())
    noted.documents.append(document.id)
    noted.batches.add(document.batch_id)


def write_outbox(session: Session) -> None:
    """The last thing a transaction does: messages for all that ended in it."""
    noted: _Ends | None = session.info.pop(_NOTED, None)
    if noted is None:
        return
    explicit = []
    told = False
    # in one order, so that no two transactions wait for each other
    for batch_id in sorted(noted.batches):
        known = session.execute(_WHO_ASKS, {"of_batch": batch_id}).one()
        told = told or known.asked_for
        if not known.implicit and known.finished_at is None:
            explicit.append(batch_id)
    if told:
        session.execute(_ENDS[session.get_bind().dialect.name], {"document_ids": noted.documents})
    for batch_id in explicit:
        enqueue_finished_batch(session, batch_id)


_LOCK_BATCH = (
    select(BATCH.c.tenant_id, BATCH.c.label, BATCH.c.labels_json, BATCH.c.sealed_at)
    .where(BATCH.c.id == bindparam("of_batch"), BATCH.c.implicit == false(), BATCH.c.finished_at.is_(None))
    .with_for_update(key_share=True)
)
_ANY_OPEN = select(exists().where(DOCUMENT.c.batch_id == bindparam("of_batch"), DOCUMENT.c.state.in_(_OPEN_STATES)))
_FINISH_BATCH = update(BATCH).where(BATCH.c.id == bindparam("of_batch")).values(finished_at=database_now())
_COUNTS = (
    select(
        DOCUMENT.c.state,
        func.count(),
        sql_cast(func.coalesce(func.sum(DOCUMENT.c.pages), 0), Integer),
        sql_cast(func.coalesce(func.sum(DOCUMENT.c.pages_read), 0), Integer),
        sql_cast(func.coalesce(func.sum(DOCUMENT.c.pages_failed), 0), Integer),
    )
    .where(DOCUMENT.c.batch_id == bindparam("of_batch"))
    .group_by(DOCUMENT.c.state)
)


def enqueue_finished_batch(session: Session, batch_id: str) -> None:
    """When the batch is sealed and its last document has ended: marks it finished, once, and tells the webhooks.

    Everyone who ends a document of the batch or seals it comes by here and takes the batch's lock, so that of two who
    end at once the second sees what the first did. Documents submitted by themselves have no batch to finish.
    """
    batch = session.execute(_LOCK_BATCH, {"of_batch": batch_id}).one_or_none()
    if batch is None or batch.sealed_at is None or session.execute(_ANY_OPEN, {"of_batch": batch_id}).scalar():
        return
    session.execute(_FINISH_BATCH, {"of_batch": batch_id})
    payload = _batch_payload(session, batch_id, batch)
    session.execute(
        _BATCH_END[session.get_bind().dialect.name],
        {"of_batch": batch_id, "tenant": batch.tenant_id, "payload": payload},
    )


def _batch_payload(session: Session, batch_id: str, batch: Any) -> str:
    documents: Counter[str] = Counter()
    pages = read = failed = 0
    for state, count, of_pages, of_read, of_failed in session.execute(_COUNTS, {"of_batch": batch_id}):
        documents[state.value] += count
        pages, read, failed = pages + of_pages, read + of_read, failed + of_failed
    said = {
        "batch": {
            "id": batch_id,
            "label": batch.label,
            "labels": msgspec.json.decode(batch.labels_json),
            "documents": dict(sorted(documents.items())),
            "pages": pages,
            "pages_read": read,
            "pages_failed": failed,
        }
    }
    return msgspec.json.encode(said).decode()


def enqueue_notice(
    session: Session, tenant: str, event_type: str, dedupe_key: str, payload: Mapping[str, object]
) -> None:
    """A message to the tenant's webhooks that is about no document; once for each key, however often it is told."""
    said = {
        "tenant": tenant,
        "type": event_type,
        "dedupe": dedupe_key,
        "payload": msgspec.json.encode(payload).decode(),
    }
    session.execute(_NOTICE[session.get_bind().dialect.name], said)


_TEST = insert(DELIVERY).values(
    id=bindparam("new_id"), tenant_id=bindparam("tenant"), webhook_id=bindparam("of_webhook"), event_type=TEST_EVENT,
    dedupe_key=bindparam("new_id"), document_id="", batch_id="", payload_json=bindparam("payload"),
    state=DeliveryState.WAITING.value, attempts=0, token=0, available_at=database_now(), created_at=database_now(),
)  # fmt: skip


def enqueue_test(session: Session, tenant: str, webhook_id: str) -> str:
    """A message that only says hello; returns its id."""
    new_id: str = session.execute(select(message_id())).scalar_one()
    payload = msgspec.json.encode({"webhook": {"id": webhook_id}}).decode()
    session.execute(_TEST, {"new_id": new_id, "tenant": tenant, "of_webhook": webhook_id, "payload": payload})
    return new_id
