"""The monthly report for management: one value in, one PDF out."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import msgspec

from docfleet.reports.month_facts import MonthFacts
from docfleet.reports.month_figures import month_figures
from docfleet.reports.month_report import month_report

TEMPLATE = "month.typ"
Typesets = Callable[[str, msgspec.Struct, datetime], bytes]
"""`typesetting.typeset`, or the press that does it in a process of its own."""


def month_pdf(facts: MonthFacts, typesets: Typesets) -> bytes:
    """A4, tagged, PDF/A-2a and PDF/UA-1; the same value gives the same bytes. Raises DocfleetError."""
    return typesets(TEMPLATE, month_figures(month_report(facts)), datetime.fromtimestamp(facts.made_at, UTC))
