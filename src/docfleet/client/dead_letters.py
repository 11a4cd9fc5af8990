"""What was given up, and what is to become of it."""

from __future__ import annotations

import builtins
from collections.abc import Iterator
from typing import Any

import msgspec

from docfleet.client.connection import Connection, decoded
from docfleet.client.listing import listed
from docfleet.client.values import DeadLetter, DeadLetterGroup

_PATH = "/v1/dead-letters"


class _Groups(msgspec.Struct, frozen=True):
    items: list[DeadLetterGroup] = []


class _Count(msgspec.Struct, frozen=True):
    count: int


class DeadLetters:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list(self, code: str | None = None) -> Iterator[DeadLetter]:
        """The newest first; those with this code when given."""
        return listed(self._connection, _PATH, DeadLetter, {"code": code})

    def groups(self) -> builtins.list[DeadLetterGroup]:
        """How many there are of each cause."""
        return decoded(self._connection.request("GET", f"{_PATH}/groups"), _Groups).items

    def retry(self, *, code: str | None = None, step: str | None = None, document_id: str | None = None) -> int:
        """Tries them again: those that fit all that is given; returns how many."""
        return self._post("retry", code=code, step=step, document_id=document_id)

    def discard(self, *, code: str | None = None, step: str | None = None, document_id: str | None = None) -> int:
        """Takes them off the list for good; their documents stay as they ended. Returns how many."""
        return self._post("discard", code=code, step=step, document_id=document_id)

    def _post(self, action: str, **said: Any) -> int:
        given = {name: value for name, value in said.items() if value is not None}
        response = self._connection.request("POST", f"{_PATH}/{action}", body=lambda: {"json": given}, repeatable=True)
        return decoded(response, _Count).count
