"""How long requests take, by the template of their route: never by their path, which would name documents."""

from __future__ import annotations

import time
from collections.abc import Iterable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from docfleet.telemetry import metrics
from docfleet.telemetry.catalog import HTTP_DURATION, HTTP_IN_FLIGHT
from docfleet.telemetry.metrics import Measured, reading

NO_ROUTE = "none"
_EVENT_STREAM = b"text/event-stream"


class InFlight:
    """Requests under way. For one event loop."""

    def __init__(self) -> None:
        self.number = 0

    def __call__(self) -> Iterable[Measured]:
        return [reading(HTTP_IN_FLIGHT, self.number)]


class Measuring:
    """Pure ASGI, outside of everything that answers. A stream of events counts until it begins."""

    def __init__(self, app: ASGIApp, in_flight: InFlight) -> None:
        self._app = app
        self._in_flight = in_flight

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not metrics.is_enabled():
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(scope, self._in_flight)

        async def send_on(message: Message) -> None:
            if message["type"] == "http.response.start":
                exchange.begin(message)
            await send(message)

        try:
            await self._app(scope, receive, send_on)
        except Exception:
            exchange.status = exchange.status or 500
            raise
        finally:
            exchange.end()


class _Exchange:
    """One request and its answer."""

    def __init__(self, scope: Scope, in_flight: InFlight) -> None:
        self._scope = scope
        self._in_flight = in_flight
        self._root = str(scope.get("root_path", ""))
        self._started = time.perf_counter()
        self._has_ended = False
        self.status = 0
        """0: there is no answer; who asked has left, or the server stops."""
        in_flight.number += 1

    def begin(self, message: Message) -> None:
        self.status = int(message["status"])
        if any(name == b"content-type" and value.startswith(_EVENT_STREAM) for name, value in message["headers"]):
            self.end()

    def end(self) -> None:
        if self._has_ended:
            return
        self._has_ended = True
        self._in_flight.number -= 1
        if self.status:
            method = "HEAD" if "docfleet.head" in self._scope else str(self._scope["method"])
            seconds = time.perf_counter() - self._started
            metrics.observe(HTTP_DURATION, seconds, method, self._route(), f"{self.status // 100}xx")

    def _route(self) -> str:
        """Its template; of an application that is mounted, below the path it is mounted at."""
        mounted = str(self._scope.get("root_path", "")).removeprefix(self._root)
        template = getattr(self._scope.get("route"), "path", "")
        return f"{mounted}{template}" or NO_ROUTE
