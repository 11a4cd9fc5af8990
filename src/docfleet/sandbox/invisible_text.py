"""Removes a PDF page's invisible text (render mode 3) and nothing else.

Old OCR layers are such text, in the page's own content or in form XObjects it draws. What can be seen does not change:
an invisible run is only dropped where no visible run continues at the place it ended.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable
from typing import Any

import pikepdf

_INVISIBLE = 3
_MODE_3 = re.compile(rb"(?<![\w.])0*3(?:\.0*)?\s+Tr\b")
_SHOWS = frozenset({"Tj", "TJ", "'", '"'})
_MOVES = frozenset({"Td", "TD", "Tm", "T*", "BT", "ET"})
_MAX_CONTENT = 50_000_000
_MAX_DEPTH = 8
Instruction = Any


class InvisibleTextRemover:
    """Cleans pages of one PDF. Form XObjects drawn by several pages are cleaned once, as copies."""

    def __init__(self, pdf: pikepdf.Pdf) -> None:
        self._pdf = pdf
        self._forms: dict[tuple[tuple[int, int], int], pikepdf.Object | None] = {}

    def clean(self, page: pikepdf.Page, resources: pikepdf.Object) -> int:
        """Removes invisible text from `page`; returns how many runs it dropped.

        `resources` is the page's own resource dictionary, whose /XObject entry is replaced when a form changed.
        Content that is too large or cannot be parsed stays as it is.
        """
        content = _content_of(page)
        if content is None:
            return 0
        outcome = self._filter(page, content, resources, 0, 0)
        if outcome is None:
            return 0
        data, dropped, forms = outcome
        if forms:
            xobjects = pikepdf.Dictionary(resources["/XObject"])
            for name, form in forms.items():
                xobjects[name] = form
            resources["/XObject"] = xobjects
        if data is not None:
            page.obj["/Contents"] = compressed_stream(self._pdf, data)
        return dropped

    def _filter(
        self, source: Any, content: bytes, resources: pikepdf.Object | None, mode: int, depth: int
    ) -> tuple[bytes | None, int, dict[str, pikepdf.Object]] | None:
        """(new content or None when it did not change, runs dropped, forms to exchange), or None for no change."""
        has_mode = mode == _INVISIBLE or _MODE_3.search(content) is not None
        if not has_mode and b"Do" not in content:
            return None
        forms = _form_names(resources)
        if not has_mode and not forms:
            return None
        try:
            instructions = list(pikepdf.parse_content_stream(source))
        except (pikepdf.PdfError, ValueError, TypeError):
            return None
        sieve = _Sieve(mode, _type3_fonts(resources))
        kept, dropped = sieve.run(instructions)
        exchanged: dict[str, pikepdf.Object] = {}
        inner = 0
        for name, form_mode in sieve.drawn.items():
            if name in forms and form_mode is not None and depth < _MAX_DEPTH:
                form, count = self._clean_form(forms[name], resources, form_mode, depth + 1)
                inner += count
                if form is not None:
                    exchanged[name] = form
        if not dropped and not exchanged:
            return None
        return (pikepdf.unparse_content_stream(kept) if dropped else None, dropped + inner, exchanged)

    def _clean_form(
        self, form: pikepdf.Object, outer: pikepdf.Object | None, mode: int, depth: int
    ) -> tuple[pikepdf.Object | None, int]:
        key = (form.objgen, mode)
        if key in self._forms:
            return self._forms[key], 0
        self._forms[key] = None  # a form that draws itself ends here
        own = form.get("/Resources", outer)
        try:
            content = form.read_bytes() if _is_small(form) else None
        except (pikepdf.PdfError, MemoryError):
            content = None
        outcome = self._filter(form, content, own, mode, depth) if content is not None else None
        if outcome is None:
            return None, 0
        data, dropped, exchanged = outcome
        copy = compressed_stream(self._pdf, data if data is not None else content or b"")
        for name, value in form.items():
            if name not in ("/Length", "/Filter", "/DecodeParms", "/F", "/FFilter", "/FDecodeParms"):
                copy[name] = value
        if exchanged and own is not None:
            inner = pikepdf.Dictionary(own)
            xobjects = pikepdf.Dictionary(own["/XObject"])
            for name, value in exchanged.items():
                xobjects[name] = value
            inner["/XObject"] = xobjects
            copy["/Resources"] = inner
        self._forms[key] = copy
        return copy, dropped


def compressed_stream(pdf: pikepdf.Pdf, data: bytes) -> pikepdf.Stream:
    """A new stream of `pdf` with `data` under Flate; saving leaves all streams as they are."""
    stream = pdf.make_stream(b"")
    stream.write(zlib.compress(data, 9), filter=pikepdf.Name("/FlateDecode"))
    return stream


def _content_of(page: pikepdf.Page) -> bytes | None:
    contents = page.obj.get("/Contents")
    streams = list(contents) if isinstance(contents, pikepdf.Array) else [contents]
    parts = []
    size = 0
    try:
        for stream in streams:
            if isinstance(stream, pikepdf.Stream):
                parts.append(stream.read_bytes())
                size += len(parts[-1])
                if size > _MAX_CONTENT:
                    return None
    except pikepdf.PdfError:
        return None
    return b"\n".join(parts)


def _is_small(form: pikepdf.Object) -> bool:
    return len(form.read_raw_bytes()) <= _MAX_CONTENT // 10


def _form_names(resources: pikepdf.Object | None) -> dict[str, pikepdf.Object]:
    xobjects = resources.get("/XObject") if isinstance(resources, pikepdf.Dictionary) else None
    if not isinstance(xobjects, pikepdf.Dictionary):
        return {}
    return {
        name: entry
        for name, entry in xobjects.items()
        if isinstance(entry, pikepdf.Stream) and entry.get("/Subtype") == "/Form"
    }


class _Sieve:
    """Goes through instructions once and marks the invisible runs that can go."""

    def __init__(self, mode: int, painted_fonts: frozenset[str]) -> None:
        self._mode = mode
        self._font = ""
        self._saved: list[tuple[int, str]] = []
        self._painted_fonts = painted_fonts
        self._kept: list[Instruction] = []
        self._doomed: set[int] = set()
        self._pending: list[int] = []
        """Places in `_kept` of invisible runs that can go once the text position is set anew."""
        self.drawn: dict[str, int | None] = {}
        """Each XObject drawn, with the text render mode it starts in; None when it starts in several."""

    def run(self, instructions: Iterable[Instruction]) -> tuple[list[Instruction], int]:
        """The instructions that stay, and how many invisible runs went."""
        for instruction in instructions:
            operator, operands = str(instruction.operator), instruction.operands
            if operator in _SHOWS:
                self._show(instruction, operator, operands)
                continue
            self._track(operator, operands)
            self._kept.append(instruction)
        self._settle()
        kept = [instruction for at, instruction in enumerate(self._kept) if at not in self._doomed]
        return kept, len(self._doomed)

    def _track(self, operator: str, operands: Any) -> None:
        if operator == "q":
            self._saved.append((self._mode, self._font))
        elif operator == "Q" and self._saved:
            self._mode, self._font = self._saved.pop()
        elif operator == "Tr" and operands:
            self._mode = _integer(operands[0], self._mode)
        elif operator == "Tf" and operands:
            self._font = str(operands[0])
        elif operator == "Do" and operands:
            name = str(operands[0])
            self.drawn[name] = self._mode if self.drawn.get(name, self._mode) == self._mode else None
        elif operator in _MOVES:
            self._settle()

    def _show(self, instruction: Instruction, operator: str, operands: Any) -> None:
        if self._mode != _INVISIBLE or self._font in self._painted_fonts:
            # It goes on where an invisible run before it ended, so that run has to stay.
            self._pending.clear() if operator in ("Tj", "TJ") else self._settle()
            self._kept.append(instruction)
            return
        if operator in ("'", '"') and operands:
            # These also move to the next line (and set spacing), which has to stay when the run goes.
            self._settle()
            if operator == '"' and len(operands) == 3:
                self._kept.append(_instruction([operands[0]], "Tw"))
                self._kept.append(_instruction([operands[1]], "Tc"))
            self._kept.append(_instruction([], "T*"))
            instruction = _instruction([operands[-1]], "Tj")
        self._pending.append(len(self._kept))
        self._kept.append(instruction)

    def _settle(self) -> None:
        self._doomed.update(self._pending)
        self._pending.clear()


def _instruction(operands: list[Any], operator: str) -> Instruction:
    return pikepdf.ContentStreamInstruction(operands, pikepdf.Operator(operator))


def _type3_fonts(resources: pikepdf.Object | None) -> frozenset[str]:
    """Names of Type 3 fonts: their glyphs are painted whatever the text render mode is (PDF 32000-1, 9.3.6)."""
    fonts = resources.get("/Font") if isinstance(resources, pikepdf.Dictionary) else None
    if not isinstance(fonts, pikepdf.Dictionary):
        return frozenset()
    return frozenset(
        name
        for name, font in fonts.items()
        if isinstance(font, pikepdf.Dictionary) and font.get("/Subtype") == "/Type3"
    )


def _integer(value: Any, default: int) -> int:
    try:
        return int(value)
    except (TypeError, ValueError, ArithmeticError):
        return default
