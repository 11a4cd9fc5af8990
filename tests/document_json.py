"""Reads result files the way a stranger would: Document AI v1 JSON by its published field names, no docfleet code."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scoring import PlacedWord, Rect


@dataclass(frozen=True)
class JsonPage:
    """A page of a `document.json`."""

    words: list[PlacedWord]
    """Runs of tokens up to the next white space, with normalised boxes, in the order of the file."""
    tables: list[list[list[str]]]
    languages: list[str]
    orientation: str

    @property
    def text(self) -> str:
        return " ".join(word for word, _ in self.words)


def read_json(path: Path) -> list[JsonPage]:
    document = json.loads(path.read_text(encoding="utf-8"))
    text = document.get("text", "")
    return [
        JsonPage(
            words=_words(text, page.get("tokens", [])),
            tables=[_grid(text, table) for table in page.get("tables", [])],
            languages=[language["languageCode"] for language in page.get("detectedLanguages", [])],
            orientation=page.get("layout", {}).get("orientation", ""),
        )
        for page in document.get("pages", [])
    ]


def anchored(text: str, layout: dict[str, Any]) -> str:
    segments = layout.get("textAnchor", {}).get("textSegments", [])
    return "".join(text[int(segment.get("startIndex", 0)) : int(segment["endIndex"])] for segment in segments)


def _rect(layout: dict[str, Any]) -> Rect:
    corners = layout["boundingPoly"]["normalizedVertices"]
    xs = [corner.get("x", 0.0) for corner in corners]
    ys = [corner.get("y", 0.0) for corner in corners]
    return (min(xs), min(ys), max(xs), max(ys))


def _words(text: str, tokens: list[dict[str, Any]]) -> list[PlacedWord]:
    """Punctuation marks are tokens of their own: tokens without white space between them are one word."""
    words: list[PlacedWord] = []
    letters, box = "", None
    for token in tokens:
        piece, here = anchored(text, token["layout"]), _rect(token["layout"])
        letters += piece.strip()
        box = here if box is None else _around(box, here)
        if piece != piece.rstrip() or "detectedBreak" in token:
            words.append((letters, box))
            letters, box = "", None
    if letters and box is not None:
        words.append((letters, box))
    return [(word, place) for word, place in words if word]


def _around(a: Rect, b: Rect) -> Rect:
    return (min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3]))


def _grid(text: str, table: dict[str, Any]) -> list[list[str]]:
    """Rows of the table's cells; docfleet writes rectangles, in which a place that a span covers is an empty cell."""
    rows = [*table.get("headerRows", []), *table.get("bodyRows", [])]
    return [
        [anchored(text, cell["layout"]).strip() if "layout" in cell else "" for cell in row.get("cells", [])]
        for row in rows
    ]
