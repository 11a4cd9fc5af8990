"""`docfleet up`: the distributed service, on this machine."""

from __future__ import annotations

import json
import os
import time
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.status import Status

from docfleet.cli.serve import AsJson, Host, Port, TlsCert, TlsKey, greeting
from docfleet.errors import UsageError
from docfleet.settings import Settings, read_settings

if TYPE_CHECKING:
    from docfleet.stack.autoscaling import PoolStanding
    from docfleet.stack.fleet import Standing, Started
    from docfleet.stack.worker_pool import WorkerChange

KEPT_FOLDER = "up"
"""Below the data folder: the ledger of `docfleet serve` beside it is another one, with a store of its own."""


def up(
    port: Port = None,
    host: Host = None,
    workers: Annotated[
        int | None, typer.Option("--workers", "-w", min=1, help="Worker processes of each pool.  \\[default: 1]")
    ] = None,
    slots: Annotated[int | None, typer.Option(min=1, help="Slices each worker reads at a time.")] = None,
    autoscale: Annotated[
        bool, typer.Option("--autoscale", help="As many workers of each pool as the work needs.")
    ] = False,
    min_workers: Annotated[
        int | None,
        typer.Option(min=0, help="With --autoscale: never fewer in a pool; 0: none while idle.  \\[default: 1]"),
    ] = None,
    max_workers: Annotated[
        int | None,
        typer.Option(min=1, help="With --autoscale: never more in a pool.  \\[default: a core and 1 GB for each slot]"),
    ] = None,
    sentinel: Annotated[
        bool, typer.Option("--sentinel", help="Three Redis under Sentinel in place of one: any of them may die.")
    ] = False,
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

    With --autoscale there are as many workers of each pool as the dispatcher decides by queue, forecast and clock;
    those that are too many finish what they work on. `docfleet fleet explain` tells why there are so many.
    """
    from docfleet.stack.fleet import FleetPlan, run_fleet

    settings = read_settings(
        api={"host": host, "port": port, "tls_cert_file": tls_cert, "tls_key_file": tls_key},
        fleet={"slots": slots},
        reading={"engine": engine},
    )
    if autoscale:
        settings = _scaled(settings, workers, min_workers, max_workers)
    elif min_workers is not None or max_workers is not None:
        raise UsageError("--min-workers and --max-workers go with --autoscale.")
    folder = data or (settings.service.data_folder / KEPT_FOLDER if keep else None)
    plan = FleetPlan(folder, workers or 1, cloud, autoscale, sentinel)
    if as_json:
        run_fleet(settings, plan, _Lines())
        return
    console = Console(highlight=False)
    status = Status("Starting Postgres, Redis, API, dispatcher and workers …", console=console)
    with status if console.is_terminal else nullcontext():
        run_fleet(settings, plan, _Words(console, status))
    console.print(f"Stopped. The data is in {folder}." if folder else "Stopped; the data is deleted.")


def _scaled(settings: Settings, workers: int | None, least: int | None, most: int | None) -> Settings:
    from docfleet.domain.urgency import Pool
    from docfleet.stack.autoscaling import bounds_of, scaling_here
    from docfleet.stack.sizing import sensible_most

    if workers is not None:
        raise UsageError("With --autoscale say --min-workers and --max-workers in place of --workers.")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    machine_most = sensible_most(len(os.sched_getaffinity(0)), memory, settings.fleet.slots)
    scaling = scaling_here(settings.scaling, least, most, machine_most)
    bounds_of(scaling, tuple(Pool))
    return settings.model_copy(update={"scaling": scaling})


class _Lines:
    """A line of JSON for each thing that happens, for machines."""

    def started(self, facts: Started) -> None:
        self._say(
            {
                "url": facts.url,
                "api_key": facts.key.secret,
                "folder": str(facts.folder),
                "log": str(facts.log),
                "pids": facts.pids,
                "ledger_url": facts.settings.service.ledger_url,
                "broker_url": facts.settings.service.broker_url,
            }
        )

    def changed(self, change: WorkerChange, standing: PoolStanding | None) -> None:
        size: dict[str, object] = {}
        if standing is not None:
            size = {"workers": standing.running, "wanted": standing.wanted, "reason": standing.reason}
        self._say(
            {
                "at": time.time(),
                "pool": change.pool,
                "worker": change.worker,
                "change": change.change,
                "pid": change.pid,
                "exit_code": change.exit_code,
                **size,
            }
        )

    def show(self, standing: Standing) -> None:
        """Nothing: whoever wants to know asks the API."""

    def _say(self, facts: dict[str, object]) -> None:
        print(json.dumps(facts), flush=True)


class _Words:
    """What happens, for people: a status line on a terminal, and a line for each worker that comes or goes."""

    def __init__(self, console: Console, status: Status) -> None:
        self._console = console
        self._status = status

    def started(self, facts: Started) -> None:
        secret = facts.key.secret if facts.key.is_new else ""
        self._console.print(
            greeting(facts.url, secret, facts.key.file, console=facts.settings.console.enabled), soft_wrap=True
        )
        self._console.print(f"  Log        {facts.log}", soft_wrap=True)
        processes = ", ".join(f"{name} {pid}" for name, pid in facts.pids.items())
        self._console.print(f"  Processes  {processes}", soft_wrap=True)

    def changed(self, change: WorkerChange, standing: PoolStanding | None) -> None:
        moment = time.strftime("%H:%M:%S")
        self._console.print(f"{moment}  {change.worker} {change.change}{_size(standing)}", soft_wrap=True)

    def show(self, standing: Standing) -> None:
        documents = "ledger away" if standing.open_documents is None else f"{standing.open_documents} documents open"
        again = f" · started again {standing.restarts}×" if standing.restarts else ""
        pools = "".join(f" · {pool_line(pool)}" for pool in standing.pools)
        self._status.update(f"{standing.running}/{standing.wanted} processes · {documents}{again}{pools}")


def _size(standing: PoolStanding | None) -> str:
    return f" · {pool_line(standing)}" if standing is not None else ""


def pool_line(standing: PoolStanding) -> str:
    """`pdf 3/8 workers (growing: 412 pages waiting)`"""
    told = standing.reason.partition(": ")[2] or standing.reason
    if standing.running < standing.wanted:
        state = f"growing: {told}" if told else "growing"
    elif standing.draining:
        state = f"{standing.draining} draining: {told}" if told else f"{standing.draining} draining"
    else:
        state = ""
    return f"{standing.pool} {standing.running}/{standing.wanted} workers{f' ({state})' if state else ''}"
