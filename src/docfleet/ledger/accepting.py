"""Accepting a document: its rows, its first slice and the answer to its client, in one transaction.

This runs for every document while a client waits: statements are few, and built once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace
from sqlalchemy import Connection, bindparam, func, insert, select
from sqlalchemy.orm import Session

from docfleet.domain.urgency import Urgency
from docfleet.domain.work import DOCUMENT_ENDS, DocumentState, Step
from docfleet.errors import BadRequest, Conflict, Gone, NotFound
from docfleet.ledger.after_end import after_end
from docfleet.ledger.at_once import write_new_document
from docfleet.ledger.checks import checked_labels, known_id, plain_text, storable_name
from docfleet.ledger.dialect import database_now, lock_twins, twins_of
from docfleet.ledger.earlier import copy_pages, find_earlier, hold_open, share_content
from docfleet.ledger.idempotency import checked_key, claim_key, correct_answer, find_answer
from docfleet.ledger.moves import WHOLE, LockedDocument, add_slices, lock_document, record_documents
from docfleet.ledger.registering import new_id
from docfleet.ledger.rows import BATCH, DOCUMENT
from docfleet.ledger.service_rows import CONTENT, LabelRow
from docfleet.ledger.service_values import Accepted, Submission

WORK_CHANNEL = "docfleet_work"
"""Postgres: the dispatcher listens here."""
PRIORITY = 100
_TRIES = 3
"""How often an earlier document is looked for when the one found changes at that moment."""

_ADD_CONTENT = insert(CONTENT).values(refs=1, created_at=database_now(), erased_at=None, purged_at=None)
_UNSAID = {
    "round": 1, "folder": None, "folder_key": None, "code": "", "message": "", "detail": "",
    "cost_usd": 0.0, "work_seconds": 0.0, "deleted_at": None,
}  # fmt: skip
_UNREAD = {
    "pages": None, "plan_json": "", "pages_read": 0, "pages_failed": 0, "engines_json": "{}", "confidence": None,
    "result_key": "", "results_json": "[]",
}  # fmt: skip
_NOW = database_now()
_ADD_OPEN = insert(DOCUMENT).values(created_at=_NOW, started_at=None, finished_at=None)
_ADD_ENDED = insert(DOCUMENT).values(created_at=_NOW, started_at=_NOW, finished_at=_NOW)
_ADD_LABELS = insert(LabelRow.__table__)  # type: ignore[arg-type]
_WAKE = select(func.pg_notify(WORK_CHANNEL, bindparam("pool")))
_WANTED_BATCH = select(BATCH.c.sealed_at).where(
    BATCH.c.id == bindparam("wanted_id"),
    BATCH.c.tenant_id == bindparam("tenant"),
    BATCH.c.implicit.is_(False),
    BATCH.c.deleted_at.is_(None),
)
# Whoever seals the batch waits until this document is in it. Locked after other documents, as by whoever ends one; and
# at once as strongly as ending this one will, since two that hold it weakly would wait for each other.
_OPEN_BATCH = {
    False: _WANTED_BATCH.with_for_update(read=True),
    True: _WANTED_BATCH.with_for_update(key_share=True),
}


class Home(msgspec.Struct, frozen=True):
    """Where the documents of a tenant are that belong to no batch."""

    batch_id: str
    region: str


def checked(submission: Submission) -> Submission:
    """As given, but for what no database stores. Raises BadRequest."""
    if submission.deadline_at is not None and not 0 <= submission.deadline_at < 1e11:
        raise BadRequest("The deadline is not a time.")
    if submission.idempotency_key:
        checked_key(submission.idempotency_key)
    if submission.batch_id is not None:
        known_id(submission.batch_id, "batch")
    plain_text(submission.options.engine, "The name of an engine", 100)
    return replace(submission, name=storable_name(submission.name), labels=checked_labels(submission.labels))


def twins(submission: Submission) -> str:
    """The same for submissions of which one may take the results of another."""
    return twins_of(submission.tenant, submission.sha256, submission.options.key)


def accept(session: Session, submission: Submission, home: Home) -> Accepted:
    """`submission` must be `checked`. Raises NotFound or Conflict for its batch, and IdempotencyMismatch.

    Whatever is answered is true once the transaction is committed, and only then.
    """
    if submission.reuse:
        lock_twins(session, twins(submission))
    earlier = _earlier(session, submission)
    document_id = new_id()
    answer = _answer(submission, document_id, earlier)
    if submission.idempotency_key and not _claim(session, submission, answer):
        told = find_answer(session, submission.tenant, submission.idempotency_key, submission.request_digest)
        if told is None:
            raise Conflict("The first request with this Idempotency-Key is being undone: send it again.")
        return told
    for _ in range(_TRIES):
        if earlier is None or _hold(session, earlier):
            break
        earlier = _earlier(session, submission)
    else:
        earlier = None
    was, answer = answer, _answer(submission, document_id, earlier)
    if submission.idempotency_key and answer != was:
        correct_answer(session, submission.tenant, submission.idempotency_key, answer)
    batch_id = home.batch_id
    if submission.batch_id is not None:
        batch_id = _open_batch(session, submission, is_ended=answer.state is not DocumentState.RECEIVED)
    _write(session, submission, answer, batch_id, home.region, earlier)
    return answer


def accept_all(session: Session, submissions: Sequence[Submission], homes: Mapping[str, Home]) -> list[Accepted]:
    """As `accept`, for all of them."""
    # in one order, or two of these would wait for each other
    for name in sorted({twins(submission) for submission in submissions if submission.reuse}):
        lock_twins(session, name)
    return [accept(session, submission, homes[submission.tenant]) for submission in submissions]


def accept_at_once(connection: Connection, submission: Submission, home: Home) -> tuple[Accepted, float] | None:
    """Postgres, for most documents: as `accept`, in one statement, on a connection that commits by itself.

    The answer and when the document was made; None when nothing was written because there is more to decide: which
    earlier document is taken, what a request of the same key was answered, whether a batch is open.
    """
    if submission.batch_id is not None or submission.again_of:
        return None
    answer = _answer(submission, new_id(), None)
    claim = None
    if submission.idempotency_key:
        claim = {
            "key": submission.idempotency_key, "request_digest": submission.request_digest,
            "response_json": msgspec.json.encode(answer).decode(),
        }  # fmt: skip
    row = _document(submission, answer, home.batch_id, home.region)
    content = _content(submission, home.region)
    made_at = write_new_document(connection, content, row, WORK_CHANNEL, submission.reuse, claim)
    return None if made_at is None else (answer, made_at)


def _earlier(session: Session, submission: Submission) -> Any:
    if not submission.reuse:
        return None
    return find_earlier(
        session, submission.tenant, submission.sha256, submission.options.key, Urgency(submission.urgency)
    )


def _answer(submission: Submission, document_id: str, earlier: Any) -> Accepted:
    if earlier is None:
        return Accepted(document_id, DocumentState.RECEIVED, content_id=submission.content_id)
    state = DocumentState.SUCCEEDED if _is_read(earlier) else DocumentState.RECEIVED
    return Accepted(document_id, state, earlier.id, content_id=earlier.content_id)


def _is_read(earlier: Any) -> bool:
    return bool(earlier.state is DocumentState.SUCCEEDED)


def _claim(session: Session, submission: Submission, answer: Accepted) -> bool:
    return claim_key(session, submission.tenant, submission.idempotency_key, submission.request_digest, answer)


def _hold(session: Session, earlier: Any) -> bool:
    """Makes sure that what was found stays: the results of the one, and the run of the other."""
    return (_is_read(earlier) or hold_open(session, earlier.id)) and share_content(session, earlier.content_id)


def _open_batch(session: Session, submission: Submission, is_ended: bool) -> str:
    assert submission.batch_id is not None
    wanted = {"wanted_id": submission.batch_id, "tenant": submission.tenant}
    found = session.execute(_OPEN_BATCH[is_ended], wanted).one_or_none()
    if found is None:
        raise NotFound("There is no batch with this id.")
    if found.sealed_at is not None:
        raise Conflict("The batch is sealed: it takes no more documents.")
    return submission.batch_id


def _write(
    session: Session, submission: Submission, answer: Accepted, batch_id: str, region: str, earlier: Any
) -> None:
    row = _document(submission, answer, batch_id, region) | _UNSAID | _UNREAD | {"follows": None, "duplicate_of": ""}
    if earlier is None:
        _write_new(session, submission, row)
        return
    if _is_read(earlier):
        taken = {name: getattr(earlier, name) for name in (*_UNREAD, "media_type")}
        session.execute(_ADD_ENDED, row | taken | {"duplicate_of": earlier.id})
    else:
        session.execute(_ADD_OPEN, row | {"follows": earlier.id})
    _write_labels(session, submission, answer.document_id)
    cause = f"{'same as' if _is_read(earlier) else 'follows'} {earlier.id}"
    record_documents(session, [answer.document_id], None, answer.state, cause)
    if _is_read(earlier):
        copy_pages(session, earlier.id, answer.document_id)
        after_end(session, lock_document(session, answer.document_id))


def _write_new(session: Session, submission: Submission, row: dict[str, Any]) -> None:
    if submission.again_of:
        if not share_content(session, submission.content_id):
            raise Gone()  # deleted between being looked at and this
        _begin(session, submission, row, f"reads {submission.again_of} again")
        wake(session, submission.pool)
        return
    content = _content(submission, row["region"])
    if session.get_bind().dialect.name == "postgresql":
        write_new_document(session.connection(), content, row, WORK_CHANNEL, reuse=False, claim=None)
        return
    session.execute(_ADD_CONTENT, content)
    _begin(session, submission, row, "accepted")


def _begin(session: Session, submission: Submission, row: dict[str, Any], cause: str) -> None:
    """The document's row and its first slice; its content is there."""
    session.execute(_ADD_OPEN, row)
    _write_labels(session, submission, row["id"])
    record_documents(session, [row["id"]], None, DocumentState.RECEIVED, cause)
    fresh = LockedDocument(
        row["id"], row["batch_id"], DocumentState.RECEIVED, 1, PRIORITY, None, row["media_type"], None,
        row["tenant_id"], row["content_id"],
    )  # fmt: skip
    add_slices(session, fresh, [WHOLE[Step.PLAN]])


