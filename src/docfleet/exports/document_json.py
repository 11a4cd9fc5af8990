"""document.json: a Document AI v1 Document."""

from __future__ import annotations

from pathlib import Path

from docfleet.documentai_format import DocumentWriter
from docfleet.exports.base import ExportJob

FILE_NAME = "document.json"


def export_json(job: ExportJob) -> list[Path]:
    """Writes the document page by page; see docs/reference/result-format.md."""
    path = job.folder / FILE_NAME
    with DocumentWriter(path, mime_type=job.mime_type, uri=job.uri) as writer:
        for text, page in job.pages:
            writer.page(text, page)
    return [path]
