"""Layout trees and chunks of layout parsers, cut by page range and put together again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from docfleet.domain.chunks import Chunk, ChunkedDocument, DocumentLayout, LayoutNode, PageSpan

_replace = msgspec.structs.replace


def cut_layout(layout: DocumentLayout | None, first: int, last: int) -> DocumentLayout | None:
    """The nodes that touch pages `first` to `last` (1-based), `first` counted as 1; nodes without pages stay."""
    if layout is None:
        return None
    blocks = (_renumbered(node, first, last) for node in layout.blocks)
    return DocumentLayout(tuple(node for node in blocks if node is not None))


def cut_chunks(chunked: ChunkedDocument | None, first: int, last: int) -> ChunkedDocument | None:
    """The chunks that touch pages `first` to `last`, as `cut_layout`."""
    if chunked is None:
        return None
    chunks = (_renumbered(chunk, first, last) for chunk in chunked.chunks)
    return ChunkedDocument(tuple(chunk for chunk in chunks if chunk is not None))


def joined_layouts(layouts: list[DocumentLayout | None], pages: list[int]) -> DocumentLayout | None:
    """One tree of several, the pages of each `pages` further on; block ids that occur twice are numbered anew."""
    present = [(layout.blocks, by) for layout, by in zip(layouts, pages, strict=True) if layout is not None]
    if not present:
        return None
    names = block_names(layouts)
    return DocumentLayout(
        tuple(
            _mapped(node, by, names[place].__getitem__)
            for place, (layout, by) in enumerate(zip(layouts, pages, strict=True))
            if layout is not None
            for node in layout.blocks
        )
    )


def joined_chunks(
    chunked: list[ChunkedDocument | None], layouts: list[DocumentLayout | None], pages: list[int]
) -> ChunkedDocument | None:
    """One list of chunks, referring to the blocks of `joined_layouts`; chunk ids that occur twice are numbered anew."""
    if all(one is None for one in chunked):
        return None
    names = block_names(layouts)
    chunks: list[Chunk] = []
    for place, (one, by) in enumerate(zip(chunked, pages, strict=True)):
        known = names[place]
        for chunk in one.chunks if one is not None else ():
            sources = tuple(known.get(source, source) for source in chunk.source_block_ids)
            chunks.append(_replace(_mapped(chunk, by, str), source_block_ids=sources))
    if len({chunk.chunk_id for chunk in chunks}) < len(chunks):
        chunks = [_replace(chunk, chunk_id=f"c{number}") for number, chunk in enumerate(chunks, 1)]
    return ChunkedDocument(tuple(chunks))


def block_names(layouts: list[DocumentLayout | None]) -> list[dict[str, str]]:
    """Old block id -> new one, for each tree; the same where no id occurs in two trees."""
    ids: list[list[str]] = []
    for layout in layouts:
        found: list[str] = []

        def seen(name: str, found: list[str] = found) -> str:
            found.append(name)
            return name

        for node in layout.blocks if layout is not None else ():
            _mapped(node, 0, seen)
        ids.append(found)
    if len(set().union(*ids)) == sum(len(set(found)) for found in ids):
        return [{name: name for name in found} for found in ids]
    names = []
    used = 0
    for found in ids:
        names.append({name: str(used + number) for number, name in enumerate(dict.fromkeys(found), 1)})
        used += len(names[-1])
    return names


def last_page(layout: DocumentLayout | None) -> int:
    """The last page any node stands on; 0 when none says."""
    ends = [0]

    def look(value: Any) -> None:
        if isinstance(value, PageSpan):
            ends.append(value.page_end)
        elif isinstance(value, msgspec.Struct):
            for name in value.__struct_fields__:
                look(getattr(value, name))
        elif isinstance(value, tuple):
            for one in value:
                look(one)

    look(layout)
    return max(ends)


def _mapped(value: Any, by: int, name: Callable[[str], str]) -> Any:
    """`value` with every page `by` further on and every block's id renamed."""
    if isinstance(value, PageSpan):
        return PageSpan(value.page_start + by, value.page_end + by)
    if isinstance(value, tuple):
        return tuple([_mapped(one, by, name) for one in value])
    if not isinstance(value, msgspec.Struct):
        return value
    changed = {field: _mapped(getattr(value, field), by, name) for field in value.__struct_fields__}
    if isinstance(value, LayoutNode):
        changed["block_id"] = name(value.block_id)
    return type(value)(**changed)


def _renumbered(value: Any, first: int, last: int) -> Any:
    """`value` without the nodes beyond the pages; None when it is beyond them itself."""
    if isinstance(value, PageSpan):
        start, end = max(value.page_start, first), min(value.page_end, last)
        return PageSpan(start - first + 1, end - first + 1) if start <= end else None
    if isinstance(value, tuple):
        return tuple([new for one in value if (new := _renumbered(one, first, last)) is not None])
    if not isinstance(value, msgspec.Struct):
        return value
    span = getattr(value, "page_span", None)
    if span is not None and _renumbered(span, first, last) is None:
        return None
    return type(value)(**{field: _renumbered(getattr(value, field), first, last) for field in value.__struct_fields__})
