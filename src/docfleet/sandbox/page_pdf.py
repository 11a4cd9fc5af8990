"""Some pages of a document as a PDF of their own, and several such PDFs in one: what is sent to a cloud engine.

Runs in the sandbox child, because it parses the submitted file. PDF pages are taken as they are, without what
surrounds them (outline, form logic, scripts, attachments); pages of an image file become PDF pages of the same pixels
at their own size. Nothing is rendered, so nothing gets worse on its way.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import pikepdf

from docfleet.domain.media import PDF
from docfleet.errors import Damaged, NoPages
from docfleet.sandbox.faults import vendor_calls
from docfleet.sandbox.image_pages import image_pages
from docfleet.sandbox.pdf_file import PdfFile
from docfleet.sandbox.searchable import add_image_page, open_for_copying
from docfleet.sandbox.types import SandboxLimits

_ACTIONS = ("/AA", "/Thumb", "/B", "/StructParents", "/PieceInfo", "/Metadata", "/Dur", "/Trans")
"""What a page may carry beyond what is seen on it."""


def write_pages(
    source: str,
    out: str,
    pages: list[int],
    password: str | None,
    mime_type: str,
    max_page_pixels: int = SandboxLimits().max_page_pixels,
) -> dict[str, Any]:
    """Writes the pages (from 1, in this order) of `source` to the PDF `out`; returns {"size": bytes}.

    Raises `Damaged`, `PasswordRequired`, `PasswordWrong`, `PageTooLarge`, `NoPages` when there is no such page.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of odd files; nobody reads the child's stderr
        try:
            if mime_type == PDF.mime_type:
                _pdf_pages(source, out, pages, password)
            else:
                _image_file_pages(source, out, pages, mime_type, max_page_pixels)
        except pikepdf.PdfError as error:
            raise Damaged("The page cannot be taken out of the document.") from error
    return {"size": os.path.getsize(out)}


def join_pages(sources: list[str], out: str) -> dict[str, Any]:
    """Writes all pages of PDFs that `write_pages` made, in order; returns {"size": bytes, "pages": count}."""
    try:
        with ExitStack() as opened, pikepdf.new() as joined:
            for source in sources:
                joined.pages.extend(opened.enter_context(pikepdf.open(source, suppress_warnings=True)).pages)
            _save(joined, out)
            return {"size": os.path.getsize(out), "pages": len(joined.pages)}
    except pikepdf.PdfError as error:
        raise Damaged("The pages cannot be put into one file.") from error


def _pdf_pages(source: str, out: str, numbers: Sequence[int], password: str | None) -> None:
    with open_for_copying(source, password) as pdf, pikepdf.new() as fresh:
        count = len(pdf.pages)
        for number in numbers:
            if not 1 <= number <= count:
                raise NoPages(f"There is no page {number} in the file.")
            fresh.pages.append(pdf.pages[number - 1])
            page = fresh.pages[-1].obj
            for name in _ACTIONS:
                if name in page:
                    del page[name]
        _save(fresh, out)


def _save(pdf: pikepdf.Pdf, out: str) -> None:
    pdf.remove_unreferenced_resources()
    pdf.save(
        out,
        deterministic_id=True,
        fix_metadata_version=False,
        compress_streams=True,
        stream_decode_level=pikepdf.StreamDecodeLevel.none,
        object_stream_mode=pikepdf.ObjectStreamMode.generate,
    )


def _image_file_pages(source: str, out: str, numbers: Sequence[int], mime_type: str, max_page_pixels: int) -> None:
    wanted = set(numbers)
    with open(out, "wb") as target, vendor_calls("image"):
        file = PdfFile(target)
        tree = file.reserve()
        kids: dict[int, int] = {}
        for number, image in enumerate(image_pages(source, mime_type, max_page_pixels), 1):
            if number in wanted:
                if image.unreadable:
                    raise Damaged(f"Page {number} cannot be decoded.")
                kids[number] = add_image_page(file, image, b"", tree, None)
            if len(kids) == len(wanted):
                break
        if len(kids) < len(wanted):
            raise NoPages(f"There is no page {min(wanted - set(kids))} in the file.")
        listed = b" ".join(b"%d 0 R" % kids[number] for number in numbers)
        file.add(b"<< /Type /Pages /Kids [ %s ] /Count %d >>" % (listed, len(numbers)), number=tree)
        file.finish(file.add(b"<< /Type /Catalog /Pages %d 0 R >>" % tree))
