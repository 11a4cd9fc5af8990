"""What a batch report says, derived from its facts: sums, ratios, the worst of each kind, and text ready for print.

Pure: the same report gives the same figures, in the same order. Every string that came from outside has passed
`printable`; every list is bounded, so that a batch of any size gives a report of a readable one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import msgspec

from docfleet.reports import quantities as say
from docfleet.reports import tables
from docfleet.reports.facts import BatchReport, DocumentRow, Outcome, Totals, Whole
from docfleet.reports.printable import fit_text, printable, words
from docfleet.reports.tables import CODE_CHARACTERS, ShownTable

CLOUD_PRICE_PER_PAGE_USD = 1.50 / 1000
"""Google Document AI, Enterprise Document OCR, list price of the first five million pages a month."""

BAR_ROWS = 8
TIMELINE_BUCKETS = 40

LEGEND = {
    Outcome.SUCCEEDED: "Read in full",
    Outcome.PARTIAL: "Read in part",
    Outcome.FAILED: "Failed",
    Outcome.DUPLICATE: "Duplicate",
    Outcome.CANCELLED: "Cancelled",
    Outcome.OPEN: "Not finished",
}
_ALWAYS_SHOWN = (Outcome.SUCCEEDED, Outcome.PARTIAL, Outcome.FAILED)


class Tile(msgspec.Struct, frozen=True):
    """One key figure."""

    value: str
    label: str
    note: str = ""
    tone: str = "plain"
    """"plain", "good", "warn" or "bad"."""


class Bar(msgspec.Struct, frozen=True):
    """One labelled amount of a chart."""

    label: str
    value: int
    text: str
    key: str = ""


class Timeline(msgspec.Struct, frozen=True):
    """Pages finished in equal stretches of the batch."""

    pages: tuple[int, ...]
    bucket: str
    """Length of a stretch, for a person."""
    end: str
    peak: str
    """Pages of the fullest stretch."""


class BatchFigures(msgspec.Struct, frozen=True):
    """Everything the template sets, in its order."""

    title: str
    period: str
    command: str
    verdict: str
    tone: str
    version: str
    tiles: tuple[Tile, ...]
    outcomes: tuple[Bar, ...]
    engines: tuple[Bar, ...]
    confidence: tuple[int, ...]
    confidence_peak: str
    """Pages of the fullest bin."""
    confidence_note: str
    timeline: Timeline | None
    causes: ShownTable
    """code, how many, cause (an example), remedy"""
    failures: ShownTable
    """file, page, code, cause"""
    least_certain_pages: ShownTable
    """file, page, engine, reason, confidence"""
    least_certain_documents: ShownTable
    """file, pages, engine, confidence"""
    slowest: ShownTable
    """file, pages, seconds, seconds a page"""
    reasons: tuple[Bar, ...]
    documents: ShownTable
    """outcome key, file, outcome with code, pages, engine, confidence, seconds, folder (or what `place` says)"""
    place: str
    costs: tuple[tuple[str, str], ...]
    cost_note: str
    facts: tuple[tuple[str, str], ...]


def totals(report: BatchReport) -> Totals:
    """Sums over `report`; duplicates count as inputs only."""
    if report.whole is not None:
        return report.whole.totals
    outcomes = Counter(row.outcome for row in report.documents)
    once = [row for row in report.documents if row.outcome is not Outcome.DUPLICATE]
    read = [row for row in once if row.outcome in (Outcome.SUCCEEDED, Outcome.PARTIAL)]
    weighed = [(row.confidence, max(row.pages, 1)) for row in read if row.confidence is not None]
    weight = sum(pages for _, pages in weighed)
    wall = report.wall_seconds
    return Totals(
        inputs=len(report.documents),
        succeeded=outcomes[Outcome.SUCCEEDED],
        partial=outcomes[Outcome.PARTIAL],
        failed=outcomes[Outcome.FAILED],
        duplicates=outcomes[Outcome.DUPLICATE],
        pages=sum(report.pages_by_engine.values()) if report.pages_by_engine else sum(row.pages for row in read),
        unread_pages=sum(1 for failure in report.failures if failure.page > 0),
        bytes=sum(row.bytes for row in once),
        seconds=max((report.finished - report.started).total_seconds() if wall is None else wall, 0.0),
        confidence=sum(value * pages for value, pages in weighed) / weight if weight else None,
        cancelled=outcomes[Outcome.CANCELLED],
        open=outcomes[Outcome.OPEN],
    )


def figures(report: BatchReport) -> BatchFigures:
    """All that the report of a batch shows."""
    sums, whole = totals(report), report.whole
    rest = whole.rest if whole else tables.IN_INDEX
    return BatchFigures(
        title=fit_text(report.title, 90, run=30) or "Batch report",
        period=_period(report.started, report.finished),
        command=fit_text(report.command, 200, run=80),
        verdict=verdict(sums),
        tone=tone(sums),
        version=fit_text(report.environment.version, 40),
        tiles=_tiles(report, sums),
        outcomes=_outcomes(sums),
        engines=_bars(report.pages_by_engine, "page"),
        confidence=tuple(max(pages, 0) for pages in report.confidence_histogram),
        confidence_peak=say.counted(max(report.confidence_histogram, default=0), "page"),
        confidence_note=_confidence_note(report.confidence_histogram),
        timeline=_drawn(whole, sums.seconds) if whole else _timeline(report.documents, sums.seconds),
        causes=tables.cause_cells(whole.causes) if whole else tables.causes(report.failures),
        failures=tables.failures(report.failures, whole.failures if whole else None, rest),
        least_certain_pages=tables.least_certain_pages(report.least_certain_pages),
        least_certain_documents=tables.least_certain_documents(whole.least_certain if whole else report.documents),
        slowest=tables.slowest(whole.slowest if whole else report.documents),
        reasons=_bars({words(code): pages for code, pages in report.pages_by_reason.items()}, "page"),
        place=whole.place if whole else "Folder",
        documents=tables.documents(report.documents, sums.inputs if whole else None, rest),
        costs=_costs(report, sums),
        cost_note=(
            "Comparison with a list price only, not a quotation: Enterprise Document OCR of Google Document AI at "
            "$1.50 per 1,000 pages, without storage, transfer, taxes or discounts. "
            "The cost here counts what engines charge, not the machines they run on."
        ),
        facts=_of_service(whole) if whole else _facts(report, sums),
    )


def tone(sums: Totals) -> str:
    """ "good" when all was read, "bad" when at least half was not, else "warn"; "plain" when there was nothing."""
    if not sums.documents:
        return "plain"
    if sums.succeeded == sums.documents:
        return "good"
    if sums.succeeded + sums.open == sums.documents:
        return "plain"
    return "bad" if 2 * sums.failed >= sums.documents else "warn"


def verdict(sums: Totals) -> str:
    """How the batch went, in one or two sentences."""
    if not sums.inputs:
        return "There was nothing to read: the batch held no documents."
    return " ".join(filter(None, (_reading_sentence(sums), _duplicates_sentence(sums.duplicates))))


def _reading_sentence(sums: Totals) -> str:
    documents = sums.documents
    if not documents:
        return ""
    if sums.succeeded == documents:
        return "The document was read in full." if documents == 1 else f"All {documents:,} documents were read in full."
    if sums.failed == documents:
        return "The document could not be read." if documents == 1 else f"None of {documents:,} documents was read."
    if sums.partial == documents == 1:
        return "The document was read in part."
    parts = [f"{sums.succeeded:,} of {documents:,} documents {'was' if sums.succeeded == 1 else 'were'} read in full"]
    parts += [f"{sums.partial:,} in part"] if sums.partial else []
    parts += [f"{sums.failed:,} not at all"] if sums.failed else []
    parts += [f"{sums.cancelled:,} {'was' if sums.cancelled == 1 else 'were'} cancelled"] if sums.cancelled else []
    parts += [f"{sums.open:,} {'has' if sums.open == 1 else 'have'} not ended yet"] if sums.open else []
    return ", ".join(parts) + "."


def _duplicates_sentence(duplicates: int) -> str:
    if not duplicates:
        return ""
    if duplicates == 1:
        return "One input repeated another and was read once with it."
    return f"{duplicates:,} inputs repeated others and were read once with them."


def _tiles(report: BatchReport, sums: Totals) -> tuple[Tile, ...]:
    hours = sums.seconds / 3600
    per_hour = say.rate(sums.documents / hours) if hours > 0 else "–"
    per_minute = f"{say.rate(sums.pages / hours / 60)} pages a minute" if hours > 0 else "no time measured"
    unread = sums.unread_pages
    at_list_price = say.dollars(sums.pages * CLOUD_PRICE_PER_PAGE_USD)
    return (
        Tile(say.count(sums.inputs), "Documents", f"{say.size(sums.bytes)} in all"),
        Tile(
            say.share(sums.succeeded, sums.documents),
            "Read in full",
            f"{say.count(sums.partial)} in part, {say.count(sums.failed)} failed",
            tone(sums),
        ),
        Tile(
            say.count(sums.pages),
            "Pages read",
            _unread_note(sums),
            "warn" if unread else "plain",
        ),
        Tile(per_hour, "Documents an hour", per_minute),
        Tile(say.confidence(sums.confidence), "Mean confidence", "weighted by pages"),
        Tile(say.dollars(report.cost_usd), "Engine cost", f"{at_list_price} at Google's list price ¹"),
    )


def _unread_note(sums: Totals) -> str:
    if sums.unread_pages:
        return f"{say.count(sums.unread_pages)} not read"
    return "no page of a read document left out" if sums.pages else "nothing was read"


def _outcomes(sums: Totals) -> tuple[Bar, ...]:
    amounts = {
        Outcome.SUCCEEDED: sums.succeeded,
        Outcome.PARTIAL: sums.partial,
        Outcome.FAILED: sums.failed,
        Outcome.DUPLICATE: sums.duplicates,
        Outcome.CANCELLED: sums.cancelled,
        Outcome.OPEN: sums.open,
    }
    return tuple(
        Bar(LEGEND[outcome], amount, f"{say.count(amount)}  ·  {say.share(amount, sums.inputs)}", outcome.value)
        for outcome, amount in amounts.items()
        if amount or (outcome in _ALWAYS_SHOWN and sums.inputs)
    )


def _bars(amounts: dict[str, int], noun: str) -> tuple[Bar, ...]:
    """The largest amounts as bars, the rest summed up in one."""
    whole = sum(amounts.values())
    ordered = sorted(((name, amount) for name, amount in amounts.items() if amount > 0), key=lambda x: (-x[1], x[0]))
    shown = ordered if len(ordered) <= BAR_ROWS else ordered[: BAR_ROWS - 1]
    rest = sum(amount for _, amount in ordered[len(shown) :])
    if rest:
        shown = [*shown, (f"{len(ordered) - len(shown)} others", rest)]
    return tuple(
        Bar(fit_text(name, CODE_CHARACTERS), amount, f"{say.counted(amount, noun)}  ·  {say.share(amount, whole)}")
        for name, amount in shown
    )


def _confidence_note(histogram: Sequence[int]) -> str:
    """How many pages deserve a look."""
    whole, bins = sum(histogram), len(histogram)
    if not whole:
        return ""
    low = sum(pages for bin_, pages in enumerate(histogram) if (bin_ + 1) / bins <= 0.8 + 1e-9)
    if not low:
        return "Every page was read with a confidence of 80 % or more."
    verb = "page was" if low == 1 else "pages were"
    return f"{say.count(low)} {verb} read with a confidence below 80 % ({say.share(low, whole)})."


def _timeline(rows: Iterable[DocumentRow], seconds: float) -> Timeline | None:
    """Pages finished over time; None where fewer than two documents say when they were."""
    ends = [(row.finished_after, row.pages) for row in rows if row.finished_after is not None and row.pages > 0]
    last = max((end for end, _ in ends), default=0.0)
    span = max(seconds, last)
    if len(ends) < 2 or span <= 0:
        return None
    buckets = min(TIMELINE_BUCKETS, max(8, len(ends)))
    pages = [0] * buckets
    for end, amount in ends:
        pages[min(int(max(end, 0.0) / span * buckets), buckets - 1)] += amount
    return Timeline(tuple(pages), say.duration(span / buckets), say.duration(span), say.counted(max(pages), "page"))


def _drawn(whole: Whole, seconds: float) -> Timeline | None:
    pages = whole.finished_pages
    if not pages or seconds <= 0:
        return None
    return Timeline(pages, say.duration(seconds / len(pages)), say.duration(seconds), say.counted(max(pages), "page"))


def _of_service(whole: Whole) -> tuple[tuple[str, str], ...]:
    return tuple((name, fit_text(value, 200)) for name, value in whole.facts if value)


def _costs(report: BatchReport, sums: Totals) -> tuple[tuple[str, str], ...]:
    cloud = sums.pages * CLOUD_PRICE_PER_PAGE_USD
    return (
        ("Cost of this batch" if report.whole else "Cost of this run", say.dollars(report.cost_usd)),
        (
            f"The same {say.counted(sums.pages, 'page')} at the list price of Google Document AI OCR ¹",
            say.dollars(cloud),
        ),
        (
            "Less than at the list price" if cloud >= report.cost_usd else "More than at the list price (negative)",
            say.dollars(cloud - report.cost_usd),
        ),
    )


def _facts(report: BatchReport, sums: Totals) -> tuple[tuple[str, str], ...]:
    environment = report.environment
    engines = ", ".join(printable(name) for name in environment.engines)
    pairs = (
        ("Command", fit_text(report.command, 1000)),
        ("Started", _moment(report.started)),
        ("Finished", _moment(report.finished)),
        ("Wall-clock time", say.duration(sums.seconds)),
        ("Processor time", "not measured" if report.cpu_seconds is None else say.duration(report.cpu_seconds)),
        ("Processor time a page", _per_page(report.cpu_seconds, sums.pages)),
        ("docfleet", fit_text(environment.version, 40)),
        ("Engines", fit_text(engines, 200) or "none"),
        ("Workers", say.count(environment.workers)),
        ("Python", fit_text(environment.python, 60)),
        ("Platform", fit_text(environment.platform, 120)),
    )
    return tuple((name, value) for name, value in pairs if value)


def _per_page(cpu_seconds: float | None, pages: int) -> str:
    return "" if cpu_seconds is None or not pages else say.duration(cpu_seconds / pages)


def _moment(moment: datetime) -> str:
    at = _utc(moment)
    return f"{at.day} {at:%B %Y, %H:%M:%S} UTC"


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def _period(started: datetime, finished: datetime) -> str:
    first, last = _utc(started), _utc(finished)
    if first.date() == last.date():
        return f"{first.day} {first:%B %Y, %H:%M:%S} – {last:%H:%M:%S} UTC"
    return f"{_moment(first)} – {_moment(last)}"
