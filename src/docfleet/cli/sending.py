"""The work of `docfleet submit`: send what is new, wait for all of it, fetch results as they come."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from docfleet.cli.fetching import Folders, add_to_index, clean_drafts, fetch, row_of, row_of_refusal
from docfleet.cli.gathering import Item, same_bytes
from docfleet.cli.journal import Journal, Line, document_key
from docfleet.cli.transfer import Transfer
from docfleet.client import Client, Document
from docfleet.client.parallel import in_parallel
from docfleet.errors import (
    Conflict,
    DocfleetError,
    DocumentError,
    Gone,
    NotFound,
    PasswordRequired,
    PasswordWrong,
    PayloadTooLarge,
    SourceNotAllowed,
)
from docfleet.pipeline.outcome import IndexRow

REFUSES_ONE = (DocumentError, PayloadTooLarge, SourceNotAllowed)
"""Errors that are about one document; any other would stop the next one as well."""

_LOCKED = frozenset({PasswordRequired.code, PasswordWrong.code})
"""What another password may cure."""


class Stopped(Exception):
    """The user has had enough; what is being sent is broken off."""


class Sent(msgspec.Struct):
    """What became of one input."""

    item: Item
    document: Document | None = None
    error: DocfleetError | None = None
    was_known: bool = False
    """Accepted by an earlier run."""
    folder: str = ""
    fetched: bool = False
    fetch_error: str = ""


class Sending:
    """One run. `sent` maps the SHA-256 of an input to what became of it."""

    def __init__(
        self,
        client: Client,
        journal: Journal,
        items: Sequence[Item],
        *,
        batch: str,
        labels: Mapping[str, str],
        options: Mapping[str, Any],
        passwords: Sequence[str],
        out: Path | None,
        concurrency: int,
    ) -> None:
        self._client = client
        self._journal = journal
        self.items = items
        self._first = same_bytes(items)
        self._batch_name = batch
        self._labels = dict(labels)
        self._options = dict(options)
        self._passwords = list(passwords)
        # "in half an hour" is another time at the next run, but the same wish
        self._said = {**self._options, "deadline": None, "labels": self._labels}
        self._out = out
        self._folders = Folders(out, journal.folders()) if out is not None else None
        self._concurrency = concurrency
        self.batch_id = ""
        self.sent: dict[str, Sent] = {}
        self._listed: dict[str, dict[str, Document]] = {}
        self.stop = threading.Event()

    @property
    def to_send(self) -> list[Item]:
        return list(self._first.values())

    def send(self, shown: Transfer) -> None:
        """Every input that no earlier run has sent. Raises what would stop every other one too."""
        new: list[tuple[Item, str]] = []
        for item in self.to_send:
            key = document_key(item.sha256, item.name, self._batch_name, self._said)
            if (known := self._known(item, key)) is not None:
                self.sent[item.sha256] = known
                shown.accepted(skipped_bytes=item.size_bytes)
            else:
                new.append((item, key))
        if not new:
            return
        self._open_batch()
        for told in in_parallel(lambda job: self._send_one(*job, shown), new, self._concurrency):
            self.sent[told.item.sha256] = told
            shown.accepted()
        self._client.batch(self.batch_id).seal()
        self._journal.note_batch(self._batch_name, self.batch_id, sealed=True)

    def wait(self, shown: Transfer, formats: Sequence[str] | None) -> Iterator[Sent]:
        """Each document when it has ended and, with an output folder, its results are there."""
        by_id = {told.document.id: told for told in self.sent.values() if told.document is not None}
        ended = self._client.as_finished([told.document for told in by_id.values() if told.document is not None])

        def take(document: Document) -> Sent:
            told = by_id[document.id]
            told.document = document
            if self._out is not None:
                self._fetch(told, formats)
            return told

        for told in in_parallel(take, ended, self._concurrency):
            shown.finished()
            yield told
        if self._out is not None:
            clean_drafts(self._out)

    def rows(self) -> list[IndexRow]:
        """One for each input, in their order."""
        rows = []
        for item in self.items:
            told = self.sent.get(item.sha256)
            error = item.error or (told.error if told else None)
            if error is not None:
                rows.append(row_of_refusal(item.name, error))
            elif told is not None and told.document is not None:
                twin = told.item.name if told.item is not item else ""
                row = row_of(told.document, item.name, told.folder, fetched=told.fetched, duplicate_of=twin)
                if told.fetch_error:
                    row = msgspec.structs.replace(row, message=f"{row.message} {told.fetch_error}".strip())
                rows.append(row)
        return rows

    def write_index(self) -> None:
        if self._out is not None:
            add_to_index(self.rows(), self._out)

    def _known(self, item: Item, key: str) -> Sent | None:
        line = self._journal.document(key)
        document = self._accepted(line) if line is not None else None
        if line is None or document is None:
            return None
        if self._passwords and document.facts.code in _LOCKED:
            with suppress(Conflict):  # somebody else tries it again
                document.retry(password=self._passwords)
        folder = line.folder or self._folder(item)
        if folder != line.folder:
            self._journal.note_document(key, document.id, line.batch_id, item.name, folder)
        return Sent(item, document, was_known=True, folder=folder)

    def _accepted(self, line: Line) -> Document | None:
        """The document as it stands now; None when the service has it no more."""
        if line.batch_id not in self._listed:
            # one listing instead of a request for each document
            try:
                found = {one.id: one for one in self._client.batch(line.batch_id).documents(limit=1000)}
            except (NotFound, Gone):
                found = {}
            self._listed[line.batch_id] = found
        return self._listed[line.batch_id].get(line.document_id)

    def _open_batch(self) -> None:
        known = self._journal.batch(self._batch_name)
        if known is not None:
            try:
                found = self._client.batch(known)
            except (NotFound, Gone):
                found = None
            if found is not None and found.facts.sealed_at is None:
                self.batch_id = found.id
                return
        self.batch_id = self._client.open_batch(self._batch_name, self._labels).id
        self._journal.note_batch(self._batch_name, self.batch_id)

    def _send_one(self, item: Item, key: str, shown: Transfer) -> Sent:
        assert item.path is not None

        def on_sent(size: int) -> None:
            if self.stop.is_set():
                raise Stopped
            shown.sent(size)

        try:
            document = self._client.submit(
                item.path,
                name=item.sent_as,
                labels=self._labels,
                batch=self.batch_id,
                # whatever is part of the request is part of its key
                idempotency_key=document_key(key, self.batch_id, item.sent_as, self._options["deadline"]),
                on_sent=on_sent,
                password=self._passwords,
                **self._options,
            )
        except REFUSES_ONE as error:
            return Sent(item, error=error)
        folder = self._folder(item)
        self._journal.note_document(key, document.id, self.batch_id, item.name, folder)
        return Sent(item, document, folder=folder)

    def _folder(self, item: Item) -> str:
        if self._folders is None:
            return ""
        with _giving:
            return self._folders.give(item.folder, item.name)

    def _fetch(self, told: Sent, formats: Sequence[str] | None) -> None:
        assert self._out is not None
        assert told.document is not None
        try:
            told.fetched = fetch(told.document, self._out, told.folder, formats)
        except DocfleetError as error:
            told.fetch_error = error.message


_giving = threading.Lock()
