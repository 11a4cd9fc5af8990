"""One page as the viewer draws it: what stands where, as short lists, from a page of a Document AI JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

_WIDEST = 1000
"""Rows or columns one cell may span."""
TextOf = Callable[[int, int], str]
"""Code points from, up to, of the document's text."""
LAYERS = ("blocks", "paragraphs", "lines", "tokens")
_MOST_ELEMENTS = 20_000
"""Of one kind on a page: a browser draws no more of them with grace."""


def page_view(page_json: bytes, text_of: TextOf) -> dict[str, Any]:
    """What the viewer needs, and no more.

    Elements are `[corners, confidence, start, end]`: corners x, y, x, y … in 0..1 of the picture, clockwise from the
    top left of the text as it is read; start and end in code points of this page's `text`. Raises `ValueError` for
    what is no page.
    """
    page = msgspec.json.decode(page_json)
    if not isinstance(page, dict):
        raise ValueError("no page")
    start, end = _reach(page)
    dimension = _object(page.get("dimension"))
    quality = _object(page.get("imageQualityScores"))
    return {
        "number": page.get("pageNumber", 0),
        "width": dimension.get("width"),
        "height": dimension.get("height"),
        "unit": dimension.get("unit", ""),
        "text": text_of(start, end),
        "languages": [one.get("languageCode", "") for one in _objects(page.get("detectedLanguages"))],
        "quality": quality.get("qualityScore"),
        "defects": [
            [str(one.get("type", "")).rpartition("/")[2], one.get("confidence")]
            for one in _objects(quality.get("detectedDefects"))
        ],
        **{layer: [_element(one, start) for one in _objects(page.get(layer))[:_MOST_ELEMENTS]] for layer in LAYERS},
        "tables": [_table(one, text_of) for one in _objects(page.get("tables"))],
        "fields": [_field(one, text_of) for one in _objects(page.get("formFields"))],
        "marks": [_mark(one) for one in _objects(page.get("visualElements"))],
        "barcodes": [_barcode(one) for one in _objects(page.get("detectedBarcodes"))],
    }


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _objects(value: Any) -> list[Mapping[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _segments(layout: Mapping[str, Any]) -> Iterator[tuple[int, int]]:
    for one in _objects(_object(layout.get("textAnchor")).get("textSegments")):
        yield int(one.get("startIndex", 0)), int(one.get("endIndex", 0))


def _reach(page: Mapping[str, Any]) -> tuple[int, int]:
    """From the first to the last code point anything on the page is anchored to."""
    found = list(_segments(_object(page.get("layout"))))
    for layer in LAYERS:
        for one in _objects(page.get(layer)):
            found += _segments(_object(one.get("layout")))
    return (min(start for start, _ in found), max(end for _, end in found)) if found else (0, 0)


def _corners(layout: Mapping[str, Any]) -> list[float]:
    vertices = _objects(_object(layout.get("boundingPoly")).get("normalizedVertices"))
    return [float(vertex.get(axis, 0)) for vertex in vertices for axis in ("x", "y")]


def _confidence(layout: Mapping[str, Any]) -> float | None:
    value = layout.get("confidence")
    return float(value) if isinstance(value, int | float) else None


def _element(element: Mapping[str, Any], base: int) -> list[Any]:
    layout = _object(element.get("layout"))
    segments = list(_segments(layout))
    start = min((start for start, _ in segments), default=base) - base
    end = max((end for _, end in segments), default=base) - base
    return [_corners(layout), _confidence(layout), start, end]


def _said(layout: Mapping[str, Any], text_of: TextOf) -> str:
    return "".join(text_of(start, end) for start, end in _segments(layout)).strip()


def _table(table: Mapping[str, Any], text_of: TextOf) -> dict[str, Any]:
    layout = _object(table.get("layout"))
    rows = []
    for kind in ("headerRows", "bodyRows"):
        heads = kind == "headerRows"
        rows += [
            [_cell(one, heads, text_of) for one in _objects(row.get("cells"))] for row in _objects(table.get(kind))
        ]
    return {"box": _corners(layout), "confidence": _confidence(layout), "rows": _without_covered(rows)}


def _cell(cell: Mapping[str, Any], heads: bool, text_of: TextOf) -> dict[str, Any]:
    layout = _object(cell.get("layout"))
    return {
        "text": _said(layout, text_of),
        "head": heads,
        "rows": min(max(1, int(cell.get("rowSpan", 1) or 1)), _WIDEST),
        "columns": min(max(1, int(cell.get("colSpan", 1) or 1)), _WIDEST),
        "box": _corners(layout),
        "confidence": _confidence(layout),
    }


def _without_covered(rows: list[list[dict[str, Any]]]) -> list[list[dict[str, Any]]]:
    """An empty cell in a place that another spans over is left out, as in HTML (`documentai_format.spans`)."""
    covered: set[tuple[int, int]] = set()
    shown = []
    for y, row in enumerate(rows):
        kept = []
        for x, cell in enumerate(row):
            if (y, x) in covered and not cell["box"] and not cell["text"]:
                continue
            if cell["rows"] > 1 or cell["columns"] > 1:
                reach = ((down, right) for down in range(cell["rows"]) for right in range(cell["columns"]))
                covered.update((y + down, x + right) for down, right in reach)
            kept.append(cell)
        shown.append(kept)
    return shown


def _field(field: Mapping[str, Any], text_of: TextOf) -> dict[str, Any]:
    name, value = _object(field.get("fieldName")), _object(field.get("fieldValue"))
    return {
        "name": str(field.get("correctedKeyText") or _said(name, text_of)),
        "value": str(field.get("correctedValueText") or _said(value, text_of)),
        "type": str(field.get("valueType", "")),
        "name_box": _corners(name),
        "value_box": _corners(value),
        "confidence": _confidence(value) if value else _confidence(name),
    }


def _mark(element: Mapping[str, Any]) -> dict[str, Any]:
    layout = _object(element.get("layout"))
    return {"type": str(element.get("type", "")), "box": _corners(layout), "confidence": _confidence(layout)}


def _barcode(element: Mapping[str, Any]) -> dict[str, Any]:
    layout, code = _object(element.get("layout")), _object(element.get("barcode"))
    return {"format": str(code.get("format", "")), "value": str(code.get("rawValue", "")), "box": _corners(layout)}
