"""The pages put together with NiceGUI, which knows one application in a process."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from nicegui import Client, core, ui
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from docfleet.console import assets, frame, pages, plain_pages
from docfleet.console.client import open_http
from docfleet.console.document_files import DocumentFiles
from docfleet.console.document_routes import DocumentRoutes
from docfleet.console.guard import BASE, Guard
from docfleet.console.libraries import Libraries
from docfleet.console.options import ConsoleOptions
from docfleet.console.pictures import Press
from docfleet.console.scratch import Scratch
from docfleet.console.session import Sessions
from docfleet.console.sign_in import Door
from docfleet.telemetry import logger

_RECONNECT_SECONDS = 12.0
"""A telephone in a lift: the page goes on where it was."""
_TAB_SECONDS = 300.0
_log = logger("console")


@asynccontextmanager
async def open_site(api: ASGIApp | None, options: ConsoleOptions) -> AsyncIterator[ASGIApp]:
    """The console over an API in this process, or over `options.api_url`."""
    http = open_http(api, options.api_url, options.ca_file)
    sessions = Sessions(options, http)
    door = Door(options, http)
    files = DocumentFiles(Scratch(), Press())
    host = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    host.add_route("/sign-in", door.show, methods=["GET"])
    host.add_route("/sign-in", door.sign_in, methods=["POST"])
    host.add_route("/sign-out", door.sign_out, methods=["POST"])
    host.add_route("/assets/{digest}/{name}", assets.serve, methods=["GET"])
    pages.load()
    frame.add_routes(host, sessions)
    DocumentRoutes(sessions.api_of, files).add_to(host)
    frame.add_pages(sessions)
    _run_nicegui(host)
    guarded: ASGIApp = Guard(host, options, sessions.owns_page)
    try:
        async with host.router.lifespan_context(host):
            yield GZipMiddleware(Libraries(guarded), minimum_size=1000, compresslevel=6)
    finally:
        files.close()
        await http.aclose()


def _run_nicegui(host: FastAPI) -> None:
    logging.getLogger("nicegui").addHandler(_ToOurLog())
    logging.getLogger("nicegui").propagate = False
    # a note for each tab, of which nothing is used: forgotten in minutes, not in a month
    core.app.storage.max_tab_storage_age = _TAB_SECONDS
    core.app.on_exception(_on_defect)
    core.app.add_exception_handler(404, _on_missing)
    _keep_to_own_page()
    ui.run_with(
        host,
        title="docfleet",
        favicon=assets.FAVICON,
        dark=None,
        language="en-US",
        mount_path="/",
        tailwind=False,
        reconnect_timeout=_RECONNECT_SECONDS,
        message_history_length=200,
        gzip_middleware_factory=None,  # the guard reads the pages; compressed is what it lets out
        binding_refresh_interval=None,
        show_welcome_message=False,
    )


def _keep_to_own_page() -> None:
    """What comes over a socket is for the page of that socket, whatever page it names; nothing of it is logged."""
    handlers = core.sio.handlers["/"]
    for event in ("event", "javascript_response", "ack"):
        core.sio.on(event, _kept(handlers[event]))
    core.sio.on("log", lambda *_: None)


def _kept(handle: Any) -> Any:
    def kept(sid: str, message: Any) -> Any:
        page = message.get("client_id") if isinstance(message, dict) else None
        if page not in core.sio.rooms(sid) or page not in Client.instances:
            return None
        return handle(sid, message)

    return kept


async def _on_missing(request: Request, error: Exception) -> Response:
    """Without a page of the framework's own, which would be kept for a minute."""
    return plain_pages.missing(request.scope[BASE])


def _on_defect(error: Exception) -> None:
    """What an event of a page raised; the page itself has said so."""
    frame.log_defect(error)


class _ToOurLog(logging.Handler):
    """The framework's own warnings, without what came from browsers."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.ERROR:
            _log.warning("console_framework", module=record.module, line=record.lineno)
