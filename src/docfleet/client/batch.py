"""Documents submitted together, and documents in the order in which they end."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

from docfleet.client.connection import Connection, decoded
from docfleet.client.document import Document
from docfleet.client.finishing import as_finished
from docfleet.client.following import Follower
from docfleet.client.listing import listed
from docfleet.client.values import BatchFacts, DocumentFacts, Event

if TYPE_CHECKING:
    from docfleet.client.client import Client


class Batch:
    """A handle on a batch. As a context manager it seals itself when the block ends well:

    with client.open_batch("march") as batch:
        for path in paths:
            batch.submit(path)
    for document in batch.as_finished():
        ...
    """

    def __init__(self, client: Client, facts: BatchFacts) -> None:
        self._client = client
        self._connection: Connection = client.connection
        self.facts = facts

    def __repr__(self) -> str:
        return f"<Batch {self.id} {self.facts.name!r}>"

    @property
    def id(self) -> str:
        return self.facts.id

    def refresh(self) -> Batch:
        self.facts = decoded(self._connection.request("GET", self._path), BatchFacts)
        return self

    def submit(self, source: Any, **options: Any) -> Document:
        """Like `Client.submit`, into this batch."""
        return self._client.submit(source, batch=self.id, **options)

    def seal(self) -> Batch:
        """No more documents: from now on the batch is finished when its last document has ended."""
        response = self._connection.request("POST", f"{self._path}/seal", repeatable=True)
        self.facts = decoded(response, BatchFacts)
        return self

    def cancel(self) -> Batch:
        """Cancels every document of it that has not ended."""
        self._connection.request("POST", f"{self._path}/cancel", repeatable=True)
        return self.refresh()

    def documents(self, **filters: Any) -> Iterator[Document]:
        """Its documents, the newest first; `filters` as for `Client.documents`."""
        for facts in listed(self._connection, f"{self._path}/documents", DocumentFacts, filters):
            yield Document(self._connection, facts)

    def events(self, after: str = "") -> Iterator[Event]:
        """Changes of its documents, from the first on, until it is finished (which it is only once sealed)."""
        return iter(Follower(self._connection, f"{self._path}/events", self._is_over, after=after))

    def as_finished(self, timeout: float | None = None) -> Iterator[Document]:
        """Its documents as of now, each when it has ended. Raises `TimeoutError` after `timeout` seconds."""
        return as_finished(self._connection, list(self.documents()), timeout=timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.seal()

    @property
    def _path(self) -> str:
        return f"/v1/batches/{quote(self.id, safe='')}"

    def _is_over(self) -> bool:
        self.refresh()
        return self.facts.finished_at is not None or (
            self.facts.sealed_at is not None and not self.facts.open_documents
        )
