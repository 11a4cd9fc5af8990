"""`docfleet fleet`: how many workers there are and are to be, and why."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from docfleet.cli.connection import AsJson, CaFile, KeyFile, To, clock_time, connect, print_json, show
from docfleet.cli.fleet_simulate import simulate
from docfleet.client.fleet import FleetDemand, FleetForecast, FleetNeed
from docfleet.domain.file_names import printable
from docfleet.domain.urgency import Pool

fleet = typer.Typer(
    help="How many workers each pool has and is to have, why, what is to come, and what other sizes would have done.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
fleet.command("simulate")(simulate)
PoolArgument = Annotated[Pool, typer.Argument(help="The pool.", show_default=False)]
_STALE_SECONDS = 60.0
_BAR = 40


@fleet.command()
def status(to: To = "", key_file: KeyFile = None, ca_file: CaFile = None, as_json: AsJson = False) -> None:
    """Show for every pool the workers there are and are to be, and what waits.

    Example:  docfleet fleet status
    """
    with connect(to, key_file, ca_file) as client:
        demands = client.fleet.demands()
    if as_json:
        print_json(demands)
        return
    if not demands:
        print("Nobody has decided on a size yet: is a dispatcher running?")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("pool", "workers", "wanted", "waiting", "work", "oldest", "running", "arriving", "decided"):
        table.add_column(column, justify="left" if column == "pool" else "right", no_wrap=True)
    for one in demands:
        table.add_row(*_status_row(one))
    show(table)
    for one in demands:
        print(f"{clock_time(one.changed_at)}  {printable(one.reason)}")


def _status_row(one: FleetDemand) -> list[str | Text]:
    load = one.load
    age = Text(f"{one.age_seconds:.0f} s ago", style="red" if one.age_seconds > _STALE_SECONDS else "")
    if load is None:
        return [one.pool, "", str(one.workers), "", "", "", "", "", age]
    classes = load.by_priority
    style = "yellow" if load.alive != one.workers else "green"
    return [
        one.pool,
        str(load.alive),
        Text(str(one.workers), style=style),
        f"{sum(each.waiting_slices for each in classes):,}",
        _span(sum(each.waiting_seconds for each in classes)),
        _span(max((each.oldest_seconds for each in classes), default=0.0)),
        f"{sum(each.running_slices for each in classes):,}",
        f"{load.arriving_documents_per_second * 3600:,.0f}/h",
        age,
    ]


@fleet.command()
def explain(
    pool: PoolArgument,
    decisions: Annotated[int, typer.Option(min=0, max=1000, help="So many of the latest changes.")] = 10,
    to: To = "",
    key_file: KeyFile = None,
    ca_file: CaFile = None,
    as_json: AsJson = False,
) -> None:
    """Tell why a pool has the size it has: what each rule asks for, what limits it, and how it came about.

    Example:  docfleet fleet explain pdf
    """
    with connect(to, key_file, ca_file) as client:
        demand = next((one for one in client.fleet.demands() if one.pool == pool), None)
        log = client.fleet.decisions(pool, limit=max(1, decisions))[:decisions]
    if as_json:
        print_json({"demand": demand, "decisions": log})
        return
    if demand is None:
        print(f"Nobody has decided on the size of the pool {pool} yet: is a dispatcher running?")
        return
    alive = f", {demand.load.alive} live" if demand.load else ""
    print(f"{pool}: {demand.workers} workers are wanted{alive}. Decided {demand.age_seconds:.0f} s ago.")
    _show_needs("What each rule asks for:", demand.needs)
    _show_needs("What holds it down or slows it:", demand.limits)
    print(f"The forecast: {printable(demand.outlook or 'none')}")
    if demand.load and demand.load.by_priority:
        _show_classes(demand)
    if log:
        print("\nThe latest changes:")
        for one in log:
            print(f"  {clock_time(one.at)}  {printable(one.reason)}")


def _show_needs(head: str, needs: tuple[FleetNeed, ...]) -> None:
    if not needs:
        return
    print(f"\n{head}")
    table = Table(box=None, show_header=False, pad_edge=False)
    for justify in ("left", "right", "left"):
        table.add_column(justify=justify, overflow="fold")
    for need in needs:
        table.add_row(f"  {need.rule}", str(need.workers), printable(need.why))
    show(table)


def _show_classes(demand: FleetDemand) -> None:
    assert demand.load is not None
    print("\nWhat waits and runs:")
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("  priority", "target", "documents", "pages", "slices", "work", "oldest", "running"):
        table.add_column(column, justify="left" if "prio" in column else "right", no_wrap=True)
    for one in demand.load.by_priority:
        table.add_row(
            f"  {one.priority}", _span(one.target_seconds), f"{one.waiting_documents:,}", f"{one.waiting_pages:,}",
            f"{one.waiting_slices:,}", _span(one.waiting_seconds), _span(one.oldest_seconds), f"{one.running_slices:,}",
        )  # fmt: skip
    show(table)


@fleet.command()
def forecast(
    pool: PoolArgument,
    hours: Annotated[int, typer.Option(min=1, max=168, help="How far ahead.")] = 24,
    to: To = "",
    key_file: KeyFile = None,
    ca_file: CaFile = None,
    as_json: AsJson = False,
) -> None:
    """Show what is forecast for a pool, hour by hour, by which model, and whether sizes provide for it.

    Example:  docfleet fleet forecast pdf --hours 48
    """
    with connect(to, key_file, ca_file) as client:
        told = client.fleet.forecast(pool)
    if as_json:
        print_json(told)
        return
    trusted = "trusted" if told.trusted else "not trusted"
    print(f"{pool}: {told.model}, made {clock_time(told.made_at)}, {trusted}: {printable(told.trust)}")
    scores = ", ".join(f"{score.model} {score.wape:.1%}" for score in told.scores)
    print(f"Error of the models over the past (WAPE): {scores or 'not measured'}")
    show(_forecast_table(told, hours))


def _forecast_table(told: FleetForecast, hours: int) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    rows = dict(zip(told.levels, told.values, strict=True))
    low, middle, high = min(rows), min(rows, key=lambda level: abs(level - 0.5)), max(rows)
    for column in ("hour", f"{low:.0%}", "likely", f"{high:.0%}", ""):
        table.add_column(column, justify="left" if column in ("hour", "") else "right", no_wrap=True)
    now = datetime.now(UTC)
    begin = told.start or now
    step = timedelta(seconds=told.step_seconds)
    shown = [
        (begin + number * step, [rows[level][number] for level in (low, middle, high)])
        for number in range(len(rows[middle]))
        if begin + (number + 1) * step > now
    ][:hours]
    most = max((values[2] for _, values in shown), default=0.0) or 1.0
    for at, values in shown:
        likely, upper = (round(value / most * _BAR) for value in values[1:])
        bar = "█" * likely + "░" * (upper - likely)
        table.add_row(at.astimezone().strftime("%a %d %b %H:%M"), *(f"{value:,.0f}" for value in values), bar)
    return table


def _span(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:,.0f} min" if seconds < 7200 else f"{seconds / 3600:,.1f} h"
