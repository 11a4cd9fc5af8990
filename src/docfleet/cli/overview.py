"""`docfleet overview`: how the service stands, at a glance."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Annotated

import typer
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from docfleet.cli.connection import AsJson, CaFile, KeyFile, To, clock_time, connect, print_json, show
from docfleet.cli.costs import usd
from docfleet.client.statistics import Overview, Sums
from docfleet.domain.file_names import printable

ATTENTION_EXIT = 3
_STYLES = {"critical": "bold red", "warning": "yellow", "info": "cyan"}
_BARS = " ▁▂▃▄▅▆▇█"
_WATCH_SECONDS = 2.0


def overview(
    all_tenants: Annotated[
        bool, typer.Option("--all-tenants", help="Of all tenants together: with a key of the tenant system.")
    ] = False,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Go on showing it until Ctrl-C.")] = False,
    check: Annotated[
        bool,
        typer.Option("--check", help=f"Exit with {ATTENTION_EXIT} when something critical needs attention."),
    ] = False,
    to: To = "",
    key_file: KeyFile = None,
    ca_file: CaFile = None,
    as_json: AsJson = False,
) -> None:
    """Show what needs attention, throughput, failures, latency, queues, workers and money.

    [bold]Examples[/bold]

      docfleet overview

      docfleet overview --watch

      docfleet overview --check --json | jq .attention
    """
    tenant = "*" if all_tenants else None
    with connect(to, key_file, ca_file) as client:
        told = client.overview(tenant)
        if as_json:
            print_json(told)
        elif not watch:
            show(_shown(told))
        else:
            with Live(_shown(told), console=Console(highlight=False), auto_refresh=False) as live:
                while True:
                    time.sleep(_WATCH_SECONDS)
                    told = client.overview(tenant)
                    live.update(_shown(told), refresh=True)
    if check and any(notice.severity == "critical" for notice in told.attention):
        raise typer.Exit(ATTENTION_EXIT)


def _shown(told: Overview) -> RenderableType:
    table = Table(box=None, pad_edge=False, show_header=False)
    for _ in range(3):
        table.add_column(overflow="fold")
    for name, value, more in _rows(told):
        table.add_row(name, value, printable(more))
    return Group(*_attention(told), table)


def _attention(told: Overview) -> Iterator[RenderableType]:
    if not told.attention:
        yield Text("Nothing needs attention.", style="green")
    for notice in told.attention:
        yield Text.assemble(
            (notice.severity.upper().ljust(9), _STYLES.get(notice.severity, "")),
            f"{printable(notice.title)}: {printable(notice.text)}",
        )
    yield Text()


def _rows(told: Overview) -> Iterator[tuple[str, str, str]]:
    hour, today = told.last_hour, told.today
    bars = _bars([step.succeeded + step.partial for step in told.last_day])
    yield "Documents in the last hour", f"{hour.succeeded + hour.partial:,} read", f"{hour.accepted:,} came in"
    yield "Last 24 hours", bars, "documents read by the hour"
    yield "Outcomes in the last hour", *_outcomes(hour)
    yield "Latency in the last hour", _seconds(hour.seconds_p50), f"half; 95 of 100 within {_seconds(hour.seconds_p95)}"
    yield (
        "Today (UTC)",
        f"{today.accepted:,} came in",
        f"{today.succeeded + today.partial:,} read, {today.pages:,} pages",
    )
    for one in told.waiting or ():
        if one.documents or one.oldest_seconds:
            yield f"Waiting: {one.pool}/{one.priority}", f"{one.documents:,}", f"oldest {_seconds(one.oldest_seconds)}"
    for pool in told.workers or ():
        yield f"Workers: {pool.pool}", f"{pool.alive} of {pool.wanted}", pool.reason
    if told.dead_letters is not None:
        yield "Dead letters", f"{told.dead_letters.open:,}", ""
    if told.spend is not None:
        spend = told.spend
        yield "Spent on engines", f"{usd(spend.today_usd)} today", f"{usd(spend.month_usd)} this month"
        if spend.saved_usd is not None:
            yield "Saved this month", usd(spend.saved_usd), "read locally or not read twice"
        for budget in spend.budgets:
            yield f"Budget: {budget.engine}", f"{budget.percent:.0f} %", f"of {usd(budget.limit_usd)}, {budget.state}"
    counted = clock_time(told.counted_until) if told.counted_until else "nobody counts: is a dispatcher running?"
    yield "Counted until", counted, ""


def _outcomes(sums: Sums) -> tuple[str, str]:
    if not sums.ended:
        return "none ended", ""
    good = (sums.succeeded + sums.partial) / sums.ended
    said = f"{sums.partial:,} partial, {sums.failed:,} failed by their own fault, {sums.broken:,} by ours"
    return f"{good:.1%} read", said


def _seconds(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:,.0f} s"


def _bars(values: list[int]) -> str:
    """One character a value, the highest as high as it goes; what is not nothing is seen."""
    most = max(values, default=0)
    if not most:
        return "none"
    return "".join(_BARS[-(-value * (len(_BARS) - 1) // most)] for value in values)
