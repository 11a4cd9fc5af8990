"""What the report on a document says, as text ready for print. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise

import msgspec

from docfleet.domain.work import DOCUMENT_ENDS, PAGE_READ, DocumentState
from docfleet.errors import document_error_codes
from docfleet.ledger.service_values import DocumentView, EventView, PageView
from docfleet.reports import quantities as say
from docfleet.reports.document_facts import DocumentReport
from docfleet.reports.figures import Bar, Tile
from docfleet.reports.month_words import UNKNOWN, NamedTable
from docfleet.reports.printable import fit_name, fit_text, words
from docfleet.reports.quantities import dollars

PAGE_ROWS = 200
FIELD_ROWS = 200
EVENT_ROWS = 120
RESULT_ROWS = 60
BARS = 60
FEW = 6
DOUBTED = 0.8
_OPEN = ("waiting", "running")
_SAID = {
    DocumentState.SUCCEEDED: ("Read in full", "good"),
    DocumentState.PARTIAL: ("Read in part", "warn"),
    DocumentState.FAILED: ("Not read", "bad"),
    DocumentState.CANCELLED: ("Cancelled", "plain"),
}


class DocumentFigures(msgspec.Struct, frozen=True):
    """Everything the template sets."""

    title: str
    period: str
    version: str
    status: str
    verdict: str
    remedy: str
    tone: str
    tiles: tuple[Tile, ...]
    certainty: tuple[int, ...]
    """Percent of each page, or of the least certain one of some that follow one another; -1: not read."""
    certainty_note: str
    last_page: str
    few: tuple[Bar, ...]
    """Of a few pages each one by itself; else empty, and the chart has them."""
    engines: tuple[Bar, ...]
    pages: NamedTable
    fields: NamedTable
    fields_note: str
    evidence: NamedTable
    results: NamedTable
    history: NamedTable


def document_figures(report: DocumentReport) -> DocumentFigures:
    view = report.view
    made = _moment(report.made_at)
    ended = view.state in DOCUMENT_ENDS
    said, tone = _SAID.get(view.state, ("Not finished", "plain"))
    remedy = document_error_codes().get(view.code)
    return DocumentFigures(
        title=fit_text(fit_name(view.name, 120), 120, run=30) or "Document",
        period=f"{fit_text(view.id, 40, run=40)} · made {made}",
        version=fit_text(report.version, 40),
        status="" if ended else "Under way: as it stands now",
        verdict=_verdict(report, said),
        remedy=fit_text(remedy.remedy, 300, run=40) if remedy and ended else "",
        tone=tone,
        tiles=_tiles(report, said, tone),
        certainty=_certainty(report.pages),
        certainty_note=_certainty_note(report.pages),
        last_page=say.count(len(report.pages)),
        few=_few(report.pages),
        engines=_engines(report.pages),
        pages=_pages(report.pages),
        fields=_fields(report),
        fields_note=f"{report.fields_missing[0].upper()}{report.fields_missing[1:]}." if report.fields_missing else "",
        evidence=_evidence(view),
        results=_results(view),
        history=_history(report),
    )


def _verdict(report: DocumentReport, said: str) -> str:
    view = report.view
    pages = say.counted(view.pages or 0, "page")
    if view.state not in DOCUMENT_ENDS:
        return f"This document has not ended: {say.count(view.pages_read)} of {pages} are read so far."
    if view.duplicate_of:
        return f"{said}: it has the results of an earlier document with the same bytes and options."
    if view.state is DocumentState.SUCCEEDED:
        return f"Read in full: {pages}{', all of them' if (view.pages or 0) > 1 else ''}."
    if view.state is DocumentState.PARTIAL:
        why = fit_text(view.message, 200, run=40)
        return f"Read in part: {say.count(view.pages_read)} of {pages}. {why}".strip()
    return f"{said}: {fit_text(view.message, 240, run=40) or words(fit_text(view.code, 40)) or 'given up on purpose'}"


def _left_out(view: DocumentView) -> str:
    if view.state not in DOCUMENT_ENDS:
        return "so far"
    missing = max(view.pages_failed, (view.pages or 0) - view.pages_read)
    return (
        f"{say.count(missing)} not read"
        if missing
        else "none left out"
        if view.pages
        else "how many it has is not known"
    )


def _tiles(report: DocumentReport, said: str, tone: str) -> tuple[Tile, ...]:
    view = report.view
    doubted = sum(1 for page in report.pages if page.confidence is not None and page.confidence < DOUBTED)
    end = view.finished_at if view.finished_at is not None else report.made_at
    waited = UNKNOWN if view.started_at is None else say.duration(view.started_at - view.created_at)
    note = words(fit_text(view.code, 30)) if view.code else f"round {view.round}" if view.round > 1 else "no trouble"
    return (
        Tile(said, "Outcome", note, tone),
        Tile(
            f"{say.count(view.pages_read)} of {say.count(view.pages or 0)}",
            "Pages read",
            _left_out(view),
            "warn" if view.pages_failed else "plain",
        ),
        Tile(
            say.confidence(view.confidence),
            "Mean confidence",
            f"{say.counted(doubted, 'page')} below 80 %" if doubted else "no page below 80 %",
            "warn" if doubted else "plain",
        ),
        Tile(say.duration(end - view.created_at), "From accepted to ended", f"{waited} until it was taken up"),
        Tile(dollars(view.cost_usd), "Engine cost", "calls of engines, not the machines"),
        Tile(say.duration(view.work_seconds), "Work on pages", f"{say.size(view.size_bytes)} received"),
    )


def _certainty(pages: Sequence[PageView]) -> tuple[int, ...]:
    values = [-1 if page.confidence is None else round(100 * min(max(page.confidence, 0.0), 1.0)) for page in pages]
    if len(values) <= BARS:
        return tuple(values)
    edges = [round(number * len(values) / BARS) for number in range(BARS + 1)]
    return tuple(min(values[first:after]) for first, after in pairwise(edges))


def _certainty_note(pages: Sequence[PageView]) -> str:
    if not any(page.confidence is not None for page in pages):
        return ""
    few = "" if len(pages) <= BARS else "Each column is the least certain of some pages that follow one another. "
    return f"{few}A page that was not read has no column."


def _few(pages: Sequence[PageView]) -> tuple[Bar, ...]:
    if len(pages) > FEW:
        return ()
    return tuple(
        Bar(f"Page {page.number}", round(100 * (page.confidence or 0.0)), say.confidence(page.confidence))
        for page in pages
    )


def _engines(pages: Sequence[PageView]) -> tuple[Bar, ...]:
    counts = Counter(page.engine or "none" for page in pages if page.state == PAGE_READ)
    whole = sum(counts.values())
    return tuple(
        Bar(fit_text(name, 28), count, f"{say.counted(count, 'page')}  ·  {say.share(count, whole)}")
        for name, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:6]
    )


def _pages(pages: Sequence[PageView]) -> NamedTable:
    # what did not go well first, where not all are shown
    chosen = list(pages)
    if len(pages) > PAGE_ROWS:
        worst = sorted(pages, key=lambda page: (page.state == PAGE_READ, page.confidence or 0.0, page.number))
        chosen = sorted(worst[:PAGE_ROWS], key=lambda page: page.number)
    cells = tuple(
        (
            say.count(page.number),
            "Read" if page.state == PAGE_READ else fit_text(words(page.state), 28),
            fit_text(page.engine, 24) or UNKNOWN,
            fit_text(words(page.reason), 40) or UNKNOWN,
            say.confidence(page.confidence),
            say.duration(page.seconds) if page.seconds else UNKNOWN,
            dollars(page.cost_usd),
        )
        for page in chosen
    )
    note = ""
    if len(pages) > PAGE_ROWS:
        note = f"The {PAGE_ROWS} least certain of {say.count(len(pages))} pages; the result outcome has them all."
    head = ("Page", "Outcome", "Engine", "Why this engine", "Confidence", "Time", "Price")
    widths = ("12", "auto", "auto", "1fr", "auto", "auto", "auto")
    return NamedTable("Every page", head, cells, note, widths, (1, 2, 3))


def _fields(report: DocumentReport) -> NamedTable:
    cells = tuple(
        (
            fit_text(one.name, 60, run=16) or UNKNOWN,
            fit_text(one.text, 120) or UNKNOWN,
            fit_text(one.value, 60) or UNKNOWN,
            say.count(one.page) if one.page else UNKNOWN,
            say.confidence(one.confidence),
        )
        for one in report.fields[:FIELD_ROWS]
    )
    more = len(report.fields) > FIELD_ROWS
    note = f"First {FIELD_ROWS} of {say.count(len(report.fields))}; the result json has them all." if more else ""
    head = ("Field", "As it stands there", "Value", "Page", "Confidence")
    return NamedTable("Fields", head, cells, note, ("42", "1fr", "34", "auto", "auto"), (1, 2))


def _evidence(view: DocumentView) -> NamedTable:
    labels = ", ".join(f"{name}={value}" for name, value in sorted(view.labels.items()))
    options = view.options
    pairs = (
        ("Document", view.id),
        ("Name as given", fit_name(view.name, 200)),
        ("SHA-256 of the bytes received", view.sha256),
        ("Size", f"{say.count(view.size_bytes)} bytes"),
        ("Type by content", view.media_type),
        ("Batch", view.batch_id or ""),
        ("Results taken from", view.duplicate_of),
        ("Submitted with key", view.submitted_by),
        ("Labels", labels),
        ("Asked for", ", ".join([f"mode {options.mode}", f"engine {options.engine or 'default'}", *options.formats])),
        ("Priority", f"{view.urgency} in the pool {view.pool}"),
        ("Accepted", _moment(view.created_at)),
        ("Taken up", _moment(view.started_at) if view.started_at else "not yet"),
        ("Ended", _moment(view.finished_at) if view.finished_at else "not yet"),
        ("Round", f"{view.round}: how often it was started"),
    )
    cells = tuple((name, fit_text(value, 300, run=72)) for name, value in pairs if value)
    return NamedTable("The document", ("Fact", "Value"), cells, widths=("50", "1fr"), text=(1,))


def _results(view: DocumentView) -> NamedTable:
    cells = tuple(
        (fit_text(one.path, 60), say.size(one.size_bytes), fit_text(one.sha256, 70, run=70))
        for one in view.results[:RESULT_ROWS]
    )
    more = len(view.results) > RESULT_ROWS
    note = f"First {RESULT_ROWS} of {say.count(len(view.results))}." if more else ""
    return NamedTable("Results", ("File", "Size", "SHA-256"), cells, note, ("1fr", "auto", "102"), (2,))


def _history(report: DocumentReport) -> NamedTable:
    """The first and the last of what happened, where there is more than fits."""
    events = report.events
    shown: Sequence[EventView] = events
    if len(events) > EVENT_ROWS:
        shown = (*events[: EVENT_ROWS // 2], *events[-EVENT_ROWS // 2 :])
    cells = tuple(
        (
            _clock(one.at),
            f"slice {one.slice_id}" if one.slice_id is not None else "document",
            f"{one.from_state or 'made'} → {one.to_state}",
            fit_text(one.cause, 160, run=40) or UNKNOWN,
        )
        for one in shown
    )
    note = ""
    if len(events) > len(shown):
        known = f"more than {say.count(len(events))}" if report.more_events else say.count(len(events))
        note = f"The first and the last of {known} events; GET /v1/documents/…/events has them all."
    head = ("At (UTC)", "What", "Change", "Cause")
    return NamedTable("Changes of state", head, cells, note, ("43", "20", "42", "1fr"), (1, 2, 3))


def _moment(seconds: float) -> str:
    at = datetime.fromtimestamp(seconds, UTC)
    return f"{at.day} {at:%B %Y, %H:%M:%S} UTC"


def _clock(seconds: float) -> str:
    at = datetime.fromtimestamp(seconds, UTC)
    return f"{at:%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03}"
