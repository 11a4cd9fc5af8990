"""What one online request may hold, and the errors the real service answers past it.

The limit is on the selection, not on the document; imageless mode raises it for pages from the first on without a gap.
`page_limit` in the details is what could be had at best, never the limit in force.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from docfleet.documentai_server.refusals import Code, ErrorInfo, Refusal, invalid


class PageLimits(msgspec.Struct, frozen=True):
    """Of a type of processor."""

    pages: int = 15
    imageless: int = 30


class Selection(msgspec.Struct, frozen=True):
    """Which pages are asked for; at most one of the three, none: all."""

    individual: tuple[int, ...] = ()
    """1-based."""
    from_start: int = 0
    from_end: int = 0


def selection_of(options: Any) -> Selection:
    """That of a raw `ProcessOptions` message. Raises `Refusal` where it selects nothing that could be a page."""
    chosen = options.WhichOneof("page_range")
    if chosen == "individual_page_selector":
        pages = tuple(options.individual_page_selector.pages)
        if not pages:
            raise invalid("process_options.individual_page_selector.pages", "At least one page must be selected.")
        if min(pages) < 1:
            raise invalid("process_options.individual_page_selector.pages", "Page numbers start from 1.")
        return Selection(individual=pages)
    if chosen is None:
        return Selection()
    count = getattr(options, chosen)
    if count < 1:
        raise invalid(f"process_options.{chosen}", "The number of pages must be positive.")
    return Selection(**{chosen: count})


def selected_pages(selection: Selection, total: int) -> Sequence[int]:
    """Numbers of the selected pages of a document with `total` of them, ascending, each once.

    Counts past the ends select what there is; a single page that is not there raises `Refusal`.
    """
    if selection.individual:
        numbers = sorted(set(selection.individual))
        if numbers[-1] > total:
            field = "process_options.individual_page_selector.pages"
            raise invalid(field, f"Page {numbers[-1]} is selected, but the document has {total}.")
        return numbers
    if selection.from_start:
        return range(1, min(selection.from_start, total) + 1)
    if selection.from_end:
        return range(max(total - selection.from_end, 0) + 1, total + 1)
    return range(1, total + 1)


def check_pages(numbers: Sequence[int], imageless: bool, limits: PageLimits) -> None:
    """Raises the service's own `Refusal` when so many pages cannot be had in one request."""
    count = len(numbers)
    most = max(limits.pages, limits.imageless)
    if count <= limits.pages:
        return
    info = ErrorInfo("PAGE_LIMIT_EXCEEDED", {"page_limit": str(most), "pages": str(count)})
    if count > most:
        raise Refusal(Code.INVALID_ARGUMENT, f"Document pages exceed the limit: {most} got {count}", info)
    if not imageless:
        raise Refusal(
            Code.INVALID_ARGUMENT,
            f"Document pages in non-imageless mode exceed the limit: {limits.pages} got {count}. "
            f"Try using imageless mode to increase the limit to {most}.",
            info,
        )
    if numbers[0] != 1 or numbers[-1] != count:
        # the service sends no details with this one
        raise Refusal(Code.INVALID_ARGUMENT, f"At most {limits.pages} pages in one call please.")


def check_size(size: int, limit: int, field: str) -> None:
    """Raises the service's own `Refusal` for a document of too many bytes."""
    if size > limit:
        raise invalid(field, f"Document size ({size}) exceeds the limit: {limit}.")


def unsupported_file() -> Refusal:
    """What the service says of every file it cannot read, whatever the reason."""
    return Refusal(Code.INVALID_ARGUMENT, "Unsupported input file format.")
