"""Events of a document or batch for as long as it takes: broken streams are taken up where they broke."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import msgspec

from docfleet.client.connection import Connection, decoded
from docfleet.client.sse import parse_events
from docfleet.client.values import Event
from docfleet.errors import ServiceUnreachable

if TYPE_CHECKING:
    import httpx

SILENCE_SECONDS = 45.0
"""A stream sends heartbeats; one that is silent for this long is broken."""
_FRUITLESS_STREAMS = 2
"""After so many streams that brought nothing, some proxy holds them back: the listing is polled instead."""
_POLL_SECONDS = 1.0
_LONGEST_POLL_SECONDS = 10.0


class _Listing(msgspec.Struct, frozen=True):
    items: list[Event] = []


class Follower:
    """Yields each event once, in order. Ends when `is_over` says so and everything told before has been yielded."""

    def __init__(
        self,
        connection: Connection,
        path: str,
        is_over: Callable[[], bool],
        *,
        after: str = "",
        deadline: float | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`path`: of the events; `after`: the id of the last event that is known already; `deadline`: on the monotonic
        clock, past it the next step raises `TimeoutError`.
        """
        self._connection = connection
        self._path = path
        self._is_over = is_over
        self._after = after
        self._deadline = deadline
        self._sleep = sleep
        self._fruitless = 0

    def __iter__(self) -> Iterator[Event]:
        while self._fruitless < _FRUITLESS_STREAMS:
            before = self._after
            yield from self._streamed()
            self._check_deadline()
            if self._is_over():
                yield from self._listed()
                return
            self._fruitless = 0 if self._after != before else self._fruitless + 1
        yield from self._polled()

    def _streamed(self) -> Iterator[Event]:
        """What one stream brings, until it ends or breaks."""
        headers = {"Accept": "text/event-stream"}
        if self._after:
            headers["Last-Event-ID"] = self._after
        try:
            with self._connection.stream(self._path, headers=headers, timeout_seconds=self._patience()) as response:
                if not response.headers.get("Content-Type", "").startswith("text/event-stream"):
                    self._fruitless = _FRUITLESS_STREAMS
                    return
                yield from self._events_in(response)
        except ServiceUnreachable:
            return

    def _events_in(self, response: httpx.Response) -> Iterator[Event]:
        for told in parse_events(self._lines_in(response)):
            try:
                event = msgspec.json.decode(told.data, type=Event)
            except msgspec.MsgspecError:
                continue  # of a kind this version does not know
            yield self._seen(event)

    def _lines_in(self, response: httpx.Response) -> Iterator[str]:
        for line in response.iter_lines():
            self._check_deadline()  # heartbeats are lines too, so this is looked at in time
            yield line

    def _seen(self, event: Event) -> Event:
        self._after = event.id or self._after
        return event

    def _listed(self) -> Iterator[Event]:
        """What the listing has after the last known event."""
        while True:
            response = self._connection.request(
                "GET", self._path, params={"after": self._after}, headers={"Accept": "application/json"}
            )
            listing = decoded(response, _Listing)
            for event in listing.items:
                yield self._seen(event)
            if not listing.items:
                return

    def _polled(self) -> Iterator[Event]:
        pause = _POLL_SECONDS
        while True:
            over = self._is_over()
            found = False
            for event in self._listed():
                found = True
                yield event
            if over:
                return
            self._check_deadline()
            pause = _POLL_SECONDS if found else min(_LONGEST_POLL_SECONDS, pause * 1.5)
            self._sleep(pause)

    def _patience(self) -> float:
        """How long the stream may be silent, in seconds."""
        if self._deadline is None:
            return SILENCE_SECONDS
        return min(SILENCE_SECONDS, max(0.1, self._deadline - time.monotonic()))

    def _check_deadline(self) -> None:
        if self._deadline is not None and time.monotonic() >= self._deadline:
            raise TimeoutError("It has not ended in the time given.")
