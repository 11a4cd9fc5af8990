"""The PDF report of a batch: one call, one value in, one file out."""

from __future__ import annotations

from pathlib import Path

from docfleet.reports.facts import BatchReport, DocumentRow, Environment, Failure, Outcome, PageRow
from docfleet.reports.figures import figures
from docfleet.reports.typesetting import typeset, write_whole

__all__ = [
    "BatchReport",
    "DocumentRow",
    "Environment",
    "Failure",
    "Outcome",
    "PageRow",
    "render_batch_report",
    "write_batch_report",
]


def render_batch_report(report: BatchReport) -> bytes:
    """The report as a PDF: A4, tagged, PDF/A-2a and PDF/UA-1; the same value gives the same bytes.

    Detail tables show the first 200 rows and say so. Raises DocfleetError when the typesetter cannot set it.
    """
    return typeset("batch.typ", figures(report), report.finished)


def write_batch_report(report: BatchReport, path: Path) -> None:
    """Writes the report to `path` in one step, over an older one. Raises DocfleetError or OSError."""
    write_whole(path, render_batch_report(report))
