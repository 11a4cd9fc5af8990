"""What was given up, and what is to become of it."""

from __future__ import annotations

import builtins
from collections.abc import Iterator
from typing import Any

import msgspec

from docfleet.client.connection import Connection, decoded
from docfleet.client.listing import listed
from docfleet.client.values import DeadLetter, DeadLetterGroup
from docfleet.errors import UsageError

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

    def retry(
        self, *, code: str | None = None, step: str | None = None, document_id: str | None = None, all: bool = False
    ) -> int:
        """Tries them again: those that fit all that is given; returns how many.

        Raises `UsageError` when nothing is given: every one there is has to be asked for with `all=True`.
        """
        return self._post("retry", all, code=code, step=step, document_id=document_id)

    def discard(
        self, *, code: str | None = None, step: str | None = None, document_id: str | None = None, all: bool = False
    ) -> int:
        """Takes them off the list for good, chosen as for `retry`; their documents stay as they ended."""
        return self._post("discard", all, code=code, step=step, document_id=document_id)

    def _post(self, action: str, everything: bool, **said: Any) -> int:
        given: dict[str, Any] = {name: value for name, value in said.items() if value is not None}
        if everything == bool(given):
            raise UsageError("Say which: code, step, document_id, or all=True and none of these.")
        if everything:
            given["all"] = True
        response = self._connection.request("POST", f"{_PATH}/{action}", body=lambda: {"json": given}, repeatable=True)
        return decoded(response, _Count).count
