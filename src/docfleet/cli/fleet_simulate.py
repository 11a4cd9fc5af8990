"""`docfleet fleet simulate`: how large a fleet would be, what it would cost, and who would have to wait."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.table import Table

from docfleet import __version__
from docfleet.cli.connection import AsJson, print_json, show
from docfleet.errors import UsageError
from docfleet.fleet.simulate.kinds import Kind

if TYPE_CHECKING:
    from docfleet.fleet.simulate.compare import MakeForecaster, Plan
    from docfleet.fleet.simulate.demand import Demand
    from docfleet.fleet.simulate.run import Outcome

DEFAULT_KINDS = (Kind.FIXED, Kind.QUEUE, Kind.REACTIVE, Kind.PREDICTIVE, Kind.ORACLE)
DEFAULT_RATE = 10_000.0


def simulate(
    demand: Annotated[
        Path | None, typer.Option(help="Recorded demand: CSV with the columns timestamp and value (documents).")
    ] = None,
    scenario: Annotated[
        str | None,
        typer.Option(
            help="Made-up demand: day, week, peak, month-end, black-friday, region-gone, half-the-nodes or night. "
            "\\[default: week]"
        ),
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(
            min=0.001,
            max=1e8,
            help="Documents an hour on average: up to a million and more. "
            "\\[default: as recorded, 10,000 for a scenario]",
        ),
    ] = None,
    last: Annotated[
        float,
        typer.Option(
            min=0.001,
            max=1.0,
            help="Share of the recorded demand to run; the forecast learns from what came before it.",
        ),
    ] = 0.2,
    policy: Annotated[list[Kind] | None, typer.Option(help="Who decides; may be given several times.")] = None,
    config: Annotated[
        Path | None, typer.Option(help="TOML: service times, start-up, nodes, prices, failures, the policies' figures.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the page (PDF, PNG) and all figures (JSON).")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same documents, same figures.")] = 1,
    exact: Annotated[
        bool | None,
        typer.Option(
            "--exact/--lots",
            help="Follow every document, or lots of them. \\[default: every one, up to 50,000]",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run fleets that do not exist, under the policy that real ones have, and compare.

    Policies meet the same documents: a fixed size, queue length as KEDA does it (queue-clock: with floors by the
    clock), docfleet's policy without and with its forecast, and an oracle that knows the future.

    Shown are hours of workers that are paid for, their cost, how long documents waited, how many missed their target,
    how many were lost (0, or something is wrong), and the largest size.

    [bold]Examples[/bold]

      docfleet fleet simulate

      docfleet fleet simulate --scenario peak --rate 20000 --out peak

      docfleet fleet simulate --scenario black-friday --rate 1000000 --policy queue --policy predictive

      docfleet fleet simulate --demand history.csv --last 0.25 --config my-prices.toml --json
    """
    _require_simpy()
    from docfleet.fleet.simulate import compare as comparing

    plan = _plan(config)
    wanted = _demand(demand, scenario, rate, last, plan, seed)
    kinds = list(dict.fromkeys(policy or DEFAULT_KINDS))
    arrivals = comparing.arrivals_of(wanted, plan, seed, exact)
    make = _forecaster(silent=as_json)
    with _progress(silent=as_json) as told:
        outcomes = [comparing.run_one(kind, wanted, arrivals, plan, seed, make, told) for kind in kinds]
    if out is not None:
        _write(out, outcomes, wanted, plan, bool(arrivals.each))
    if as_json:
        print_json([_without_course(one) for one in outcomes])
        return
    _show(outcomes, wanted, bool(arrivals.each), plan)
    if out is not None:
        show(f"[dim]The page and all figures are in {out}.[/dim]")


def _require_simpy() -> None:
    try:
        importlib.import_module("simpy")
    except ImportError as error:
        raise UsageError("The simulator needs simpy: pip install 'docfleet[fleet]'.") from error


def _forecaster(*, silent: bool) -> MakeForecaster:
    """The one the service has; where its libraries are not installed, the plain seasonal one."""
    try:
        importlib.import_module("sklearn")
    except ImportError:
        if not silent:
            typer.echo("Forecasts are the plain seasonal ones: scikit-learn is not installed.", err=True)
        from docfleet.fleet.simulate.compare import seasonal

        return seasonal
    from docfleet.fleet.simulate.learned import learned

    return learned


def _plan(config: Path | None) -> Plan:
    from docfleet.fleet.simulate.compare import Plan
    from docfleet.fleet.simulate.world import read_toml

    return Plan() if config is None else read_toml(config, Plan)


def _demand(recorded: Path | None, name: str | None, rate: float | None, last: float, plan: Plan, seed: int) -> Demand:
    from docfleet.fleet.simulate.demand import read_series, split
    from docfleet.fleet.simulate.scenarios import scenario

    if recorded is not None and name is not None:
        raise UsageError("Take recorded demand or a scenario, not both: --demand or --scenario.")
    if recorded is None:
        return scenario(name or "week", rate or DEFAULT_RATE, seed)
    found = split(read_series(recorded, plan.timezone), last, recorded.stem)
    return found if rate is None else found.scaled(rate)


@contextmanager
def _progress(*, silent: bool) -> Iterator[Callable[[Kind, float], None]]:
    """A bar for the policy that runs, on a terminal."""
    console = Console(stderr=True)
    bar = Progress(
        TextColumn("[bold]{task.description}"),
        BarColumn(bar_width=None),
        TaskProgressColumn(),
        console=console,
        transient=True,
        disable=silent or not console.is_terminal,
    )
    with bar:
        task = bar.add_task("", total=1.0)
        yield lambda kind, share: bar.update(task, description=str(kind), completed=share)


def _show(outcomes: list[Outcome], demand: Demand, exact: bool, plan: Plan) -> None:
    from docfleet.fleet.simulate.picture import HEAD, cells

    way = "one by one" if exact else f"in lots of {plan.tick_seconds:g} s"
    table = Table(
        title=f"{demand.name}: {outcomes[0].documents:,} documents in {demand.seconds / 3600:,.0f} hours, {way}",
        title_justify="left",
        box=None,
        pad_edge=False,
    )
    for number, head in enumerate(HEAD):
        table.add_column(head, justify="left" if number == 0 else "right", no_wrap=True)
    for one in outcomes:
        table.add_row(*cells(one))
    show(table)


def _without_course(outcome: Outcome) -> Outcome:
    return msgspec.structs.replace(outcome, steps=(), reasons=())


def _write(out: Path, outcomes: list[Outcome], demand: Demand, plan: Plan, exact: bool) -> None:
    from docfleet.fleet.simulate.picture import picture
    from docfleet.reports.fleet import fleet_image, fleet_pdf
    from docfleet.reports.typesetting import write_whole

    page = picture(outcomes, demand, plan, f"{demand.name}, {len(outcomes)} policies", __version__, exact)
    write_whole(out / "simulation.pdf", fleet_pdf(page))
    write_whole(out / "simulation.png", fleet_image(page))
    write_whole(out / "simulation.json", msgspec.json.format(msgspec.json.encode(outcomes), indent=1))
