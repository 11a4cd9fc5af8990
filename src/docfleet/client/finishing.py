"""Documents in the order in which they end."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from urllib.parse import quote

from docfleet.client.connection import Connection
from docfleet.client.document import Document
from docfleet.client.following import Follower

_HEAD_SECONDS = 2
"""How long the oldest open document is waited for before the others are looked at."""
_SWEEP_SECONDS_EACH = 0.1
"""Looking at every open document costs a request each: it is done this seldom, to stay below a key's limit."""


def as_finished(
    connection: Connection, documents: Sequence[Document], *, timeout: float | None = None
) -> Iterator[Document]:
    """Each document once, when it has ended. Documents of one batch are followed on its event stream, others by asking.

    Raises `TimeoutError` after `timeout` seconds; what was yielded before has ended.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    waiting: dict[str, Document] = {}
    for document in documents:
        if document.is_finished:
            yield document
        else:
            waiting[document.id] = document
    batches = {document.facts.batch_id for document in waiting.values()}
    batch = batches.pop() if len(batches) == 1 else None
    if batch and len(waiting) > 1:
        yield from _followed(connection, batch, waiting, deadline)
    else:
        yield from _asked(waiting, deadline)


def _followed(
    connection: Connection, batch: str, waiting: dict[str, Document], deadline: float | None
) -> Iterator[Document]:
    def nothing_left() -> bool:
        # the stream also ends when the whole batch has: then each is asked about once more
        return not waiting or all(document.refresh().is_finished for document in waiting.values())

    path = f"/v1/batches/{quote(batch, safe='')}/events"
    for event in Follower(connection, path, nothing_left, deadline=deadline):
        # an end of an earlier round may be told of a document that runs again
        if event.ends_document and event.document_id in waiting and waiting[event.document_id].refresh().is_finished:
            yield waiting.pop(event.document_id)
            if not waiting:
                return
    yield from _asked(waiting, deadline)


def _asked(waiting: dict[str, Document], deadline: float | None) -> Iterator[Document]:
    while waiting:
        head = next(iter(waiting.values()))
        left = _HEAD_SECONDS if deadline is None else min(_HEAD_SECONDS, deadline - time.monotonic())
        if left <= 0:
            raise TimeoutError(f"{len(waiting)} documents have not ended in the time given.")
        patience = max(left, min(30.0, _SWEEP_SECONDS_EACH * len(waiting)))
        try:
            head.wait(patience if deadline is None else min(patience, max(0.1, deadline - time.monotonic())))
        except TimeoutError:
            for document in waiting.values():
                document.refresh()
        for document in [one for one in waiting.values() if one.is_finished]:
            yield waiting.pop(document.id)
