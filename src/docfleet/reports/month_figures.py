"""What the monthly report shows, as text ready for print, in the template's order. Pure.

The first page is for a reader who has half a minute; each further one answers one question. Every string that came
from outside has passed `printable`.
"""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from docfleet.reports import month_money, month_remarks, month_tables
from docfleet.reports import quantities as say
from docfleet.reports.figures import Bar, Tile
from docfleet.reports.month_report import Figure, MonthReport, is_before
from docfleet.reports.month_words import UNKNOWN, NamedTable, Note, change, moment, month_name
from docfleet.reports.printable import fit_text
from docfleet.reports.quantities import dollars


class DayColumn(msgspec.Struct, frozen=True):
    """Documents that ended on a day."""

    read: int
    failed: int
    broken: int
    counted: bool


class MonthFigures(msgspec.Struct, frozen=True):
    """Everything the template sets."""

    title: str
    organisation: str
    period: str
    version: str
    status: str
    """Marks what is not final: a month under way, or counted in part; empty for a whole one."""
    verdict: str
    tone: str
    tiles: tuple[Tile, ...]
    days: tuple[DayColumn, ...]
    days_peak: str
    days_alt: str
    first_day: str
    middle_day: str
    last_day: str
    money_bars: tuple[Bar, ...]
    money_alt: str
    money_note: str
    points: tuple[Note, ...]
    """What matters, worst first."""
    volume: tuple[NamedTable, ...]
    service: tuple[NamedTable, ...]
    incidents: NamedTable
    economy: tuple[NamedTable, ...]
    capacity: tuple[NamedTable, ...]
    capacity_notes: tuple[str, ...]
    notes: tuple[str, ...]
    """How the figures were counted, and what is not known."""


