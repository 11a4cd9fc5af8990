"""How connections are read: as uvicorn does it, but the head of a request has a limit, in bytes and in time.

uvicorn with httptools gathers headers without end and waits for their end for ever, so that one connection could fill
the memory, and some thousands that say nothing hold all there may be; `Surface` sees a head only when it is complete.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_ARRIVING_BYTES = 512 * 1024
"""Received before a head is complete; far above `surface.MAX_HEAD_BYTES`, since the body may begin among them."""
HEAD_SECONDS = 20.0
"""From its first byte (of the first one: from the connection) until a head is complete."""


class LimitedHeadProtocol(HttpToolsProtocol):
    """For `uvicorn.Config(http=LimitedHeadProtocol)`: answers 400 and closes when a head does not end."""

    _arriving = True
    _arrived = 0
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._arriving:
            self._arrived += len(data)
            if self._arrived > MAX_ARRIVING_BYTES:
                self.send_400_response("The head of the request is too large.")
                return
        super().data_received(data)

    def on_message_begin(self) -> None:
        self._arriving, self._arrived = True, 0
        if self._timer is None:
            self._await_head()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._arriving = False
        self._stop_timer()
        super().on_headers_complete()

    def _await_head(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(HEAD_SECONDS, self._give_up)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _give_up(self) -> None:
        self._timer = None
        if self.transport is not None and not self.transport.is_closing():
            self.transport.close()
