"""The door to a service from Python."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import msgspec

from docfleet.client.address import find_address
from docfleet.client.batch import Batch
from docfleet.client.budgets import Budgets
from docfleet.client.connection import Connection, decoded
from docfleet.client.dead_letters import DeadLetters
from docfleet.client.document import Document
from docfleet.client.finishing import as_finished
from docfleet.client.fleet import Fleet
from docfleet.client.listing import listed
from docfleet.client.parallel import in_parallel
from docfleet.client.repeating import RepeatPolicy
from docfleet.client.reports import Reports
from docfleet.client.statistics import Overview, Statistics, read_overview, read_statistics
from docfleet.client.uploading import OnSent, Source, Upload, fields, password_header
from docfleet.client.values import BatchFacts, Costs, DocumentFacts, Identity, TenantCost, TenantCosts
from docfleet.client.webhooks import Webhooks
from docfleet.errors import DocfleetError

ANY_BYTES = "application/octet-stream"
"""The service finds out what a file is by its content."""


_FIRST_SECONDS = 3.0


class Submitted(msgspec.Struct, frozen=True):
    """What became of one of many submissions: a document, or the error that stopped it."""

    source: Any
    document: Document | None = None
    error: DocfleetError | None = None


class Client:
    """Talks to one service under one key. Safe for several threads; close it, or use it as a context manager.

    client = Client("http://127.0.0.1:8080", "df_…")     # or from DOCFLEET_URL and DOCFLEET_API_KEY: Client()
    print(client.submit("invoice.pdf").wait().text())

    Whatever may be sent twice without harm is sent again when it fails for now (no connection, 429, 502 to 504), with
    growing, random pauses, never sooner than Retry-After, for up to `retry_seconds`. Errors are those of
    `docfleet.errors`, by the code the service tells; `ServiceUnreachable` when there is no answer.
    """

    def __init__(
        self,
        url: str = "",
        api_key: str = "",
        *,
        ca_file: str = "",
        timeout: float = 60.0,
        retry_seconds: float = 120.0,
    ) -> None:
        """What is not given is taken from the environment or the file a server on this machine wrote (`find_address`).

        `timeout`: seconds one read or write may take. Raises `UsageError` when address or key is unknown.
        """
        address = find_address(url, api_key, ca_file)
        self.connection = Connection(address, timeout_seconds=timeout, policy=RepeatPolicy(total_seconds=retry_seconds))
        self.budgets = Budgets(self.connection)
        self.dead_letters = DeadLetters(self.connection)
        self.fleet = Fleet(self.connection)
        self.reports = Reports(self.connection)
        self.webhooks = Webhooks(self.connection)

    @property
    def url(self) -> str:
        return self.connection.address.url

    def me(self) -> Identity:
        """Who the service takes this key for. Answers soon or not at all: good for finding out whether it is there."""
        return decoded(self.connection.request("GET", "/v1/me", patience_seconds=_FIRST_SECONDS), Identity)

    def submit(
        self,
        source: Source,
        *,
        name: str = "",
        priority: str | None = None,
        labels: Mapping[str, str] | None = None,
        deadline: datetime | None = None,
        formats: Sequence[str] | None = None,
        languages: Sequence[str] | None = None,
        mode: str | None = None,
        engine: str | None = None,
        features: Sequence[str] | None = None,
        batch: str | None = None,
        reuse: bool = True,
        password: str | Sequence[str] = (),
        idempotency_key: str = "",
        on_sent: OnSent | None = None,
    ) -> Document:
        """Submits one document: a path, its bytes, or a file opened for reading (which can be sought).

        Streams; memory does not grow with the file. When this returns, the service has it and will not lose it. It is
        sent under an Idempotency-Key (a fresh one unless given), so that a repeated attempt makes no second document.
        `priority`: critical, high, normal or bulk. `reuse=False`: read it even if the same bytes were read before.
        `features`: what to look for beside the text (tables, image_quality, language_detection); [] for the text alone.
        `password`: of an encrypted document; several are tried in turn, and forgotten when it has ended.
        Raises `UsageError` for what cannot be sent, and what refuses it: `UnsupportedType`, `Empty`, `PayloadTooLarge`,
        `RateLimited`, `Overloaded` …
        """
        upload = Upload(source, name, on_sent)
        said = fields(
            priority=priority, labels=labels, deadline=deadline, formats=formats, languages=languages, mode=mode,
            engine=engine, features=features, batch=batch, reuse=reuse,
        )  # fmt: skip
        response = self.connection.request(
            "POST",
            "/v1/documents",
            params={"name": upload.name, **said},
            headers={
                "Content-Type": ANY_BYTES,
                "Content-Length": str(upload.size_bytes),
                "Idempotency-Key": idempotency_key or uuid.uuid4().hex,
                **password_header(password),
            },
            body=lambda: {"content": upload.chunks()},
            repeatable=True,
        )
        return Document(self.connection, decoded(response, DocumentFacts))

    def submit_many(self, sources: Iterable[Source], *, concurrency: int = 4, **options: Any) -> Iterator[Submitted]:
        """Submits each source, `concurrency` at a time, and tells of each when it is accepted or refused.

        `sources` is read only as fast as it is sent. `options` as for `submit`, for all of them.
        """

        def one(source: Source) -> Submitted:
            try:
                return Submitted(source, self.submit(source, **options))
            except DocfleetError as error:
                return Submitted(source, error=error)

        yield from in_parallel(one, sources, concurrency)

    def document(self, document_id: str) -> Document:
        """Raises `NotFound`, or `Gone` for one that was deleted."""
        path = f"/v1/documents/{quote(document_id, safe='')}"
        return Document(self.connection, decoded(self.connection.request("GET", path), DocumentFacts))

    def documents(self, **filters: Any) -> Iterator[Document]:
        """The tenant's documents, the newest first. Filters: `state`, `batch`, `label` ("k=v"), `name`, `priority`,
        `code`, `created_after`, `created_before`, `limit` (of one page of the listing).
        """
        for facts in listed(self.connection, "/v1/documents", DocumentFacts, filters):
            yield Document(self.connection, facts)

    def as_finished(self, documents: Iterable[Document], timeout: float | None = None) -> Iterator[Document]:
        """Each of these documents once, when it has ended, however it ended.

        Documents of one batch are followed on its event stream, which is taken up again where it broke. Raises
        `TimeoutError` after `timeout` seconds.
        """
        return as_finished(self.connection, list(documents), timeout=timeout)

    def open_batch(self, name: str = "", labels: Mapping[str, str] | None = None) -> Batch:
        """A new batch. As a context manager it seals itself when the block ends well."""
        said = {"name": name, "labels": dict(labels or {})}
        key = uuid.uuid4().hex
        response = self.connection.request(
            "POST", "/v1/batches", headers={"Idempotency-Key": key}, body=lambda: {"json": said}, repeatable=True
        )
        return Batch(self, decoded(response, BatchFacts))

    def batch(self, batch_id: str) -> Batch:
        path = f"/v1/batches/{quote(batch_id, safe='')}"
        return Batch(self, decoded(self.connection.request("GET", path), BatchFacts))

    def batches(self) -> Iterator[Batch]:
        """The tenant's batches, the newest first."""
        for facts in listed(self.connection, "/v1/batches", BatchFacts, {}):
            yield Batch(self, facts)

    def overview(self, tenant: str | None = None) -> Overview:
        """How things stand; what the key may not know is None. `tenant`: "*" for all, with a key of the system's."""
        return read_overview(self.connection, tenant)

    def statistics(
        self,
        since: datetime | None = None,
        until: datetime | None = None,
        step: str = "hour",
        tenant: str | None = None,
    ) -> Statistics:
        """What happened, in steps of "five_minutes", an "hour" or a "day" (UTC); by default the last 24 steps."""
        return read_statistics(self.connection, since, until, step, tenant)

    def costs(self, month: str | None = None) -> Costs:
        """What a month ("2026-11", UTC; default: the present one) cost, what was saved, what it will come to."""
        return decoded(self.connection.request("GET", "/v1/costs", params={"month": month}), Costs)

    def tenant_costs(self, month: str | None = None) -> list[TenantCost]:
        """What each tenant cost in a month, dearest first. Raises `Forbidden` unless the key is the system tenant's."""
        response = self.connection.request("GET", "/v1/costs/tenants", params={"month": month})
        return decoded(response, TenantCosts).items

    def close(self) -> None:
        self.connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
