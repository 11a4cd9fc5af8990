"""`docfleet quotas`: what is free of the cloud engine's quotas, what it refused, and whether it is called at all."""

from __future__ import annotations

from collections.abc import Iterator

from rich.table import Table
from rich.text import Text

from docfleet.cli.connection import AsJson, CaFile, KeyFile, To, connect, print_json, show
from docfleet.client.quotas import CloudBatches, EndpointQuota, Quotas, QuotaUse
from docfleet.domain.file_names import printable

_COLUMNS = ("where", "quota", "limit", "used", "share", "allowed", "429s 1 min", "429s 1 h", "under way", "breaker")
_STATES = {"closed": "green", "half_open": "yellow", "open": "red"}
_FULL = 0.9
_NOBODY = "?"


def quotas(to: To = "", key_file: KeyFile = None, ca_file: CaFile = None, as_json: AsJson = False) -> None:
    """Live use of the cloud engine's quotas: limits, calls, refusals, breakers and batches under way.

    Example:  docfleet quotas
    """
    with connect(to, key_file, ca_file) as client:
        told = client.fleet.quotas()
    if as_json:
        print_json(told)
        return
    if told.why:
        print(printable(told.why))
    if told.items:
        show(_table(told))
    for line in _lines(told):
        print(line)


def _table(told: Quotas) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in _COLUMNS:
        table.add_column(column, justify="left" if column in ("where", "quota", "breaker") else "right", no_wrap=True)
    for one in told.items:
        for number, use in enumerate(one.quotas):
            table.add_row(*_row(one, use, first=number == 0))
    return table


def _row(one: EndpointQuota, use: QuotaUse, *, first: bool) -> list[str | Text]:
    share = "" if use.share is None else f"{use.share:.0%}"
    row: list[str | Text] = [
        printable(f"{one.location} {one.type} {one.processor}") if first else "",
        use.quota,
        _number(use.limit, "none"),
        _number(use.used),
        Text(share, style="yellow" if (use.share or 0.0) >= _FULL else ""),
        _number(use.allowed, "" if use.limit is None else _NOBODY),
    ]
    if not first:
        return [*row, "", "", "", ""]
    minute, hour, breaker = one.minute, one.hour, one.breaker
    state = breaker.state if breaker else _NOBODY
    return [
        *row,
        _number(minute.throttled if minute else None),
        _number(hour.throttled if hour else None),
        _number(one.under_way),
        Text(state.replace("_", " "), style=_STATES.get(state, "")),
    ]


def _lines(told: Quotas) -> Iterator[str]:
    for one in told.items:
        where = printable(f"{one.location} {one.processor}")
        if one.away:
            left = f" It is tried again in {one.breaker.left_seconds:.0f} s." if _is_open(one) and one.breaker else ""
            yield f"{where}: nothing is sent there now. {printable(one.away)}{left}"
        for use in one.quotas:
            if use.learnt is not None and use.limit is not None:
                yield f"{where}: the service refused at {use.learnt:,.0f} {use.quota} a minute, below {use.limit:,.0f}."
    for worker in told.workers:
        yield (
            f"{printable(worker.name)}: {worker.in_flight_pages} pages under way, {worker.waiting_pages} waiting, "
            f"{worker.preparing_pages} being prepared; {worker.calls} calls at a time at most."
        )
    for batch in told.batches:
        yield _batch_line(batch)


def _is_open(one: EndpointQuota) -> bool:
    return one.breaker is not None and one.breaker.state == "open"


def _batch_line(batch: CloudBatches) -> str:
    most = "" if batch.limit is None else f" of {batch.limit}"
    return (
        f"Batches in {printable(batch.location)}: {batch.running + batch.asking}{most} under way with "
        f"{batch.sent_pages:,} pages, {batch.waiting_files:,} files with {batch.waiting_pages:,} pages wait."
    )


def _number(value: float | None, unknown: str = _NOBODY) -> str:
    return unknown if value is None else f"{value:,.0f}"
