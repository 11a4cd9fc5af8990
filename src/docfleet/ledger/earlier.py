"""The earlier document with the same bytes and options: one that was read, or one that is being read."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, Select, String, bindparam, insert, literal, literal_column, select, update
from sqlalchemy.orm import Session

from docfleet.domain.urgency import RANK, Urgency
from docfleet.domain.work import DOCUMENT_ENDS, DocumentState
from docfleet.ledger.rows import DOCUMENT, PAGE
from docfleet.ledger.service_rows import CONTENT

_OPEN = sorted(set(DocumentState) - DOCUMENT_ENDS)
_TAKEN = (
    "id", "state", "content_id", "media_type", "plan_json", "pages", "pages_read", "pages_failed", "engines_json",
    "confidence", "result_key", "results_json",
)  # fmt: skip
_SAME = (
    DOCUMENT.c.tenant_id == bindparam("tenant"),
    DOCUMENT.c.sha256 == bindparam("sha256"),
    DOCUMENT.c.options_key == bindparam("options_key"),
    DOCUMENT.c.content_id.is_not(None),
    DOCUMENT.c.follows.is_(None),
    DOCUMENT.c.deleted_at.is_(None),
)


def _first(state: DocumentState, *more: Any) -> Select[Any]:
    found = select(*(DOCUMENT.c[name] for name in _TAKEN)).where(
        *_SAME, DOCUMENT.c.state == literal_column(f"'{state}'")
    )
    return select(found.where(*more).order_by(DOCUMENT.c.id.desc()).limit(literal_column("1")).subquery("d"))


_AS_URGENT = DOCUMENT.c.urgency.in_(bindparam("urgencies", expanding=True))
# one look into an index for each state: a document submitted ten thousand times must not cost ten thousand rows
_FIND = _first(DocumentState.SUCCEEDED).union_all(*(_first(state, _AS_URGENT) for state in _OPEN))


def find_earlier(session: Session, tenant: str, sha256: str, options_key: str, urgency: Urgency) -> Row[Any] | None:
    """The newest that SUCCEEDED, else one that is being read and is at least as urgent; as it is at this moment."""
    found = session.execute(
        _FIND,
        {
            "tenant": tenant, "sha256": sha256, "options_key": options_key,
            "urgencies": [other.value for other in Urgency if RANK[other] <= RANK[urgency]],
        },
    ).all()  # fmt: skip
    read = [row for row in found if row.state is DocumentState.SUCCEEDED]
    return next(iter(read or found), None)


_STILL_OPEN = (
    select(DOCUMENT.c.id)
    .where(
        DOCUMENT.c.id == bindparam("leader_id"),
        DOCUMENT.c.state.in_(_OPEN),
        DOCUMENT.c.follows.is_(None),
        DOCUMENT.c.deleted_at.is_(None),
    )
    .with_for_update(read=True)
)


def hold_open(session: Session, document_id: str) -> bool:
    """Keeps the document from ending until this transaction has: whoever ends it then sees who follows it."""
    return session.execute(_STILL_OPEN, {"leader_id": document_id}).one_or_none() is not None


_SHARE = (
    update(CONTENT)
    .where(CONTENT.c.id == bindparam("shared_id"), CONTENT.c.erased_at.is_(None), CONTENT.c.refs > 0)
    .values(refs=CONTENT.c.refs + 1)
    .returning(CONTENT.c.id)
)


def share_content(session: Session, content_id: str) -> bool:
    """One more document points to the content; False when it was erased meanwhile."""
    return session.execute(_SHARE, {"shared_id": content_id}).one_or_none() is not None


_PAGE_COLUMNS = ("number", "slice_id", "outcome", "engine", "reason", "detail", "confidence", "quality")
_COPY_PAGES = insert(PAGE).from_select(
    ["document_id", *_PAGE_COLUMNS, "cost_usd", "seconds"],
    select(
        bindparam("copy_id", type_=String()), *(PAGE.c[name] for name in _PAGE_COLUMNS), literal(0.0), literal(0.0)
    ).where(PAGE.c.document_id == bindparam("original_id")),
)


def copy_pages(session: Session, original_id: str, copy_id: str) -> None:
    """The pages of one document as those of another, which paid nothing for them."""
    session.execute(_COPY_PAGES, {"original_id": original_id, "copy_id": copy_id})
