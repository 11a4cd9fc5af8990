"""What came in a month and how it ended, how the objectives were kept, what went wrong: tables of text. Pure."""

from __future__ import annotations

from docfleet.reports import quantities as say
from docfleet.reports.month_facts import MonthFacts
from docfleet.reports.month_report import Figure, MonthReport
from docfleet.reports.month_words import UNKNOWN, NamedTable, day_and_time
from docfleet.reports.printable import fit_text, words
from docfleet.reports.quantities import dollars
from docfleet.reports.tables import CODE_CHARACTERS

INCIDENT_ROWS = 25
ROWS = 12
"""Of a table by engine, pool or code."""


def volume(report: MonthReport) -> tuple[NamedTable, ...]:
    facts = report.facts
    if not report.coverage:
        return ()
    tables = [_outcomes(report), _pools(facts), _engines(facts)]
    if facts.codes:
        tables.append(_codes(facts))
    return tuple(tables)


def _outcomes(report: MonthReport) -> NamedTable:
    now, before = report.facts.total, report.facts.before
    rows = [
        ("Accepted", "accepted"),
        ("Read in full", "succeeded"),
        ("Read in part", "partial"),
        ("Failed through their own fault", "failed"),
        ("Failed through the service", "broken"),
        ("Cancelled", "cancelled"),
        ("Repeated an earlier one", "duplicates"),
        ("Pages read", "pages"),
        ("Pages not read", "pages_failed"),
    ]
    note = "" if before is not None else "The month before was not counted."
    if before is not None and report.change_documents.value is None:
        note = f"No changes are shown: {report.change_documents.why}."
    shows = report.change_documents.value is not None
    cells = tuple(
        (
            label,
            say.count(getattr(now, name)),
            UNKNOWN if before is None else say.count(getattr(before, name)),
            _moved(getattr(before, name), getattr(now, name)) if before is not None and shows else UNKNOWN,
        )
        for label, name in rows
    )
    return NamedTable(
        "What came, and how it ended", ("Documents and pages", "This month", "Month before", "Change"), cells, note
    )


def _moved(was: int, now: int) -> str:
    if was == now:
        return "±0 %"
    return say.signed_percent(now / was - 1) if was else "new"


def _pools(facts: MonthFacts) -> NamedTable:
    ordered = sorted(facts.pools, key=lambda one: (-one.sums.ended, one.pool, one.priority))
    cells = tuple(
        (
            f"{fit_text(one.pool, 20)} · {fit_text(one.priority, 20)}",
            say.count(one.sums.accepted),
            say.count(one.sums.ended),
            say.count(one.sums.pages),
            _share(one.sums.in_time, one.sums.timed),
            _seconds(one.sums.seconds_p50),
            _seconds(one.sums.seconds_p95),
        )
        for one in ordered[:ROWS]
    )
    note = f"The {ROWS} largest of {len(ordered)}." if len(ordered) > ROWS else ""
    head = ("Pool and priority", "Accepted", "Ended", "Pages", "In time", "Half within", "95 % within")
    return NamedTable("By pool and priority", head, cells, note)


def _share(part: float, whole: float) -> str:
    return UNKNOWN if whole <= 0 else say.share(part, whole)


def _seconds(value: float | None) -> str:
    return UNKNOWN if value is None else say.duration(value)


def _engines(facts: MonthFacts) -> NamedTable:
    ordered = sorted(facts.engines.items(), key=lambda item: (-item[1].pages, item[0]))
    whole = sum(one.pages for _, one in ordered)
    cells = tuple(
        (
            fit_text(name, 40) or "charged for pages that were not read",
            say.count(one.pages),
            _share(one.pages, whole),
            dollars(one.cost_usd),
        )
        for name, one in ordered[:ROWS]
    )
    note = f"The {ROWS} largest of {len(ordered)}." if len(ordered) > ROWS else ""
    return NamedTable("Pages by the engine that read them", ("Engine", "Pages", "Share", "Charged"), cells, note)


def _codes(facts: MonthFacts) -> NamedTable:
    ordered = sorted(facts.codes.items(), key=lambda item: (-item[1], item[0]))
    whole = sum(facts.codes.values())
    cells = tuple(
        (fit_text(words(code), CODE_CHARACTERS), say.count(count), say.share(count, whole))
        for code, count in ordered[:ROWS]
    )
    note = f"The {ROWS} most frequent of {len(ordered)}." if len(ordered) > ROWS else ""
    return NamedTable("Why pages were not read", ("Cause", "Pages", "Share"), cells, note)


def service(report: MonthReport) -> tuple[NamedTable, ...]:
    goal, told, total = report.facts.objectives, report.service, report.facts.total
    if not report.coverage:
        return ()
    left = told.budget_left
    rows = (
        (
            "Availability: documents that did not fail through the service",
            say.percent(goal.availability, 3),
            _ratio(told.availability, 3),
            _kept(told.availability, goal.availability),
        ),
        (
            "Latency: documents answered within the target of their pool and priority",
            say.percent(goal.in_time),
            _ratio(told.in_time, 2),
            _kept(told.in_time, goal.in_time),
        ),
    )
    budget = (
        ("Documents that the objective allows to fail", f"{told.budget_documents:,.1f}"),
        ("Documents that did", say.count(total.broken)),
        ("Error budget left", UNKNOWN if left.value is None else _left(left.value)),
        (f"{told.step.capitalize()}s with documents", say.count(told.steps_used)),
        (f"{told.step.capitalize()}s in which an objective was missed", say.count(told.steps_missed)),
        ("Time from accepted to ended: half within", _seconds(total.seconds_p50)),
        ("Time from accepted to ended: 95 % within", _seconds(total.seconds_p95)),
        ("Time until a worker took it up: 95 % within", _seconds(total.wait_p95)),
        ("Attempts tried again", say.count(total.retries)),
        ("Attempts lost with their worker, and done again", say.count(total.leases_lost)),
        ("Dead letters", say.count(total.dead_letters)),
    )
    return (
        NamedTable("Objectives", ("Objective", "Aim", "This month", "Result"), rows, widths=("1fr", "20", "24", "20")),
        NamedTable("Behind them", ("Measure", "This month"), budget, widths=("1fr", "70")),
    )


def _left(share: float) -> str:
    """Of the error budget; where it is overspent, how many times over."""
    if share >= 0:
        return say.percent(share)
    return f"none: {1 - share:,.1f} times as many failed as it allows"


def _ratio(figure: Figure, digits: int) -> str:
    return UNKNOWN if figure.value is None else say.percent(figure.value, digits)


def _kept(figure: Figure, goal: float) -> str:
    return UNKNOWN if figure.value is None else "kept" if figure.value >= goal else "missed"


def incident_table(report: MonthReport) -> NamedTable:
    found = report.incidents
    heaviest = sorted(found, key=lambda one: (-one.weight, -one.seconds, one.begin))[:INCIDENT_ROWS]
    shown = sorted(heaviest, key=lambda one: (one.begin, one.kind, one.what))
    cells = tuple(
        (day_and_time(one.begin), say.duration(one.seconds), fit_text(one.what, 80), fit_text(one.effect, 140))
        for one in shown
    )
    note = ""
    if len(found) > INCIDENT_ROWS:
        note = f"The {INCIDENT_ROWS} heaviest of {say.count(len(found))}, in the order of time."
    return NamedTable(
        "Incidents", ("Begin (UTC)", "Length", "What", "Effect"), cells, note, ("24", "20", "1fr", "66"), (1, 2, 3)
    )
