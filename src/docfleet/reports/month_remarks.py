"""What matters in a month, and how its figures were counted: sentences. Pure."""

from __future__ import annotations

from docfleet.errors import document_error_codes
from docfleet.reports import quantities as say
from docfleet.reports.month_facts import MonthFacts
from docfleet.reports.month_report import MonthReport, PoolNeed, counted_from, is_before
from docfleet.reports.month_words import Note, day_and_time, moment, number
from docfleet.reports.printable import fit_text, words
from docfleet.reports.quantities import dollars


def points(report: MonthReport) -> tuple[Note, ...]:
    """At most six, the worst first."""
    found = [*_service_points(report), *_money_points(report), *_incident_points(report), *_capacity_points(report)]
    if 0 < report.coverage < 1:
        found.append(Note("warn", f"Only {say.percent(report.coverage)} of the time that passed is counted."))
    order = {"bad": 0, "warn": 1, "good": 2, "plain": 3}
    return tuple(sorted(found, key=lambda note: order[note.tone])[:6])


def _service_points(report: MonthReport) -> list[Note]:
    facts, service = report.facts, report.service
    goal, found = facts.objectives, []
    if service.availability.value is not None:
        kept = service.availability.value >= goal.availability
        said = f"{say.count(facts.total.broken)} of {say.counted(service.ended, 'document')} failed through the service"
        allowed = f"the objective of {say.percent(goal.availability, 3)} allows {service.budget_documents:,.1f}"
        found.append(Note("good" if kept else "bad", f"{said}; {allowed}."))
    if service.in_time.value is not None:
        kept = service.in_time.value >= goal.in_time
        said = (
            f"{say.percent(service.in_time.value)} of the documents that the service did not fail were answered in time"
        )
        found.append(Note("good" if kept else "bad", f"{said}; the objective is {say.percent(goal.in_time)}."))
    failed, ended = facts.total.failed, facts.total.ended
    if ended and failed / ended >= 0.05:
        known = document_error_codes()
        own = [(code, pages) for code, pages in facts.codes.items() if code in known and not known[code].is_ours]
        why = ", ".join(words(code).lower() for code, _ in sorted(own, key=lambda one: (-one[1], one[0]))[:2])
        said = f"{say.share(failed, ended)} of the documents were not readable or not wanted ({why or 'see Volume'})"
        found.append(Note("warn", f"{said}: that is for whoever sends them."))
    return found


def _money_points(report: MonthReport) -> list[Note]:
    economy, found = report.economy, []
    cost, target = economy.per_document, economy.target
    if cost.value is not None and target.value is not None:
        under = cost.value < target.value
        said = f"A document cost {dollars(cost.value)} with everything"
        beside = f"{dollars(abs(target.value - cost.value))} {'below' if under else 'above'} the target"
        found.append(Note("good" if under else "bad", f"{said}, {beside} of {dollars(target.value)}."))
    if economy.saved.value is not None:
        amount, good = dollars(abs(economy.saved.value)), economy.saved.value >= 0
        even = economy.break_even
        tail = "" if even.value is None else f"; {number(even)} documents a month break even"
        said = f"The month cost {amount} {'less' if good else 'more'} than work by hand would have{tail}."
        found.append(Note("good" if good else "bad", said))
    exhausted = [f"A budget was exhausted on {day_and_time(one.at)} UTC." for one in report.facts.troubles.exhausted]
    found += [Note("warn", said) for said in exhausted[:1]]
    return found


def _incident_points(report: MonthReport) -> list[Note]:
    if not report.incidents:
        return [Note("plain", "No incident was found in what is counted.")] if report.coverage else []
    longest = max(report.incidents, key=lambda one: one.seconds)
    said = f"{say.counted(len(report.incidents), 'incident')}; the longest lasted {say.duration(longest.seconds)}"
    return [Note("warn", f"{said}: {longest.what[0].lower()}{longest.what[1:]}.")]


