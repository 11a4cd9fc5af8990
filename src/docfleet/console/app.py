"""Puts the console on an application: `/console`, without making that one start later.

The framework of the pages takes seconds to load and holds some tens of megabytes, so it is loaded with the first page
that is asked for, or once the process has been up for a while, beside its other work.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import anyio
from fastapi import FastAPI
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from docfleet.console.options import ConsoleOptions, is_installed
from docfleet.errors import ConsoleUnavailable
from docfleet.telemetry import logger

PATH = "/console"
_WARM_SECONDS = 20.0
_log = logger("console")
Opened = AbstractAsyncContextManager[ASGIApp]


def check_installed() -> None:
    """Raises `ConsoleUnavailable` where they are not."""
    if not is_installed():
        raise ConsoleUnavailable()


def mount_console(app: FastAPI, options: ConsoleOptions) -> None:
    """Serves the console at `/console` of `app`; `/` leads browsers there. Starts with the app and ends with it.

    Where its packages are missing, `/console` says so. One console for each process.
    """
    site = LazySite(lambda: _open(app, options))
    app.mount(PATH, site, name="console")
    app.add_route(PATH, _to_first_page, methods=["GET"], include_in_schema=False)
    if is_installed():
        app.state.start_page = "console/"
    whole = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(served: FastAPI) -> AsyncIterator[Any]:
        async with whole(served) as state, site.running():
            yield state

    app.router.lifespan_context = lifespan


def make_app(options: ConsoleOptions) -> FastAPI:
    """The console alone, over the API at `options.api_url`. `/healthz` says that it lives."""
    app = FastAPI(title="docfleet console", openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)

    async def alive(_: object) -> Response:
        return PlainTextResponse("ok")

    async def start(_: object) -> Response:
        return RedirectResponse("console/")

    app.add_route("/healthz", alive, methods=["GET"], include_in_schema=False)
    app.add_route("/", start, methods=["GET"], include_in_schema=False)
    mount_console(app, options)
    return app


async def _to_first_page(_: object) -> Response:
    return RedirectResponse("console/")


class LazySite:
    """An application that is opened when it is first asked for, and closed by the task that opened it."""

    def __init__(self, opening: Callable[[], Awaitable[Opened]]) -> None:
        self._opening = opening
        self._opened: asyncio.Future[ASGIApp] | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._stop = asyncio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """For as long as the process serves."""
        warming = asyncio.get_running_loop().call_later(_WARM_SECONDS, self._begin)
        try:
            yield
        finally:
            warming.cancel()
            self._stop.set()
            if self._keeper is not None:
                await asyncio.wait([self._keeper])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            site = await asyncio.shield(self._begin())
        except ConsoleUnavailable as error:
            await _tell(PlainTextResponse(f"{error.message}\n{error.remedy}\n", 503), scope, receive, send)
        else:
            await site(scope, receive, send)

    def _begin(self) -> asyncio.Future[ASGIApp]:
        if self._opened is None:
            self._opened = asyncio.get_running_loop().create_future()
            self._keeper = asyncio.create_task(self._keep(self._opened), name="console")
        return self._opened

    async def _keep(self, opened: asyncio.Future[ASGIApp]) -> None:
        try:
            async with await self._opening() as site:
                opened.set_result(site)
                await self._stop.wait()
        except Exception as error:
            if opened.done():
                raise
            if not isinstance(error, ConsoleUnavailable):
                _log.exception("console_not_opened")
            self._opened = None
            opened.set_exception(error if isinstance(error, ConsoleUnavailable) else ConsoleUnavailable())
            opened.exception()


async def _open(app: FastAPI, options: ConsoleOptions) -> Opened:
    check_installed()

    def load() -> Callable[[ASGIApp | None, ConsoleOptions], Opened]:
        from docfleet.console.site import open_site

        return open_site

    open_site = await anyio.to_thread.run_sync(load)
    return open_site(None if options.api_url else app, options)


async def _tell(response: Response, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1013})
    else:
        await response(scope, receive, send)
