"""`docfleet api`: the REST API as a process of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from docfleet.runtime import Runtime
from docfleet.settings import read_settings

Liveness = Annotated[
    Path | None, typer.Option("--liveness", help="File touched every 5 s while the process moves, for a probe.")
]


def api(
    host: Annotated[str | None, typer.Option(help="Address to listen on.  \\[default: 127.0.0.1]")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0: any free one.  \\[default: 8080]")] = None,
    tls_cert: Annotated[Path | None, typer.Option(help="Certificate chain (PEM): the API speaks HTTPS only.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Private key of the certificate (PEM).")] = None,
    liveness: Liveness = None,
) -> None:
    """Answer the REST API. One of the three pieces of a service on several machines.

    It keeps accepting while workers, dispatcher or Redis are away; run two or more behind a load balancer. All pieces
    share one Postgres (DOCFLEET_SERVICE__LEDGER_URL), one store (DOCFLEET_SERVICE__STORE_URL) and one master key
    (DOCFLEET_SERVICE__MASTER_KEY_FILE). The first key: `docfleet keys create`. SIGTERM ends it once requests under way
    are answered. /healthz says that it lives, /readyz that ledger and store answer.

    Example:  docfleet api --host 0.0.0.0 --port 8080
    """
    from docfleet.stack.web import api_process

    settings = read_settings(
        api={"host": host, "port": port, "tls_cert_file": tls_cert, "tls_key_file": tls_key},
    )
    with Runtime(settings) as runtime:
        api_process(runtime, liveness)
