"""The web console as a process of its own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from docfleet.errors import UsageError
from docfleet.settings import Settings
from docfleet.stack.metrics import telling
from docfleet.stack.mounting import console_options
from docfleet.stack.roles import Liveness, stopping_on_signals
from docfleet.stack.web import address_of, check_tls, listening, serve_http

if TYPE_CHECKING:
    from docfleet.store.keys import MasterKey

_GRACE_SECONDS = 3.0
_OWN = ("host", "port", "tls_cert_file", "tls_key_file")


def console_process(settings: Settings, liveness: Path | None) -> None:
    """The role `console`: serves pages over the API elsewhere, until SIGTERM or SIGINT."""
    from docfleet.api.surface import Surface
    from docfleet.console.app import check_installed, make_app

    console = settings.console
    if not console.api_url.startswith(("http://", "https://")):
        raise UsageError("The console needs the address of the API: `docfleet console --api https://…`.")
    check_installed()
    listen = settings.api.model_copy(update={name: getattr(console, name) for name in _OWN})
    check_tls(listen)
    app = make_app(console_options(settings, _session_key(settings), own_process=True))
    app.add_middleware(Surface)
    with stopping_on_signals() as stop, listening(listen) as sock, telling(settings, "console"):
        alive = Liveness(liveness)
        print(f"docfleet console on {address_of(listen, sock)}/console", flush=True)
        serve_http(app, listen, sock, stop, alive.touch, _GRACE_SECONDS)
        alive.end()


def _session_key(settings: Settings) -> MasterKey:
    from docfleet.store.keys import MasterKey

    console = settings.console
    if console.session_key:
        return MasterKey.from_base64(console.session_key)
    if console.session_key_file is None:
        return MasterKey.generate()
    if not console.session_key_file.is_file():
        raise UsageError(f"There is no key at {console.session_key_file}: `docfleet master-key new` prints one.")
    return MasterKey.from_base64(console.session_key_file.read_text(encoding="ascii").strip())
