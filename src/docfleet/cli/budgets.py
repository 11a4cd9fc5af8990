"""`docfleet budgets`: straight on the ledger, for whoever operates the service."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from docfleet.cli.connection import AsJson, print_json, show
from docfleet.cli.costs import usd
from docfleet.domain.access import LOCAL_TENANT
from docfleet.domain.budgeting import ALL, WARN_PERCENT, BudgetPolicy
from docfleet.domain.file_names import printable
from docfleet.domain.pricing import micros_of, usd_of
from docfleet.errors import UsageError
from docfleet.ledger.money_values import BudgetView
from docfleet.runtime import Runtime, ledger_address
from docfleet.settings import read_settings

budgets = typer.Typer(
    help="What tenants may spend on engines that cost something. Works on the ledger, without the API.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
Tenant = Annotated[str, typer.Option(help="Whose; all: of all tenants together.")]
Engine = Annotated[str, typer.Option(help="On which engine; all: on all engines together.")]
Month = Annotated[str, typer.Option(help="As in 2026-11, UTC; all: every month that has no budget of its own.")]
_ALL = "all"


@budgets.command("set")
def set_budget(
    limit: Annotated[float, typer.Argument(metavar="USD", min=0.0, max=1e9, help="What a month may cost.")],
    tenant: Tenant = LOCAL_TENANT,
    engine: Engine = _ALL,
    month: Month = _ALL,
    policy: Annotated[
        BudgetPolicy,
        typer.Option(
            help="At the limit: stop ends pages with a code, degrade keeps what the local engine read, queue has them "
            "wait until the limit is raised."
        ),
    ] = BudgetPolicy.QUEUE,
    warn_percent: Annotated[
        int, typer.Option(min=1, max=100, help="Webhooks learn of it from here on.")
    ] = WARN_PERCENT,
    as_json: AsJson = False,
) -> None:
    """Set a budget, or change it. It is in force at once; keys of the tenant cannot change it.

    Example:  docfleet budgets set 50 --tenant acme --engine documentai --policy degrade
    """
    with _runtime() as runtime:
        if tenant == LOCAL_TENANT:
            runtime.access.ensure_tenant(LOCAL_TENANT, "This machine")
        view = runtime.budgets.set_budget(
            _name(tenant), _name(engine), micros_of(limit), policy, _name(month), warn_percent
        )
    if as_json:
        print_json(_told(view))
    else:
        print(f"{printable(_scope(view))}: {usd(usd_of(view.budget.limit_micros))} a month, then {policy.value}.")


@budgets.command("list")
def list_budgets(
    tenant: Tenant = LOCAL_TENANT,
    month: Annotated[str | None, typer.Option(help="How they stood in this month.  \\[default: now]")] = None,
    as_json: AsJson = False,
) -> None:
    """List the budgets of a tenant and how they stand."""
    with _runtime() as runtime:
        views = runtime.budgets.budgets(_name(tenant), month)
    if as_json:
        print_json([_told(view) for view in views])
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("whose and on what", "month", "limit", "spent", "reserved", "at the limit", "warned"):
        table.add_column(column, overflow="fold")
    for view in views:
        warned = datetime.fromtimestamp(view.warned_at, UTC).strftime("%Y-%m-%d %H:%M") if view.warned_at else ""
        table.add_row(
            printable(_scope(view)), "every" if view.budget.month == ALL else view.budget.month,
            usd(usd_of(view.budget.limit_micros)), usd(usd_of(view.settled_micros)),
            usd(usd_of(view.reserved_micros)), view.budget.policy.value, warned,
        )  # fmt: skip
    show(table if views else "There is no budget: nothing is limited.")


@budgets.command("remove")
def remove_budget(tenant: Tenant = LOCAL_TENANT, engine: Engine = _ALL, month: Month = _ALL) -> None:
    """Remove a budget: nothing is limited by it any more."""
    with _runtime() as runtime:
        runtime.budgets.remove_budget(_name(tenant), _name(engine), _name(month))
    print("Removed.")


def _name(given: str) -> str:
    return ALL if given == _ALL else given


def _scope(view: BudgetView) -> str:
    scope = view.budget.scope
    who = "all tenants" if scope.tenant == ALL else scope.tenant
    return f"{who}, {'all engines' if scope.engine == ALL else scope.engine}"


def _told(view: BudgetView) -> dict[str, object]:
    budget = view.budget
    return {
        "tenant": budget.scope.tenant, "engine": budget.scope.engine, "month": budget.month,
        "limit_usd": usd_of(budget.limit_micros), "policy": budget.policy.value, "warn_percent": budget.warn_percent,
        "spent_usd": usd_of(view.settled_micros), "reserved_usd": usd_of(view.reserved_micros),
        "warned_at": view.warned_at, "exhausted_at": view.exhausted_at, "set_by": view.set_by,
    }  # fmt: skip


@contextmanager
def _runtime() -> Iterator[Runtime]:
    """Raises `UsageError` where there is no ledger."""
    settings = read_settings()
    place = ledger_address(settings.service)
    if isinstance(place, Path) and not place.exists():
        raise UsageError(
            f"There is no ledger at {place}: run this where the service runs, or set DOCFLEET_SERVICE__DATA_FOLDER "
            "or DOCFLEET_SERVICE__LEDGER_URL as it has them."
        )
    with Runtime(settings) as runtime:
        yield runtime
