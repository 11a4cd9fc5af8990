"""What a report says about a batch."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from docfleet.reports.batch import BatchReport, DocumentRow, Environment, Failure, Outcome, PageRow
from docfleet.reports.figures import figures, tone, totals, verdict

START = datetime(2026, 3, 2, 9, 14, 5, 123456, tzinfo=UTC)


def row(outcome: Outcome, pages: int = 2, confidence: float | None = 0.9, **more: object) -> DocumentRow:
    values: dict[str, object] = {"file": "a.pdf", "bytes": 1000, "seconds": 1.5, **more}
    return DocumentRow(outcome=outcome, pages=pages, confidence=confidence, **values)  # type: ignore[arg-type]


def batch(*rows: DocumentRow, **more: object) -> BatchReport:
    values: dict[str, object] = {"title": "Batch", "started": START, "finished": START + timedelta(seconds=60), **more}
    return BatchReport(documents=rows, environment=Environment("0.1.0"), **values)  # type: ignore[arg-type]


OK, PART, BAD = row(Outcome.SUCCEEDED), row(Outcome.PARTIAL), row(Outcome.FAILED, 0, None)
TWICE = row(Outcome.DUPLICATE)


@pytest.mark.parametrize(
    ("rows", "sentence", "mood"),
    [
        ((), "There was nothing to read: the batch held no documents.", "plain"),
        ((OK,), "The document was read in full.", "good"),
        ((BAD,), "The document could not be read.", "bad"),
        ((PART,), "The document was read in part.", "warn"),
        ((OK, OK), "All 2 documents were read in full.", "good"),
        ((BAD, BAD), "None of 2 documents was read.", "bad"),
        ((OK, OK, BAD), "2 of 3 documents were read in full, 1 not at all.", "warn"),
        ((OK, BAD), "1 of 2 documents was read in full, 1 not at all.", "bad"),
        ((OK, PART, BAD), "1 of 3 documents was read in full, 1 in part, 1 not at all.", "warn"),
        ((OK, TWICE), "The document was read in full. One input repeated another and was read once with it.", "good"),
    ],
)
def test_verdict(rows: tuple[DocumentRow, ...], sentence: str, mood: str) -> None:
    sums = totals(batch(*rows))
    assert verdict(sums) == sentence
    assert tone(sums) == mood


def test_totals_count_a_duplicate_as_an_input_only() -> None:
    sums = totals(batch(OK, PART, BAD, TWICE, failures=(Failure("a.pdf", "engine_failed", "m", page=2),)))
    assert (sums.inputs, sums.documents, sums.pages, sums.unread_pages, sums.bytes) == (4, 3, 4, 1, 3000)
    assert sums.seconds == 60


def test_mean_confidence_is_weighted_by_pages() -> None:
    sums = totals(batch(row(Outcome.SUCCEEDED, 9, 1.0), row(Outcome.SUCCEEDED, 1, 0.5)))
    assert sums.confidence == pytest.approx(0.95)


def test_time_worked_wins_over_the_span_of_an_interrupted_batch() -> None:
    tiles = figures(batch(OK, wall_seconds=30.0)).tiles
    assert next(tile.value for tile in tiles if tile.label == "Documents an hour") == "120"


def test_no_time_measured_divides_by_nothing() -> None:
    tiles = figures(batch(OK, wall_seconds=0.0)).tiles
    assert next(tile.value for tile in tiles if tile.label == "Documents an hour") == "–"


def test_price_is_compared_with_the_list_price() -> None:
    shown = figures(batch(OK, pages_by_engine={"rapidocr": 2000}, cost_usd=0.5))
    assert [amount for _, amount in shown.costs] == ["$0.50", "$3.00", "$2.50"]
    assert "list price" in shown.cost_note
    dear = figures(batch(OK, pages_by_engine={"documentai": 2000}, cost_usd=5.0))
    assert dear.costs[-1] == ("More than at the list price (negative)", "−$2.00")


def test_tables_are_cut_and_say_how_many_there_are() -> None:
    failures = tuple(Failure(f"{n}.pdf", "damaged", "Broken.", "Send it again.") for n in range(500))
    shown = figures(batch(*(row(Outcome.SUCCEEDED, file=f"{n}.pdf") for n in range(500)), failures=failures))
    assert (len(shown.documents.rows), shown.documents.total) == (200, 500)
    assert (len(shown.failures.rows), shown.failures.total) == (200, 500)
    assert shown.causes.rows == (("Damaged", "500", "Send it again."),)
    assert len(shown.slowest.rows) == 10


def test_worst_come_first() -> None:
    rows = [row(Outcome.SUCCEEDED, 2, n / 10, file=f"{n}.pdf", seconds=float(n)) for n in range(1, 10)]
    pages = (PageRow("b", 1, "e", "r", 0.7), PageRow("a", 3, "e", "r", 0.2), PageRow("c", 1, "e", "r", 1.0))
    shown = figures(batch(*rows, least_certain_pages=pages))
    assert shown.least_certain_documents.rows[0] == ("1.pdf", "2", "", "10.0 %")
    assert shown.slowest.rows[0] == ("9.pdf", "2", "9.00 s", "4.50 s")
    assert [cells[0] for cells in shown.least_certain_pages.rows] == ["a", "b"]


def test_many_engines_are_summed_up() -> None:
    shown = figures(batch(OK, pages_by_engine={f"engine-{n}": 100 - n for n in range(20)}))
    assert len(shown.engines) == 8
    assert shown.engines[-1].label == "13 others"
    assert sum(bar.value for bar in shown.engines) == sum(100 - n for n in range(20))


def test_the_timeline_loses_no_page() -> None:
    ends = [row(Outcome.SUCCEEDED, 3, file=f"{n}", finished_after=float(n)) for n in range(61)]
    timeline = figures(batch(*ends)).timeline
    assert timeline is not None
    assert sum(timeline.pages) == 183
    assert figures(batch(OK, OK)).timeline is None


def test_histogram_note_counts_the_doubtful_pages() -> None:
    histogram = (0,) * 15 + (5, 0, 0, 0, 95)
    assert figures(batch(OK, confidence_histogram=histogram)).confidence_note.startswith("5 pages were read")


def test_the_same_value_gives_the_same_figures() -> None:
    report = batch(OK, PART, BAD, pages_by_engine={"b": 1, "a": 1})
    assert msgspec.json.encode(figures(report)) == msgspec.json.encode(figures(report))
    assert [bar.label for bar in figures(report).engines] == ["a", "b"]
