"""Dead letters: work that was given up, with its cause; tried again or taken off the list."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field

from docfleet.api.inputs import Cursor, Limit, Parts, Text, Who
from docfleet.api.resource import Resource
from docfleet.api.schemas import DOCUMENT_ID, CountOut, example, moment
from docfleet.domain.access import Permission
from docfleet.domain.work import DocumentState, Step
from docfleet.errors import BadRequest, Conflict, NotFound
from docfleet.ledger.service_values import DeadLetterGroup, DeadLetterView

dead_letters = Resource("Dead letters")
_AT = "2026-03-14T09:26:53.589000Z"
_LETTER = {
    "document_id": DOCUMENT_ID,
    "document_name": "invoice-01.pdf",
    "document_state": "partial",
    "batch_id": None,
    "slice_id": 815,
    "step": "local",
    "first_page": 9,
    "last_page": 16,
    "code": "worker_died",
    "message": "The process that read these pages died, each time it was tried.",
    "detail": None,
    "attempts": 3,
    "crashes": 3,
    "errors": 0,
    "worker": "host-1/pdf-0/2-7",
    "at": _AT,
}
_GROUP = {
    "code": "worker_died",
    "step": "local",
    "count": 4,
    "documents": 3,
    "oldest_at": _AT,
    "newest_at": _AT,
    "example_message": "The process that read these pages died, each time it was tried.",
}


class DeadLetterOut(BaseModel):
    """A slice of a document that was given up."""

    model_config = example(**_LETTER)

    document_id: str
    document_name: str
    document_state: DocumentState = Field(description="Only a document that has ended can be tried again.")
    batch_id: str | None
    slice_id: int
    step: str
    first_page: int = Field(description="0: the whole document.")
    last_page: int
    code: str
    message: str
    detail: str | None
    attempts: int
    crashes: int
    errors: int
    worker: str | None = Field(description="Who had it last.")
    at: datetime | None

    @classmethod
    def of(cls, letter: DeadLetterView) -> DeadLetterOut:
        return cls(
            document_id=letter.document_id, document_name=letter.document_name,
            document_state=letter.document_state, batch_id=letter.batch_id, slice_id=letter.slice_id,
            step=letter.step, first_page=letter.first_page, last_page=letter.last_page, code=letter.code,
            message=letter.message, detail=letter.detail or None, attempts=letter.attempts,
            crashes=letter.crashes, errors=letter.errors, worker=letter.worker or None, at=moment(letter.died_at),
        )  # fmt: skip


class DeadLettersOut(BaseModel):
    """One page of a listing, the newest first."""

    model_config = example(items=[_LETTER], next_cursor=None)

    items: list[DeadLetterOut]
    next_cursor: str | None


class DeadLetterGroupOut(BaseModel):
    """Dead letters with the same cause at the same step."""

    model_config = example(**_GROUP)

    code: str
    step: str
    count: int
    documents: int
    oldest_at: datetime | None
    newest_at: datetime | None
    example_message: str

    @classmethod
    def of(cls, group: DeadLetterGroup) -> DeadLetterGroupOut:
        return cls(
            code=group.code, step=group.step, count=group.count, documents=group.documents,
            oldest_at=moment(group.oldest_at), newest_at=moment(group.newest_at),
            example_message=group.example_message,
        )  # fmt: skip


class DeadLetterGroupsOut(BaseModel):
    model_config = example(items=[_GROUP])

    items: list[DeadLetterGroupOut]


class DeadLetterChoice(BaseModel):
    """Which ones: those that fit all that is said. Every one only when `all` is true and nothing else is said."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"code": "worker_died"}, {"document_id": DOCUMENT_ID}, {"all": True}]},
    )

    code: Annotated[Text, Field(max_length=64)] | None = None
    step: Step | None = None
    document_id: Annotated[Text, Field(max_length=64)] | None = None
    all: bool = Field(False, description="Every one there is.")

    def check(self) -> None:
        """Raises `BadRequest`: a filter that was forgotten must not mean everything."""
        says_which = self.code is not None or self.step is not None or self.document_id is not None
        if self.all == says_which:
            raise BadRequest('Say which: code, step, document_id, or "all": true and none of these.')


@dead_letters.route("GET", "/v1/dead-letters", Permission.READ_DEAD_LETTERS, out=DeadLettersOut)
def list_dead_letters(
    parts: Parts,
    caller: Who,
    code: Annotated[Text | None, Query(description="Outcome code.", max_length=64)] = None,
    step: Annotated[Step | None, Query(description="Only those given up at this step.")] = None,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> DeadLettersOut:
    """List what was given up, the newest first."""
    found = parts.desk.dead_letters(caller.tenant, code, cursor, limit, step)
    return DeadLettersOut(items=[DeadLetterOut.of(letter) for letter in found.items], next_cursor=found.next_cursor)


@dead_letters.route("GET", "/v1/dead-letters/groups", Permission.READ_DEAD_LETTERS, out=DeadLetterGroupsOut)
def group_dead_letters(parts: Parts, caller: Who) -> DeadLetterGroupsOut:
    """Dead letters by cause."""
    groups = parts.desk.dead_letter_groups(caller.tenant)
    return DeadLetterGroupsOut(items=[DeadLetterGroupOut.of(group) for group in groups])


@dead_letters.route(
    "POST",
    "/v1/dead-letters/retry",
    Permission.CONTROL_DEAD_LETTERS,
    out=CountOut,
    problems=(NotFound, Conflict),
)
def retry_dead_letters(body: DeadLetterChoice, parts: Parts, caller: Who) -> CountOut:
    """Try dead letters again; answers how many documents were started anew."""
    body.check()
    count = parts.desk.retry_dead_letters(caller.tenant, body.code, body.step, body.document_id)
    parts.on_accepted()
    return CountOut(count=count)


@dead_letters.route(
    "POST",
    "/v1/dead-letters/discard",
    Permission.CONTROL_DEAD_LETTERS,
    out=CountOut,
    problems=(NotFound, Conflict),
)
def discard_dead_letters(body: DeadLetterChoice, parts: Parts, caller: Who) -> CountOut:
    """Take dead letters off the list; their documents stay as they ended. Answers how many."""
    body.check()
    return CountOut(count=parts.desk.discard_dead_letters(caller.tenant, body.code, body.step, body.document_id))
