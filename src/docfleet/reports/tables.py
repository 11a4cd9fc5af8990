"""The rows of a batch report's tables: cells of text ready for print, in order, and never more than fit a report."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

import msgspec

from docfleet.reports import quantities as say
from docfleet.reports.facts import Cause, DocumentRow, Failure, Outcome, PageRow
from docfleet.reports.printable import fit_name, fit_text, words

DOCUMENT_ROWS = 200
FAILURE_ROWS = 200
WORST_ROWS = 10
CODE_CHARACTERS = 28
MESSAGE_CHARACTERS = 300
MESSAGE_RUN = 40
"""Characters without white space that a message's column holds on one line."""
NAME_CHARACTERS = 42
"""Of a file name, where it has a wide column; set in a fixed pitch, so this is a width."""
NARROW_CHARACTERS = 32
FOLDER_CHARACTERS = 20

ROW_LABELS = {
    Outcome.SUCCEEDED: "In full",
    Outcome.PARTIAL: "In part",
    Outcome.FAILED: "Failed",
    Outcome.DUPLICATE: "Duplicate",
    Outcome.CANCELLED: "Cancelled",
    Outcome.OPEN: "Not finished",
}
IN_INDEX = "the full list is in index.csv"
"""Of a folder that was processed."""


class ShownTable(msgspec.Struct, frozen=True):
    """Rows of cells, how many there would be without a limit, and a note that says so where rows are missing."""

    rows: tuple[tuple[str, ...], ...]
    total: int
    note: str = ""


def causes(failures: Sequence[Failure]) -> ShownTable:
    """Failures grouped by code, most frequent first."""
    groups: dict[str, list[Failure]] = defaultdict(list)
    for failure in failures:
        groups[failure.code].append(failure)
    return cause_cells(
        Cause(code, len(group), next((failure.remedy for failure in group if failure.remedy), ""))
        for code, group in groups.items()
    )


def cause_cells(found: Iterable[Cause]) -> ShownTable:
    """The most frequent first."""
    ordered = sorted(found, key=lambda cause: (-cause.count, cause.code))
    cells = [
        (
            fit_text(words(cause.code), CODE_CHARACTERS),
            say.count(cause.count),
            fit_text(cause.remedy or "–", MESSAGE_CHARACTERS, MESSAGE_RUN),
        )
        for cause in ordered
    ]
    return _shown(cells[:FAILURE_ROWS], len(cells), "causes", IN_INDEX)


def _failure_cells(failure: Failure) -> tuple[str, ...]:
    return (
        _file(failure.file),
        say.count(failure.page) if failure.page > 0 else "all",
        fit_text(words(failure.code), CODE_CHARACTERS),
        fit_text(failure.message, MESSAGE_CHARACTERS, MESSAGE_RUN),
    )


def least_certain_pages(pages: Sequence[PageRow]) -> ShownTable:
    ordered = sorted((row for row in pages if row.confidence < 1), key=lambda row: (row.confidence, row.file, row.page))
    cells = [
        (
            _file(row.file),
            say.count(row.page),
            fit_text(row.engine, 20),
            fit_text(words(row.reason), CODE_CHARACTERS),
            say.confidence(row.confidence),
        )
        for row in ordered[:WORST_ROWS]
    ]
    return _shown(cells, len(ordered))


def least_certain_documents(rows: Iterable[DocumentRow]) -> ShownTable:
    known = [
        (row.confidence, row) for row in rows if row.confidence is not None and row.outcome is not Outcome.DUPLICATE
    ]
    known.sort(key=lambda pair: (pair[0], pair[1].file))
    cells = [
        (_file(row.file), say.count(row.pages), fit_text(row.engine, 28), say.confidence(value))
        for value, row in known[:WORST_ROWS]
    ]
    return _shown(cells, len(known))


def slowest(rows: Iterable[DocumentRow]) -> ShownTable:
    timed = [row for row in rows if row.seconds > 0 and row.outcome is not Outcome.DUPLICATE]
    timed.sort(key=lambda row: (-row.seconds, row.file))
    cells = [
        (
            _file(row.file),
            say.count(row.pages),
            say.duration(row.seconds),
            say.duration(row.seconds / row.pages) if row.pages else "–",
        )
        for row in timed[:WORST_ROWS]
    ]
    return _shown(cells, len(timed))


def _document_cells(row: DocumentRow) -> tuple[str, ...]:
    label = ROW_LABELS[row.outcome]
    return (
        row.outcome.value,
        _file(row.file, NARROW_CHARACTERS),
        f"{label}: {fit_text(row.code.replace('_', ' '), CODE_CHARACTERS)}" if row.code else label,
        say.count(row.pages) if row.pages else "–",
        fit_text(row.engine, 20) or "–",
        say.confidence(row.confidence),
        say.duration(row.seconds) if row.seconds > 0 else "–",
        fit_name(row.folder, FOLDER_CHARACTERS) or "–",
    )


def failures(found: Sequence[Failure], total: int | None = None, rest: str = IN_INDEX) -> ShownTable:
    """Every failure in the order given; `total`: how many there are, if more."""
    cells = [_failure_cells(failure) for failure in found[:FAILURE_ROWS]]
    return _shown(cells, len(found) if total is None else total, "failures", rest)


def documents(found: Sequence[DocumentRow], total: int | None = None, rest: str = IN_INDEX) -> ShownTable:
    """Every document in the order given; `total`: how many there are, if more."""
    cells = [_document_cells(row) for row in found[:DOCUMENT_ROWS]]
    return _shown(cells, len(found) if total is None else total, "documents", rest)


def _file(name: str, limit: int = NAME_CHARACTERS) -> str:
    return fit_name(name, limit) or "(blank name)"


def _shown(rows: Sequence[tuple[str, ...]], total: int, what: str = "", rest: str = "") -> ShownTable:
    note = f"First {say.count(len(rows))} of {say.count(total)} {what}; {rest}."
    return ShownTable(tuple(rows), total, note if what and total > len(rows) else "")
