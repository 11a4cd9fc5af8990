"""Page ranges of a document that is too long or too large for one request. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import ceil

import msgspec

from docfleet.documentai_format import merge
from docfleet.domain.document import Document
from docfleet.engines.documentai.calls import Selection
from docfleet.engines.documentai.facts import ProcessorFacts


def selections(pages: int, known: ProcessorFacts, imageless: bool) -> list[Selection]:
    """Ranges of one file, as few as can be: twice the pages from the first on in imageless mode, else the usual."""
    first = known.imageless_pages if imageless else known.online_pages
    found = [Selection(1, min(pages, first))] if pages else []
    at = first + 1
    while at <= pages:
        found.append(Selection(at, min(pages, at + known.online_pages - 1)))
        at += known.online_pages
    return found


def pieces(pages: int, size: int, known: ProcessorFacts, imageless: bool, most_bytes: int) -> list[Selection]:
    """Ranges to cut a file of `size` bytes into, each of which is a file of its own: as even as can be, with no more
    pages than one request takes, and so that each is below `most_bytes` if its pages are all about as large."""
    most = known.imageless_pages if imageless else known.online_pages
    count = max(ceil(pages / most), ceil(size / (most_bytes * 0.8)))
    count = min(max(count, 1), max(pages, 1))
    edges = [pages * n // count for n in range(count + 1)]
    return [Selection(low + 1, high) for low, high in pairwise(edges) if high > low]


def halves(piece: Selection) -> list[Selection]:
    """A piece that is too large all the same; itself where it is one page."""
    if piece.pages == 1:
        return [piece]
    middle = piece.first + piece.pages // 2 - 1
    return [Selection(piece.first, middle), Selection(middle + 1, piece.last)]


def renumbered(document: Document, first: int) -> Document:
    """The answer to a file that was cut out from page `first` on, with the page numbers of the whole."""
    pages = [msgspec.structs.replace(page, number=first + n) for n, page in enumerate(document.pages)]
    readings = [msgspec.structs.replace(one, page=one.page + first - 1) for one in document.readings]
    return msgspec.structs.replace(document, pages=tuple(pages), readings=tuple(readings))


def together(parts: Sequence[Document]) -> Document:
    """The answers to ranges of one document, as the answer to all of it."""
    return merge([msgspec.structs.replace(part, shard_info=None) for part in parts])
