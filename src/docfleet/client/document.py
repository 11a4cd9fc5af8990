"""A document in the service, as something one can ask and wait for."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec

from docfleet.client.connection import Connection, decoded
from docfleet.client.downloading import download_file, safe_place
from docfleet.client.following import Follower
from docfleet.client.values import DocumentFacts, Event, PageStatus, ResultFile
from docfleet.errors import Conflict, FormatNotMade, Gone, NotReady

if TYPE_CHECKING:
    import httpx


class _Pages(msgspec.Struct, frozen=True):
    items: list[PageStatus] = []


LONG_POLL_SECONDS = 25.0
PACKED_TABLES = "tables.zip"
"""The tables once more, in one file; they stand beside it one by one."""


class Document:
    """A handle: `facts` is what the service last told; `refresh` and `wait` ask anew."""

    def __init__(self, connection: Connection, facts: DocumentFacts) -> None:
        self._connection = connection
        self.facts = facts

    def __repr__(self) -> str:
        return f"<Document {self.id} {self.state} {self.name!r}>"

    @property
    def id(self) -> str:
        return self.facts.id

    @property
    def name(self) -> str:
        return self.facts.name

    @property
    def state(self) -> str:
        """received, running, assembling; at its end succeeded, partial, failed or cancelled."""
        return self.facts.state

    @property
    def is_finished(self) -> bool:
        return self.facts.is_finished

    @property
    def succeeded(self) -> bool:
        """Every page was read."""
        return self.state == "succeeded"

    def refresh(self) -> Document:
        self.facts = self._told(self._connection.request("GET", self._path))
        return self

    def wait(self, timeout: float | None = None) -> Document:
        """Returns when the document has ended, however it ended. Raises `TimeoutError` after `timeout` seconds."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while not self.is_finished:
            left = LONG_POLL_SECONDS if deadline is None else min(LONG_POLL_SECONDS, deadline - time.monotonic())
            if left <= 0:
                raise TimeoutError(f"{self.name or self.id} is still {self.state} after {timeout:g} s.")
            asked = time.monotonic()
            self.facts = self._told(self._connection.request("GET", self._path, params={"wait": max(1, round(left))}))
            if not self.is_finished and time.monotonic() - asked < 0.5:
                time.sleep(min(0.5, left))  # something between us does not let us wait
        return self

    def pages(self) -> list[PageStatus]:
        """Every page and how it stands, also while the document is read."""
        return decoded(self._connection.request("GET", f"{self._path}/pages"), _Pages).items

    def events(self, after: str = "") -> Iterator[Event]:
        """Changes as they happen, from the first on (or after the event with this id), until the document ends.

        A broken connection is taken up where it broke.
        """
        return iter(Follower(self._connection, f"{self._path}/events", lambda: self.refresh().is_finished, after=after))

    def results(self) -> list[ResultFile]:
        return list(self._ended().facts.results)

    def result(self, format: str = "json") -> bytes:
        """The bytes of one result, in memory. For `csv` a zip of all tables.

        Raises `NotReady` before the document's end, `FormatNotMade` where there is no such result.
        """
        return self._connection.request("GET", f"{self._path}/results/{quote(format, safe='')}").content

    def text(self) -> str:
        """The plain text (the result `txt`)."""
        return self.result("txt").decode()

    def download(self, format: str, path: str | Path) -> Path:
        """Streams one result to a file, which appears when it is whole. Goes on where an earlier try broke off."""
        found = [file for file in self.results() if file.format == format]
        if format == "csv":
            found = [file for file in found if file.path.endswith(PACKED_TABLES)] or found
        if not found:
            raise FormatNotMade
        return self._download(found[0], Path(path))

    def download_all(self, folder: str | Path, formats: Sequence[str] | None = None) -> list[Path]:
        """All results into a folder, laid out as `docfleet process` lays them out; returns the files."""
        return [self._download(file, safe_place(Path(folder), file.path)) for file in self.wanted(formats)]

    def wanted(self, formats: Sequence[str] | None = None) -> list[ResultFile]:
        """The results that `download_all` fetches: of these formats, and the page-by-page account."""
        return [
            file
            for file in self.results()
            if (formats is None or file.format in {*formats, "outcome"}) and not file.path.endswith(PACKED_TABLES)
        ]

    def source(self) -> bytes:
        """The file as it was submitted, in memory. Raises `Gone` once it is deleted."""
        return self._connection.request("GET", f"{self._path}/source").content

    def download_source(self, path: str | Path) -> Path:
        """Streams the file as it was submitted to `path`, which appears when it is whole and its SHA-256 is right."""
        facts = self.facts
        file = ResultFile("source", facts.name, facts.media_type, facts.size_bytes, facts.sha256)
        return download_file(self._connection, f"{self._path}/source", file, Path(path))

    def read_again(
        self,
        *,
        engine: str | None = None,
        mode: str | None = None,
        formats: Sequence[str] | None = None,
        languages: Sequence[str] | None = None,
        features: Sequence[str] | None = None,
        priority: str | None = None,
        reuse: bool = False,
        password: str | Sequence[str] = (),
    ) -> Document:
        """Reads the same bytes once more as a new document, which is returned; this one stays as it is.

        What is left out is as it was. Sent under an idempotency key of its own, so that a repeat makes no third one.
        """
        said = {
            "engine": engine, "mode": mode, "formats": formats, "languages": languages, "features": features,
            "priority": priority, "reuse": reuse, "password": password,
        }  # fmt: skip
        body = {name: value if isinstance(value, str | bool) else list(value) for name, value in said.items() if value}
        headers = {"Idempotency-Key": uuid.uuid4().hex}
        response = self._connection.request(
            "POST", f"{self._path}/read-again", headers=headers, body=lambda: {"json": body}, repeatable=True
        )
        return Document(self._connection, self._told(response))

    def label(self, changes: Mapping[str, str | None]) -> Document:
        """Sets labels; None takes one away, what is not named stays."""
        response = self._connection.request("PATCH", self._path, body=lambda: {"json": {"labels": dict(changes)}})
        self.facts = self._told(response)
        return self

    def cancel(self) -> Document:
        """Gives it up. Raises `Conflict` when it has ended otherwise."""
        try:
            return self._post("cancel", repeatable=True)
        except Conflict:
            if self.refresh().state != "cancelled":
                raise
            return self

    def retry(self, pages: Sequence[int] | None = None, *, password: str | Sequence[str] = ()) -> Document:
        """Tries again what failed; only these pages when given. Raises `Conflict` where nothing failed.

        `password`: of an encrypted document, also if it was given before.
        """
        said: dict[str, Any] = {} if pages is None else {"pages": list(pages)}
        if password:
            said["password"] = password if isinstance(password, str) else list(password)
        return self._post("retry", said)

    def reprioritise(self, priority: str | None = None, deadline: datetime | None = None) -> Document:
        said = {"priority": priority, "deadline": deadline.isoformat() if deadline else None}
        given = {name: value for name, value in said.items() if value is not None}
        self.facts = self._told(self._connection.request("PATCH", self._path, body=lambda: {"json": given}))
        return self

    def delete(self) -> None:
        """Deletes its bytes and results; what other documents have of the same bytes stays theirs.

        Raises `Conflict` before its end.
        """
        with suppress(Gone):
            self._connection.request("DELETE", self._path)

    @property
    def _path(self) -> str:
        return f"/v1/documents/{quote(self.id, safe='')}"

    def _ended(self) -> Document:
        if not self.is_finished and not self.refresh().is_finished:
            raise NotReady
        return self

    def _post(self, action: str, said: dict[str, Any] | None = None, *, repeatable: bool = False) -> Document:
        body = {"json": said} if said else {}
        response = self._connection.request("POST", f"{self._path}/{action}", body=lambda: body, repeatable=repeatable)
        self.facts = self._told(response)
        return self

    def _download(self, file: ResultFile, target: Path) -> Path:
        place = f"{self._path}/results/{quote(file.format, safe='')}/{quote(file.path)}"
        return download_file(self._connection, place, file, target)

    @staticmethod
    def _told(response: httpx.Response) -> DocumentFacts:
        return decoded(response, DocumentFacts)
