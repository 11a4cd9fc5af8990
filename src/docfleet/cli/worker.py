"""`docfleet worker`: reads documents."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from docfleet.cli.api import Liveness
from docfleet.domain.urgency import Pool
from docfleet.settings import read_settings


def worker(
    pool: Annotated[str, typer.Option(help="What it reads: pdf, image, both with a comma between, or all; or cloud.")],
    slots: Annotated[
        int | None, typer.Option(min=1, help="Slices it works on at a time.  \\[default: one for each core]")
    ] = None,
    liveness: Liveness = None,
) -> None:
    """Read the documents of one pool. One of the three pieces of a service on several machines.

    Takes hints from Redis (DOCFLEET_SERVICE__BROKER_URL) and, while Redis is away or none is set, work straight from
    the ledger. Each slot is a process of its own with models and sandbox, up to about 1 GB each. SIGTERM: takes nothing
    more, finishes or hands back within DOCFLEET_FLEET__GRACE_SECONDS, exit code 0; a second signal ends it at once.
    Exit code 1: it was not given work that was there, and is to be started again.

    The pool cloud is one process of threads: it sends pages to the cloud engine of DOCFLEET_CASCADE__CLOUD_ENGINE, many
    documents in one request, DOCFLEET_CASCADE__CALLS_IN_FLIGHT requests at a time, within quotas and budgets.

    Example:  docfleet worker --pool pdf --slots 4
    """
    if pool.strip() == Pool.CLOUD:
        raise typer.Exit(_cloud(slots, liveness))
    from docfleet.stack.metrics import telling
    from docfleet.worker.service import run_worker

    settings = read_settings(fleet={"slots": slots})
    with telling(settings, "worker"):
        code = run_worker(settings, pool, settings.fleet.slots, liveness_file=liveness)
    raise typer.Exit(code)


def _cloud(slots: int | None, liveness: Path | None) -> int:
    # loaded here: workers of other pools have nothing of it
    from docfleet.stack.metrics import telling
    from docfleet.worker.cloud.service import run_cloud_worker

    settings = read_settings(cascade={"calls_in_flight": slots})
    with telling(settings, "cloud"):
        return run_cloud_worker(settings, liveness_file=liveness)
