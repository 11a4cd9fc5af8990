"""What a month cost, against what else, and what the coming days need: tables of text. Pure."""

from __future__ import annotations

from docfleet.domain.forecasting import Forecast
from docfleet.domain.pricing import usd_of
from docfleet.domain.returns import REFERENCE_DOCUMENTS
from docfleet.reports import quantities as say
from docfleet.reports.month_facts import WeekAhead
from docfleet.reports.month_report import MonthReport, PoolNeed
from docfleet.reports.month_words import UNKNOWN, NamedTable, day, day_and_time, moment, number, shown_dollars
from docfleet.reports.printable import fit_text
from docfleet.reports.quantities import dollars

_HOSTED = "Own processors, deployed"
"""Shown by those who have any."""


def economy(report: MonthReport) -> tuple[NamedTable, ...]:
    return (_by_kind(report), _against(report), _by_hand_table(report), _savings(report))


def _by_kind(report: MonthReport) -> NamedTable:
    whole = report.facts.money.whole
    kinds = (
        ("Calls of engines", whole.engine_micros),
        ("Workers on pages", whole.busy_micros),
        ("Workers beside that: waiting, starting, stopping", whole.idle_micros),
        ("Storage", whole.storage_micros),
        (_HOSTED, whole.hosting_micros),
        ("Base: databases, broker, API", whole.base_micros),
    )
    each = max(whole.documents, 1)
    rows = [
        (label, dollars(usd_of(micros)), dollars(usd_of(micros) / each) if whole.documents else UNKNOWN)
        for label, micros in kinds
        if micros or label != _HOSTED
    ]
    document = shown_dollars(report.economy.per_document)
    total = ("All", dollars(report.economy.whole), document)
    note = (
        f"{say.counted(whole.documents, 'document')} with results, {say.counted(whole.pages, 'page')}. "
        "What no tenant uses alone is its part of it, as docfleet costs shows."
    )
    head = ("Kind of cost", "This month", "A document")
    return NamedTable("What it cost", head, (*rows, total), note, ("1fr", "30", "30"), bold=(len(rows),))


def _against(report: MonthReport) -> NamedTable:
    economy = report.economy
    figures = (
        ("A document, with everything", economy.per_document),
        ("What it may cost: the target", economy.target),
        ("A page, with everything", economy.per_page),
        ("One more document: without what stands whatever is read", economy.marginal),
        ("Calls alone, had every page been read in the cloud", economy.all_cloud),
    )
    rows = (
        *((label, shown_dollars(one) if one.value is not None else one.why) for label, one in figures),
        *_at_the_end(report.facts.money.ahead),
    )
    return NamedTable("What a document cost", ("Measure", "US dollars"), rows, widths=("1fr", "70"))


def _at_the_end(ahead: Forecast | None) -> tuple[tuple[str, str], ...]:
    """What calls will have cost at the end of a month that is under way."""
    if ahead is None:
        return ()
    label = "Calls of engines at the end of the month"
    if not ahead.days_seen:
        return ((label, "not known before a full day has passed"),)
    low, high = dollars(usd_of(ahead.low_micros)), dollars(usd_of(ahead.high_micros))
    said = f"{dollars(usd_of(ahead.expected_micros))}, four times out of five {low} to {high}"
    return ((label, said),)


def _by_hand_table(report: MonthReport) -> NamedTable:
    economy, whole = report.economy, report.facts.money.whole
    saved, back = economy.saved, economy.return_on_cost
    rows = (
        ("By hand", shown_dollars(economy.by_hand), economy.by_hand.why or _hand_formula(report)),
        ("Here", dollars(economy.whole), "the whole cost, as above"),
        ("Saved", shown_dollars(saved), saved.why or "by hand − here"),
        ("Return on what was spent", UNKNOWN if back.value is None else say.percent(back.value, 0),
         back.why or "saved ÷ here"),
        ("Break-even", UNKNOWN if economy.break_even.value is None else number(economy.break_even),
         economy.break_even.why or f"documents a month: {shown_dollars(economy.standing_month)} that stand ÷ "
         f"({shown_dollars(economy.hand_document)} − {shown_dollars(economy.marginal)})"),
        ("Investment paid back after", UNKNOWN if economy.paid_back.value is None else
         f"{economy.paid_back.value:,.1f} months", economy.paid_back.why or
         f"{dollars(report.facts.assumptions.investment_usd)} ÷ saved in a month like this"),
        (f"Reference case: {say.count(REFERENCE_DOCUMENTS)} documents", shown_dollars(economy.reference_cost),
         economy.reference_cost.why or f"here, against {dollars(economy.reference_by_hand)} by hand"),
    )  # fmt: skip
    note = by_hand_said(report) if whole.documents else ""
    return NamedTable(
        "Against work by hand",
        ("Measure", "Amount", "How"),
        rows,
        note,
        widths=("52", "26", "1fr"),
        text=(2,),
        bold=(2,),
    )


def _hand_formula(report: MonthReport) -> str:
    whole, terms = report.facts.money.whole, report.facts.assumptions
    if terms.is_by_page:
        each = f"{terms.by_hand_minutes_per_page:g} min × {dollars(terms.by_hand_usd_per_hour)} an hour"
        return f"{say.counted(whole.pages, 'page')} × {each}"
    return f"{say.counted(whole.documents, 'document')} × {dollars(terms.by_hand_usd_per_document)}"


