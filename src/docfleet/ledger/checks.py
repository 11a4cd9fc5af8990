"""What callers may write into the ledger: names, labels, ids. Databases differ in the text they take; none is asked."""

from __future__ import annotations

import re
from collections.abc import Mapping

from docfleet.domain.labels import MAX_LABEL_NAME, MAX_LABEL_VALUE, MAX_LABELS
from docfleet.errors import BadRequest, NotFound

MAX_NAME = 500
MAX_LISTED = 1000
"""Items of one page of a listing."""

_ID = re.compile(r"[0-9a-f]{32}")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
"""Postgres stores no NUL, and half a surrogate pair is no character at all."""


def known_id(id_: str, what: str) -> str:
    """The id as given. Raises NotFound for what cannot be one, so that no such text reaches the database."""
    if not _ID.fullmatch(id_):
        raise NotFound(f"There is no {what} with this id.")
    return id_


def storable_name(name: str) -> str:
    """A document's name as given, however hostile; what no database stores becomes U+FFFD.

    Raises BadRequest for more than `MAX_NAME` characters.
    """
    if len(name) > MAX_NAME:
        raise BadRequest(f"A name may have {MAX_NAME} characters, this one has {len(name)}.")
    return storable(name)


def storable(text: str) -> str:
    """The text; what no database stores becomes U+FFFD. Engines and parsers say what they like."""
    return _UNSTORABLE.sub("\ufffd", text)


def plain_text(text: str, what: str, longest: int) -> str:
    """The text as given. Raises BadRequest when it is too long or cannot be stored."""
    if len(text) > longest:
        raise BadRequest(f"{what} may have {longest} characters, this one has {len(text)}.")
    if _UNSTORABLE.search(text):
        raise BadRequest(f"{what} may hold neither NUL nor halves of surrogate pairs.")
    return text


def checked_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """The labels as given. Raises BadRequest when they are too many, too long, or one has no name."""
    if len(labels) > MAX_LABELS:
        raise BadRequest(f"A document may have {MAX_LABELS} labels, this one has {len(labels)}.")
    for name, value in labels.items():
        if not name:
            raise BadRequest("A label needs a name.")
        plain_text(name, "The name of a label", MAX_LABEL_NAME)
        plain_text(value, "The value of a label", MAX_LABEL_VALUE)
    return dict(labels)


def checked_limit(limit: int) -> int:
    if not 1 <= limit <= MAX_LISTED:
        raise BadRequest(f"The limit is a number from 1 to {MAX_LISTED}.")
    return limit
