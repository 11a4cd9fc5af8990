"""Kinds of values that come in: ids, texts, times, labels."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated

from fastapi import Depends, Header, Path, Query
from pydantic import AfterValidator, BeforeValidator, Field

from docfleet.api.parts import ApiParts, caller_of, parts_of
from docfleet.domain.access import Caller
from docfleet.domain.labels import MAX_LABEL_NAME, MAX_LABEL_VALUE, MAX_LABELS
from docfleet.errors import NotFound
from docfleet.store.passwords import MAX_PASSWORDS

_ID = re.compile(r"[A-Za-z0-9_.:-]{1,64}")


def known_form(value: str) -> str:
    """What cannot be an id is an id of nothing."""
    if not _ID.fullmatch(value):
        raise NotFound()
    return value


def storable(value: str) -> str:
    """Text as any database holds it: no NUL, no half of a surrogate pair. Raises ValueError."""
    if "\x00" in value or any("\ud800" <= char <= "\udfff" for char in value):
        raise ValueError("holds a character that cannot be stored")
    return value


def seconds_of(moment: datetime) -> float:
    """Seconds since 1970; raises ValueError for a time without an offset, which could be any."""
    if moment.tzinfo is None:
        raise ValueError("has no offset from UTC: write it like 2026-03-14T09:26:53Z")
    return moment.timestamp()


def optional_seconds(moment: datetime | None) -> float | None:
    return None if moment is None else seconds_of(moment)


def _aware(moment: datetime) -> datetime:
    seconds_of(moment)
    return moment


def _labels(value: dict[str, str]) -> dict[str, str]:
    if len(value) > MAX_LABELS:
        raise ValueError(f"more than {MAX_LABELS} labels")
    for name, text in value.items():
        if not 1 <= len(storable(name)) <= MAX_LABEL_NAME or "=" in name:
            raise ValueError(f"the name of a label has 1 to {MAX_LABEL_NAME} characters and no =")
        if len(storable(text)) > MAX_LABEL_VALUE:
            raise ValueError(f"the value of a label has at most {MAX_LABEL_VALUE} characters")
    return value


def _changes(value: dict[str, str | None]) -> dict[str, str | None]:
    _labels({name: text or "" for name, text in value.items()})
    return value


def _no_number(value: object) -> object:
    """RFC 3339 only: a bare number would be read as seconds, or as milliseconds when it is large."""
    if isinstance(value, (int, float)) or (isinstance(value, str) and not re.match(r"\d{4}-\d\d-\d\d[Tt ]", value)):
        raise ValueError("is no RFC 3339 time such as 2026-03-14T09:26:53Z")
    return value


def _several(value: object) -> object:
    return (value,) if isinstance(value, str) else value


Text = Annotated[str, AfterValidator(storable)]
Passwords = Annotated[
    tuple[str, ...],
    BeforeValidator(_several),
    Field(
        repr=False,
        max_length=MAX_PASSWORDS,
        description="Of an encrypted document; several are tried in turn. Kept encrypted until the document has ended, "
        "then forgotten.",
    ),
]
Labels = Annotated[dict[str, str], AfterValidator(_labels), Field(examples=[{"customer": "4711"}])]
LabelChanges = Annotated[
    dict[str, str | None],
    AfterValidator(_changes),
    Field(
        examples=[{"checked": "yes", "draft": None}],
        description="Labels that get this value; null takes one away, what is not named stays.",
    ),
]
Moment = Annotated[
    datetime, BeforeValidator(_no_number), AfterValidator(_aware), Field(examples=["2026-03-14T09:26:53Z"])
]
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern=r"^[!-~]+$",
        description="Any text of your own, new for each new request. The same request under the same key is done once.",
    ),
]

Parts = Annotated[ApiParts, Depends(parts_of)]
Who = Annotated[Caller, Depends(caller_of)]
DocumentId = Annotated[str, Path(description="Id of a document."), AfterValidator(known_form)]
BatchId = Annotated[str, Path(description="Id of a batch."), AfterValidator(known_form)]
WebhookId = Annotated[str, Path(description="Id of a webhook."), AfterValidator(known_form)]
DeliveryId = Annotated[str, Path(description="Id of a delivery, as in `webhook-id`."), AfterValidator(known_form)]
KeyId = Annotated[str, Path(description="Id of a key, not its secret."), AfterValidator(known_form)]
Cursor = Annotated[
    Text | None, Query(max_length=500, description="`next_cursor` of the page before; none: the first page.")
]
Limit = Annotated[int, Query(ge=1, le=1000, description="Items on a page, at most.")]
