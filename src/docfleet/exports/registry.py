"""Result formats by name."""

from __future__ import annotations

from collections.abc import Iterable

from docfleet.errors import UsageError
from docfleet.exports.base import ExportFormat, Reads
from docfleet.exports.document_json import export_json
from docfleet.exports.hocr import export_hocr
from docfleet.exports.markdown import export_markdown
from docfleet.exports.plain_text import export_text
from docfleet.exports.searchable_layer import export_searchable_pdf
from docfleet.exports.tables import export_tables

EXPORTS: dict[str, ExportFormat] = {
    export.name: export
    for export in (
        ExportFormat("json", "document.json", "application/json", export_json),
        ExportFormat("md", "document.md", "text/markdown", export_markdown),
        ExportFormat("txt", "document.txt", "text/plain", export_text, Reads.TEXT),
        ExportFormat("pdf", "searchable.pdf", "application/pdf", export_searchable_pdf),
        ExportFormat("csv", "tables/", "text/csv", export_tables, Reads.TABLES),
        ExportFormat("hocr", "document.hocr", "text/vnd.hocr+html", export_hocr),
    )
}


def choose_exports(names: Iterable[str]) -> list[ExportFormat]:
    """The formats of these names, each once, in the registry's order. Raises `UsageError` for an unknown name."""
    wanted = {name.strip().lower() for name in names} - {""}
    if unknown := sorted(wanted - EXPORTS.keys()):
        raise UsageError(f"There is no result format {', '.join(unknown)}; choose from {', '.join(EXPORTS)}.")
    return [export for name, export in EXPORTS.items() if name in wanted]
