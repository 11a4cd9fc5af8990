"""How connections are read: as uvicorn does it, but the head of a request has a limit while it still arrives.

uvicorn with httptools gathers headers without end, so that one connection could fill the memory; `Surface` sees a head
only when it is complete.
"""

from __future__ import annotations

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_ARRIVING_BYTES = 512 * 1024
"""Received before a head is complete; far above `surface.MAX_HEAD_BYTES`, since the body may begin among them."""


class LimitedHeadProtocol(HttpToolsProtocol):
    """For `uvicorn.Config(http=LimitedHeadProtocol)`: answers 400 and closes when a head does not end."""

    _arriving = True
    _arrived = 0

    def data_received(self, data: bytes) -> None:
        if self._arriving:
            self._arrived += len(data)
            if self._arrived > MAX_ARRIVING_BYTES:
                self.send_400_response("The head of the request is too large.")
                return
        super().data_received(data)

    def on_message_begin(self) -> None:
        self._arriving, self._arrived = True, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._arriving = False
        super().on_headers_complete()
