"""The web console on the API of this process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docfleet.console.options import ConsoleOptions
from docfleet.runtime import Runtime
from docfleet.settings import Settings

if TYPE_CHECKING:
    from fastapi import FastAPI

    from docfleet.store.keys import MasterKey


def add_console(app: FastAPI, runtime: Runtime) -> None:
    """At `/console` of this API, unless the settings say no."""
    settings = runtime.settings
    if not settings.console.enabled:
        return
    from docfleet.console.app import mount_console

    mount_console(app, console_options(settings, runtime.master_key))


def console_options(settings: Settings, sealing: MasterKey, *, own_process: bool = False) -> ConsoleOptions:
    """`own_process`: it speaks to an API elsewhere."""
    console = settings.console
    return ConsoleOptions(
        sealing=sealing,
        api_url=console.api_url.rstrip("/") if own_process else "",
        ca_file=str(console.api_ca_file or "") if own_process else "",
        public_url=console.public_url or ("" if own_process else settings.api.public_url),
        session_hours=console.session_hours,
        max_pages=console.max_pages,
        refresh_seconds=console.refresh_seconds,
    )
