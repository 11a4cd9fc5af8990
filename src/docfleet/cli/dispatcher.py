"""`docfleet dispatcher`: hands out work, repairs, keeps house, delivers webhooks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from docfleet.cli.api import Liveness
from docfleet.runtime import Runtime
from docfleet.settings import read_settings


def dispatcher(
    metrics: Annotated[
        Path | None, typer.Option(help="Write gauges here every 10 s, as a text file for Prometheus.")
    ] = None,
    liveness: Liveness = None,
) -> None:
    """Hand out work, take back what dead workers held, keep house, deliver webhooks. One of the three pieces.

    One of them leads in each region and another follows within seconds when it is gone: run two. It keeps a few hints
    for each slot in Redis (DOCFLEET_SERVICE__BROKER_URL) and sends again what Redis loses; without a broker workers ask
    the ledger, and it keeps house only. SIGTERM ends it at once: nothing is lost with it.

    Example:  docfleet dispatcher --metrics /var/lib/node-exporter/docfleet.prom
    """
    from docfleet.stack.housekeeping import dispatcher_process

    with Runtime(read_settings()) as runtime:
        dispatcher_process(runtime, liveness, metrics)
