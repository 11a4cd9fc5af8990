"""document.txt: the text as read."""

from __future__ import annotations

from pathlib import Path

from docfleet.exports.base import ExportJob, PageSource, open_text

FILE_NAME = "document.txt"


def write_text(pages: PageSource, path: Path) -> None:
    """Writes UTF-8 text in reading order, lines kept, one form feed between two pages.

    Splitting the file at form feeds gives as many parts as there are pages, also when pages are empty; a form feed
    inside a page's text becomes a line break.
    """
    with open_text(path) as file:
        for index, (text, _) in enumerate(pages):
            if index:
                file.write("\f")
            body = text.replace("\f", "\n")
            file.write(body if not body or body.endswith("\n") else body + "\n")


def export_text(job: ExportJob) -> list[Path]:
    path = job.folder / FILE_NAME
    write_text(job.pages, path)
    return [path]
