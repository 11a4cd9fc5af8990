"""What the monthly report is put together from: tables and sentences; how it names moments, times and money."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from docfleet.reports import quantities as say
from docfleet.reports.month_report import Figure
from docfleet.reports.quantities import dollars

UNKNOWN = "–"


class NamedTable(msgspec.Struct, frozen=True):
    """A table with its heading; the first column is text, the others are set to the right unless `text` names them."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    widths: tuple[str, ...] = ()
    """Of each column: "1fr", "auto", or millimetres as "40"; none: the first takes what the others leave."""
    text: tuple[int, ...] = ()
    """Columns set to the left, beside the first."""
    bold: tuple[int, ...] = ()
    """Rows that sum up."""


class Note(msgspec.Struct, frozen=True):
    """A sentence with its weight."""

    tone: str
    """"good", "warn", "bad" or "plain"."""
    text: str


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def month_name(begin: float) -> str:
    """ "October 2026" """
    return f"{at(begin):%B %Y}"


def moment(seconds: float) -> str:
    """ "1 November 2026, 06:00 UTC" """
    when = at(seconds)
    return f"{when.day} {when:%B %Y, %H:%M} UTC"


def day_and_time(seconds: float) -> str:
    """ "3 Oct, 14:00" """
    when = at(seconds)
    return f"{when.day} {when:%b, %H:%M}"


def day(seconds: float) -> str:
    """ "Tue 3 Oct" """
    when = at(seconds)
    return f"{when:%a} {when.day} {when:%b}"


def shown_dollars(figure: Figure) -> str:
    return UNKNOWN if figure.value is None else dollars(figure.value)


def change(figure: Figure, of: str) -> str:
    """Of a tile: against the month before, or why that is not said."""
    if figure.value is None:
        return figure.why
    return f"{say.signed_percent(figure.value)} {of} against the month before"


def number(figure: Figure, noun: str = "") -> str:
    """A whole number, or its reason."""
    if figure.value is None:
        return UNKNOWN
    return say.counted(round(figure.value), noun) if noun else say.count(round(figure.value))
