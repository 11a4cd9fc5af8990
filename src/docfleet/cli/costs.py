"""`docfleet costs`: what a month cost, what was saved, what it will come to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import typer
from rich.table import Table

from docfleet.cli.connection import AsJson, CaFile, KeyFile, To, connect, print_json, show
from docfleet.client import Compared, Costs, WholeCost
from docfleet.domain.file_names import printable

Month = Annotated[str | None, typer.Option(help="As in 2026-11, UTC.  \\[default: this month]", show_default=False)]


def costs(
    month: Month = None, to: To = "", key_file: KeyFile = None, ca_file: CaFile = None, as_json: AsJson = False
) -> None:
    """What a month cost, what was saved, and what it will have cost at its end.

    Example:  docfleet costs --month 2026-11
    """
    with connect(to, key_file, ca_file) as client:
        told = client.costs(month)
    if as_json:
        print_json(told)
        return
    table = Table(box=None, pad_edge=False, show_header=False)
    for _ in range(3):
        table.add_column(overflow="fold")
    for row in _rows(told):
        table.add_row(*map(printable, row))
    show(table)


def _rows(told: Costs) -> Iterator[tuple[str, str, str]]:
    yield from _whole(told)
    yield from _calls(told)
    yield from _saved(told)
    if told.forecast is not None:
        seen = told.forecast
        band = f"{usd(seen.low_usd)} to {usd(seen.high_usd)}, from {seen.days_seen} full days"
        yield "Calls at the end of the month", usd(seen.expected_usd), band
    for budget in told.budgets:
        used = f"{usd(budget.spent_usd + budget.reserved_usd)} used, then {budget.policy}"
        yield f"Budget for {budget.engine or 'all engines'}", usd(budget.limit_usd), used


def _whole(told: Costs) -> Iterator[tuple[str, str, str]]:
    whole = told.whole
    yield f"Whole cost in {told.month}", usd(whole.usd), f"{whole.documents} documents, {whole.pages} pages"
    yield "  calls of engines", usd(whole.engine_usd), ""
    yield "  workers on pages", usd(whole.busy_usd), _time(told.work_seconds)
    yield "  workers beside that", usd(whole.idle_usd), "your part of their idle time"
    yield "  storage", usd(whole.storage_usd), ""
    if whole.hosting_usd:
        yield "  hosted processors", usd(whole.hosting_usd), "your part"
    yield "  base", usd(whole.base_usd), "your part of databases, broker and API"
    if whole.usd_per_document is not None and whole.usd_per_page is not None:
        yield "Whole cost of a document", usd(whole.usd_per_document), _beside_target(whole)
        yield "Whole cost of a page", usd(whole.usd_per_page), ""


def _time(seconds: float) -> str:
    return f"{seconds / 3600:,.1f} hours" if seconds >= 3600 else f"{seconds:.0f} seconds"


def _beside_target(whole: WholeCost) -> str:
    target, is_at = whole.target_usd_per_document, whole.usd_per_document
    if target is None or is_at is None:
        return ""
    return f"{'under' if is_at < target else 'not under'} the {target:g} USD aimed at"


def _calls(told: Costs) -> Iterator[tuple[str, str, str]]:
    yield f"Spent on calls in {told.month}", usd(told.spent_usd), ""
    for one in told.by_processor:
        said = f"{one.pages} pages in {one.requests} requests"
        yield f"  {one.engine} {one.processor}", usd(one.spent_usd), said
    if told.reserved_usd:
        yield "Reserved for calls under way", usd(told.reserved_usd), ""
    if told.without_result_usd:
        yield "Spent without a result", usd(told.without_result_usd), "calls whose end nobody knows, or that came late"


def _saved(told: Costs) -> Iterator[tuple[str, str, str]]:
    saved = told.saved
    if saved.cascade_usd is not None:
        at = f"{saved.local_pages} pages read here, at the price of {saved.cascade_processor}"
        yield "Saved by the cascade", usd(saved.cascade_usd), at
    twice = f"{saved.duplicate_documents} documents that were read before"
    yield "Saved by deduplication", usd(saved.deduplication_usd), twice
    yield "Saved by packing", f"{saved.packing_requests} requests", "they spare the quota, not money"
    ways = (("With every page in the cloud", told.all_cloud), ("With people who type", told.by_hand))
    for name, way in ways:
        if way is not None:
            yield name, usd(way.usd), _gain(way)


def _gain(way: Compared) -> str:
    told = f"{usd(abs(way.saved_usd))} {'more' if way.saved_usd >= 0 else 'less'} than the whole cost"
    return told if way.return_on_cost is None else f"{told}; return {way.return_on_cost:+,.0%}"


def usd(amount: float) -> str:
    """Cents from a dollar on; below, as much as it takes to be no zero, down to the millionth."""
    if amount >= 1 or amount == 0:
        return f"{amount:.2f} USD"
    return f"{amount:.4f} USD" if amount >= 0.001 else f"{amount:.6f} USD"