def _capacity_points(report: MonthReport) -> list[Note]:
    if report.nodes.value is None:
        return []
    had = [need.outlook.slots for need in report.needs if need.outlook.unit != "page"]
    wanted = sum(need.slots.known for need in report.needs if need.slots.value is not None and _is_own(need))
    nodes = number(report.nodes, "node")
    if any(slots is None for slots in had):
        return [Note("plain", f"The coming week's fullest hour is forecast to need {nodes}.")]
    there = sum(slots or 0 for slots in had)
    said = f"The coming week's fullest hour needs {wanted:,.0f} slots, {nodes}; {there:,.0f} slots are there now."
    return [Note("warn" if there < wanted else "plain", said)]


def _is_own(need: PoolNeed) -> bool:
    return need.outlook.unit != "page"


def notes(report: MonthReport) -> tuple[str, ...]:
    facts = report.facts
    return (
        *_coverage_notes(report),
        f"All figures are {_whose(facts)} and come from the ledger. Months, days and hours are those of UTC, as "
        "money is counted; a day of local time may lie in two of them.",
        "A document counts in the step of time in which it was accepted, and in that in which it ended. Cancelled ones "
        "count in neither objective. A document that is tried again counts again with its second end.",
        "Answered is a document that was read, or of which it was told why it cannot be.",
        "Failed through their own fault: damaged, protected, unsupported, or refused by a budget. Failed through the "
        "service: a crash, an engine, the store, or a cause that nobody knows. Only these count against availability.",
        "Cost includes calls of engines at list prices, workers at work and idle, storage, hosted processors and the "
        "base, as docfleet costs; discounts and taxes are on the bills alone.",
        *_trouble_notes(facts),
    )


def _whose(facts: MonthFacts) -> str:
    if facts.of_fleet:
        return f"those of {fit_text(facts.tenant, 80, run=40)}"
    return f"those of {fit_text(facts.tenant, 80, run=40)}, and tell nothing of other tenants,"


def not_counted(facts: MonthFacts) -> str:
    """Why no part of the month is counted."""
    if facts.counted_since is None:
        return "nothing was ever counted: no document has come yet, or no dispatcher counts them"
    if is_before(facts):
        return f"the first document ever came on {moment(facts.counted_since)}"
    if facts.end <= facts.kept_since:
        return "its counts are older than is kept"
    return f"counting has come to {moment(facts.counted_until)}"


def _coverage_notes(report: MonthReport) -> list[str]:
    facts, begin = report.facts, counted_from(report.facts)
    if begin is None:
        return [f"No part of this month was counted: {not_counted(facts)}."]
    found = []
    if facts.counted_since == begin and begin > facts.begin:
        found.append(f"The service began in this month: the first document came on {moment(begin)}.")
    elif begin > facts.begin:
        found.append(f"Counted from {moment(begin)} on; what was before is not known.")
    if not facts.is_over:
        found.append(f"The month is under way: figures up to {moment(min(facts.until, facts.counted_until))}.")
    elif facts.counted_until < facts.end:
        found.append(f"Counted up to {moment(facts.counted_until)}; what came later is not in it yet.")
    if not facts.hours:
        found.append("Hours of this month are forgotten: incidents are told by the day.")
    return found


def _trouble_notes(facts: MonthFacts) -> list[str]:
    troubles, found = facts.troubles, []
    if not facts.of_fleet:
        found.append(
            "Of the fleet's troubles only those are listed that met documents of this tenant: times without a "
            "dispatcher in which some were accepted, and deaths of workers at one of them."
        )
    if troubles.gaps_since is None:
        found.append("Whether somebody dispatched in this month is not known.")
    elif troubles.gaps_since > facts.begin:
        found.append(f"Whether somebody dispatched is known from {moment(troubles.gaps_since)} on.")
    if troubles.deaths_since is None:
        found.append("Deaths of workers in this month are forgotten: they are kept for 30 days.")
    elif troubles.deaths_since > facts.begin:
        found.append(f"Deaths of workers before {moment(troubles.deaths_since)} are forgotten.")
    return found