def _content(submission: Submission, region: str) -> dict[str, Any]:
    return {
        "id": submission.content_id, "tenant_id": submission.tenant, "region": region, "sha256": submission.sha256,
        "size_bytes": submission.size_bytes, "media_type": submission.media_type,
        "wrapped_key": submission.wrapped_key,
    }  # fmt: skip


def _document(submission: Submission, answer: Accepted, batch_id: str, region: str) -> dict[str, Any]:
    return {
        "id": answer.document_id, "batch_id": batch_id, "sha256": submission.sha256,
        "options_digest": answer.document_id, "size_bytes": submission.size_bytes,
        "media_type": submission.media_type, "state": answer.state, "tenant_id": submission.tenant, "region": region,
        "content_id": answer.content_id, "name": submission.name,
        "labels_json": msgspec.json.encode(submission.labels).decode(),
        "options_json": msgspec.json.encode(submission.options).decode(), "options_key": submission.options.key,
        "urgency": Urgency(submission.urgency).value, "pool": submission.pool, "deadline_at": submission.deadline_at,
        "submitted_by": submission.submitted_by, "priority": PRIORITY, "trace": submission.trace,
        # results that are there need none
        "sealed_passwords": None if answer.state in DOCUMENT_ENDS else submission.sealed_passwords,
    }  # fmt: skip


def _write_labels(session: Session, submission: Submission, document_id: str) -> None:
    labels = [
        {"document_id": document_id, "name": name, "value": value, "tenant_id": submission.tenant}
        for name, value in submission.labels.items()
    ]
    if labels:
        session.execute(_ADD_LABELS, labels)


def wake(session: Session, pool: str = "") -> None:
    """There is something to dispatch, once this transaction is committed."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(_WAKE, {"pool": pool})
