"""`docfleet console`: the web console as a process of its own."""

from __future__ import annotations

from typing import Annotated

import typer

from docfleet.cli.api import Liveness
from docfleet.cli.serve import TlsCert, TlsKey
from docfleet.settings import read_settings


def console(
    api: Annotated[
        str | None, typer.Option("--api", help="Address of the API: https://docfleet.example.com", metavar="URL")
    ] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.  \\[default: 127.0.0.1]")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port to listen on; 0: any free one.  \\[default: 8090]")
    ] = None,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    liveness: Liveness = None,
) -> None:
    """Serve the web console over an API elsewhere.

    `docfleet serve`, `docfleet up` and `docfleet api` have it at /console already; this is for a console on a machine
    of its own. It needs the API's address and nothing else: no ledger, no store, no master key. People sign in with
    their API keys. Several of these behind one address share DOCFLEET_CONSOLE__SESSION_KEY and need sessions that
    stick to a process.

    Example:  docfleet console --api https://docfleet.example.com
    """
    from docfleet.stack.console import console_process

    settings = read_settings(
        console={"api_url": api, "host": host, "port": port, "tls_cert_file": tls_cert, "tls_key_file": tls_key},
    )
    console_process(settings, liveness)