def month_figures(report: MonthReport) -> MonthFigures:
    facts = report.facts
    points = month_remarks.points(report)
    name = month_name(facts.begin)
    fullest = max((day.read + day.failed + day.broken for day in report.days), default=0)
    return MonthFigures(
        title=name,
        organisation=fit_text(facts.organisation or facts.tenant, 80, run=40),
        period=f"{name}, UTC · made {moment(facts.made_at)}",
        version=fit_text(facts.version, 40),
        status=_status(report),
        verdict=verdict(report),
        tone=_tone(points, report.coverage),
        tiles=_tiles(report),
        days=tuple(DayColumn(day.read, day.failed, day.broken, day.counted) for day in report.days),
        days_peak=f"fullest day: {say.counted(fullest, 'document')}",
        days_alt=_days_alt(report),
        first_day=f"1 {name.split()[0]}",
        middle_day=str(len(report.days) // 2 + 1),
        last_day=str(len(report.days)),
        money_bars=_money_bars(report),
        money_alt="Bar chart. " + "; ".join(f"{bar.label}: {bar.text}" for bar in _money_bars(report)),
        money_note=month_money.by_hand_said(report),
        points=points,
        volume=month_tables.volume(report),
        service=month_tables.service(report),
        incidents=month_tables.incident_table(report),
        economy=month_money.economy(report),
        capacity=month_money.capacity(report),
        capacity_notes=month_money.capacity_said(report),
        notes=month_remarks.notes(report),
    )


def verdict(report: MonthReport) -> str:
    """The month in one sentence or two."""
    facts, service, economy = report.facts, report.service, report.economy
    ended = facts.total.ended
    if not ended:
        if is_before(facts):
            return f"The service had not begun in {month_name(facts.begin)}."
        if not report.coverage:
            return f"No part of {month_name(facts.begin)} was counted: {month_remarks.not_counted(facts)}."
        return f"No document ended in {month_name(facts.begin)}{'' if facts.is_over else ' so far'}."
    read = facts.total.succeeded + facts.total.partial
    pages = say.counted(facts.total.pages, "page")
    said = f"{say.counted(read, 'document')} with {pages} {_were(read)} read" if read else (
        f"None of {say.counted(ended, 'document')} could be read"
    )  # fmt: skip
    if service.availability.value is not None and service.in_time.value is not None:
        goal = facts.objectives
        met = [service.availability.value >= goal.availability, service.in_time.value >= goal.in_time]
        said += ", both objectives were kept" if all(met) else ", one objective was missed" if any(met) else (
            ", both objectives were missed"
        )  # fmt: skip
    if economy.per_document.value is not None:
        said += f", at {dollars(economy.per_document.value)} a document with everything"
    if economy.saved.value is not None:
        amount = dollars(abs(economy.saved.value))
        said += f". That is {amount} {'less' if economy.saved.value >= 0 else 'more'} than work by hand"
    return said + "."


def _were(count: int) -> str:
    return "was" if count == 1 else "were"


def _tone(points: tuple[Note, ...], coverage: float) -> str:
    """One thing that is bad makes a month no bad one, and one that is counted in part is not called a good one."""
    tones = [point.tone for point in points]
    if tones.count("bad") > 1:
        return "bad"
    if "bad" in tones:
        return "warn"
    return "good" if "good" in tones and coverage >= 1 else "plain"


def _status(report: MonthReport) -> str:
    facts = report.facts
    if is_before(facts):
        return "Before the service began"
    if not report.coverage:
        return "Not counted"
    if not facts.is_over:
        at = datetime.fromtimestamp(facts.until, UTC)
        return f"Under way: figures up to {at.day} {at:%B}, {at:%H:%M} UTC"
    return "" if report.coverage >= 1 else f"Counted in part: {say.share(report.coverage, 1)} of the month"


def _tiles(report: MonthReport) -> tuple[Tile, ...]:
    facts, service, economy = report.facts, report.service, report.economy
    goal, total = facts.objectives, facts.total
    read = total.succeeded + total.partial
    return (
        Tile(
            say.count(read) if report.coverage else UNKNOWN,
            "Documents read",
            change(report.change_documents, "accepted"),
        ),
        _share_tile("Availability", service.availability, goal.availability, _budget_note(report), 3),
        _share_tile("Answered in time", service.in_time, goal.in_time, f"objective {say.percent(goal.in_time, 1)}", 1),
        _cost_tile(report),
        Tile(
            UNKNOWN if economy.saved.value is None else dollars(economy.saved.value),
            "Saved against by hand",
            _saved_note(report),
            "plain" if economy.saved.value is None else "good" if economy.saved.value >= 0 else "bad",
        ),
        Tile(
            say.count(len(report.incidents)) if report.coverage or report.incidents else UNKNOWN,
            "Incidents",
            _incident_note(report),
            "warn" if report.incidents else "good" if report.coverage >= 1 else "plain",
        ),
    )


def _share_tile(label: str, figure: Figure, goal: float, note: str, digits: int) -> Tile:
    if figure.value is None:
        return Tile(UNKNOWN, label, "nothing to measure")
    return Tile(say.percent(figure.value, digits), label, note, "good" if figure.value >= goal else "bad")


def _budget_note(report: MonthReport) -> str:
    goal, left = report.facts.objectives.availability, report.service.budget_left
    said = f"objective {say.percent(goal, 3)}"
    if left.value is None:
        return said
    return f"{said}; {say.percent(left.value, 0)} budget left" if left.value >= 0 else f"{said}; budget overspent"


def _cost_tile(report: MonthReport) -> Tile:
    cost, target = report.economy.per_document, report.economy.target
    if cost.value is None:
        return Tile(UNKNOWN, "Cost a document", "no document has results")
    if target.value is None:
        return Tile(dollars(cost.value), "Cost a document", "no target is set")
    tone = "good" if cost.value < target.value else "bad"
    return Tile(dollars(cost.value), "Cost a document", f"target {dollars(target.value)}, with everything", tone)


def _saved_note(report: MonthReport) -> str:
    saved, back = report.economy.saved, report.economy.return_on_cost
    if saved.value is None:
        told = report.facts.assumptions
        return saved.why if told.is_by_page or told.by_hand_usd_per_document else "work by hand: not told"
    return "nothing was spent" if back.value is None else f"{say.percent(back.value, 0)} return on what it cost"


def _incident_note(report: MonthReport) -> str:
    if not report.incidents:
        return "none found" if report.coverage else "nothing was counted"
    kinds = len({one.kind for one in report.incidents})
    return f"of {say.counted(kinds, 'kind')}, listed under Service"


def _days_alt(report: MonthReport) -> str:
    total = report.facts.total
    by_day = ", ".join(
        f"{number}: {say.count(day.read)}" for number, day in enumerate(report.days, start=1) if day.counted
    )
    return (
        f"Column chart of documents that ended on each day: {say.count(total.succeeded + total.partial)} read, "
        f"{say.count(total.failed)} failed through their own fault, {say.count(total.broken)} through the service's. "
        f"Read on each day that is counted, from the first on: {by_day or 'none'}."
    )


def _money_bars(report: MonthReport) -> tuple[Bar, ...]:
    economy = report.economy
    pairs = (
        ("docfleet, with everything", economy.whole, "here"),
        ("Every page in the cloud, calls alone", economy.all_cloud.value, "cloud"),
        ("By hand", economy.by_hand.value, "hand"),
    )
    return tuple(
        Bar(label, round(max(usd, 0.0) * 100), dollars(usd), key) for label, usd, key in pairs if usd is not None
    )
