"""Postgres: a new document with its content, its first slice and their events, in one statement.

A statement of its own for each costs five more round trips for every document, which is half of what accepting it
takes. SQLite has no statement that writes several tables, and needs none: it is asked in this process.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Integer,
    String,
    bindparam,
    cast,
    func,
    insert,
    literal,
    literal_column,
    null,
    select,
    union_all,
)
from sqlalchemy.orm import Session

from docfleet.domain.work import STEP_PRIORITY, WHOLE_DOCUMENT, DocumentState, SliceState, Step
from docfleet.ledger.dialect import database_now
from docfleet.ledger.moves import SECONDS_PER_STEP, SERVICE_EPOCH
from docfleet.ledger.rows import DOCUMENT, EVENT, SLICE
from docfleet.ledger.service_rows import CONTENT

_NOW = database_now()
# not as parameters: psycopg remembers how it translated a statement only up to fifty of them
_ZERO = literal_column("0", Integer())
_EMPTY = literal_column("''", String())


def _given(table: Any, *names: str) -> dict[str, Any]:
    return {name: bindparam(f"new_{name}", type_=table.c[name].type) for name in names}


_content = (
    insert(CONTENT)
    .values(
        id=bindparam("new_content_id", type_=String()),
        refs=literal(1, Integer()),
        created_at=_NOW,
        **_given(CONTENT, "tenant_id", "region", "sha256", "size_bytes", "media_type", "wrapped_key"),
    )
    .cte("new_content")
)
_IN_DOCUMENT = (
    "id", "batch_id", "sha256", "options_digest", "size_bytes", "media_type", "state", "priority", "round",
    "plan_json", "code", "message", "detail", "result_key", "pages_read", "pages_failed", "engines_json", "cost_usd",
    "work_seconds", "tenant_id", "region", "content_id", "name", "labels_json", "options_json", "options_key",
    "urgency", "pool", "deadline_at", "results_json", "duplicate_of", "submitted_by",
    "sealed_passwords",
)  # fmt: skip
_document = insert(DOCUMENT).values(created_at=_NOW, **_given(DOCUMENT, *_IN_DOCUMENT)).cte("new_document")
_slice = (
    insert(SLICE)
    .values(
        document_id=bindparam("new_id", type_=String()),
        step=literal(Step.PLAN, SLICE.c.step.type),
        state=literal(SliceState.QUEUED, SLICE.c.state.type),
        first_page=literal(WHOLE_DOCUMENT, Integer()),
        last_page=literal(WHOLE_DOCUMENT, Integer()),
        # as `moves.add_slices` has it; a test compares the rows of both
        priority=cast(func.floor(_NOW - SERVICE_EPOCH), Integer) + STEP_PRIORITY[Step.PLAN] * SECONDS_PER_STEP,
        isolated=literal(False),
        available_at=_NOW,
        created_at=_NOW,
        **_given(SLICE, "batch_id", "round", "tenant_id", "region", "pool", "urgency", "deadline_at"),
        **dict.fromkeys(("attempt", "crash_count", "error_count", "wait_count", "loss_count", "token"), _ZERO),
        **dict.fromkeys(("worker", "payload_json", "result_key", "code", "message", "detail"), _EMPTY),
    )
    .returning(SLICE.c.id)
    .cte("new_slice")
)
_TOLD = (
    "at", "entity", "document_id", "slice_id", "from_state", "to_state", "token", "worker", "cause", "tenant_id",
    "batch_id",
)  # fmt: skip


def _event(entity: str, slice_id: Any, to: str, cause: str) -> Any:
    return select(
        _NOW, literal(entity), bindparam("new_id", type_=String()), cast(slice_id, BigInteger), _EMPTY,
        literal(to), _ZERO, _EMPTY, literal(cause),
        bindparam("new_tenant_id", type_=String()), bindparam("new_batch_id", type_=String()),
    )  # fmt: skip


_WRITE = (
    insert(EVENT)
    .from_select(
        list(_TOLD),
        union_all(
            _event("document", null(), DocumentState.RECEIVED.value, "accepted"),
            _event("slice", _slice.c.id, SliceState.QUEUED.value, "round 1").select_from(_slice),
        ),
    )
    .add_cte(_content, _document)
    .returning(func.pg_notify(bindparam("channel", type_=String()), bindparam("new_pool", type_=String())))
)


def write_new_document(session: Session, content: dict[str, Any], document: dict[str, Any], channel: str) -> None:
    """The rows of both as `accepting` has them; whoever listens on the channel is told the pool with the commit."""
    given = {f"new_{name}": value for name, value in document.items() if name in _IN_DOCUMENT}
    session.execute(_WRITE, given | {"new_wrapped_key": content["wrapped_key"], "channel": channel}).all()