def by_hand_said(report: MonthReport) -> str:
    """What the comparison rests on."""
    terms = report.facts.assumptions
    asked = {name for name in terms.asked if name.startswith("by_hand")}
    source = "given for this report" if asked else "from the settings"
    if terms.is_by_page:
        minutes, hour = terms.by_hand_minutes_per_page, dollars(terms.by_hand_usd_per_hour)
        return f"Assumed by hand: {minutes:g} minutes a page at {hour} an hour ({source}). Not measured."
    if not terms.by_hand_usd_per_document:
        return "Work by hand is not compared: nobody has told what it costs (reports.by_hand_usd_per_document)."
    each = dollars(terms.by_hand_usd_per_document)
    if terms.is_reference and not asked:
        return (
            f"Assumed by hand: {each} a document, the reference case of 10,000 documents a month for $5,000. "
            "It is not your own figure: set reports.by_hand_usd_per_document."
        )
    return f"Assumed by hand: {each} a document ({source}). Not measured."


def _savings(report: MonthReport) -> NamedTable:
    economy, money = report.economy, report.facts.money
    at = f" at the price of {fit_text(money.cascade_processor, 40)}" if money.cascade_processor else ""
    rows = (
        ("Pages read locally, not in the cloud", shown_dollars(economy.cascade),
         economy.cascade.why or f"{say.counted(money.local_pages, 'page')}{at}"),
        ("Documents that were known already", dollars(economy.deduplication),
         f"{say.counted(money.duplicate_documents, 'document')}, {say.counted(money.duplicate_pages, 'page')}: "
         "what engines took for them the first time"),
        ("Requests packed together", say.count(money.requests_saved), "requests: they spare the quota, not money"),
    )  # fmt: skip
    return NamedTable("What was not spent", ("Saved by", "Amount", "What"), rows, widths=("60", "26", "1fr"), text=(2,))


def capacity(report: MonthReport) -> tuple[NamedTable, ...]:
    if not report.facts.of_fleet:
        return _week_ahead(report.facts.ahead)
    if all(need.outlook.missing for need in report.needs):
        return ()
    cells = tuple(_pool_row(need) for need in report.needs)
    head = ("Pool", "Expected in all", "Fullest hour (95 %)", "Busy slots", "Slots wanted", "There now", "Nodes")
    return (NamedTable("The coming days", head, cells),)


def _week_ahead(told: tuple[WeekAhead, ...]) -> tuple[NamedTable, ...]:
    known = [one for one in told if not one.missing]
    cells = tuple(
        (
            one.of.capitalize(),
            say.count(round(one.expected)),
            f"{say.count(round(one.fullest))} on {day(one.fullest_at)}",
            UNKNOWN if one.foretold is None else say.count(round(one.foretold)),
            say.count(round(one.came)),
        )
        for one in known
    )
    head = ("Your own", "Coming seven days", "Fullest of them", "Foretold a week ago", "Came since")
    return (NamedTable("The coming days", head, cells),) if cells else ()


def _pool_row(need: PoolNeed) -> tuple[str, ...]:
    one = need.outlook
    if one.missing:
        return (one.pool, *[UNKNOWN] * 6)
    there = UNKNOWN if one.slots is None else f"{one.slots:,.0f}"
    busy = UNKNOWN if need.busy_slots.value is None else f"{need.busy_slots.value:,.1f}"
    nodes = UNKNOWN if need.nodes.value is None else f"{need.nodes.value:,.2f}"
    return (
        one.pool, say.counted(round(one.expected), one.unit), say.count(round(one.fullest)), busy, number(need.slots),
        there, nodes,
    )  # fmt: skip


def _week_said(told: tuple[WeekAhead, ...]) -> tuple[str, ...]:
    shared = "The workers are shared with other tenants; what all of them need is for whoever operates the service."
    known = [one for one in told if not one.missing]
    if not known:
        return (*(f"What the coming days bring cannot be known yet: {one.missing}." for one in told[:1]), shared)
    weeks = say.counted(known[0].weeks, "week")
    rests = (
        f"Each day is the mean of the same days of the last {weeks}, today the first of them; growth is not modelled."
    )
    return (rests, shared)


def capacity_said(report: MonthReport) -> tuple[str, ...]:
    """What the forecast rests on, and what it does not tell."""
    terms = report.facts.assumptions
    if not report.facts.of_fleet:
        return _week_said(report.facts.ahead)
    if not report.needs:
        return ("Nothing is forecast for this report.",)
    said = []
    if report.nodes.value is None:
        said.append(f"How many nodes is not known: {report.nodes.why}.")
    else:
        spare = f"with {say.percent(terms.spare_share, 0)} of the slots spare"
        said.append(
            f"Together {number(report.nodes, 'node')} of {terms.node_slots} slots each (one vCPU with 2 GiB a slot), "
            f"{spare}, for the pools that are forecast."
        )
    for need in report.needs:
        one = need.outlook
        if one.missing:
            said.append(f"{one.pool}: {one.missing}.")
            continue
        trust = f"{'trusted' if one.trusted else 'not trusted'} ({fit_text(one.trust, 120)})"
        said.append(
            f"{one.pool}: {fit_text(one.model, 40)}, made {moment(one.made_at)}, {trust}; up to {moment(one.end)}, "
            f"fullest on {day_and_time(one.fullest_at)}."
        )
        said += [f"{one.pool}: {why}." for why in dict.fromkeys((need.slots.why, need.nodes.why)) if why]
    return tuple(said)
