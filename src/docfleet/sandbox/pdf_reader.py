"""A PDF as the child serves it."""

from __future__ import annotations

import mmap
import os

import numpy as np

from docfleet.sandbox import wire
from docfleet.sandbox.faults import vendor_calls
from docfleet.sandbox.pdf_drawing import read_drawing
from docfleet.sandbox.pdf_facts import measure
from docfleet.sandbox.pdf_open import open_pdf
from docfleet.sandbox.pdf_page import load_page
from docfleet.sandbox.pdf_text import PALE, read_characters
from docfleet.sandbox.types import Opened, SandboxLimits


class PdfReader:
    """One open PDF."""

    def __init__(self, request: wire.OpenDocument, limits: SandboxLimits) -> None:
        self.limits = limits
        with vendor_calls("PDF document"):
            self.document = open_pdf(request.path, request.passwords, limits.max_pages, request.repair_first)
        self.opened = Opened(
            request.mime_type,
            self.document.pages,
            self.document.encrypted,
            self.document.repaired,
            self.document.password or None,
        )

    def read(self, number: int) -> tuple[wire.PageBody, dict[str, wire.AnyArray]]:
        """Facts and text layer of a page."""
        with load_page(self.document, number) as page:
            characters = read_characters(page)
            drawing = read_drawing(page, set(characters.objects.tolist()))
            facts = measure(page, characters, drawing)
        body = wire.TextLayerBody(
            characters.font_names, characters.font_weights, characters.font_italics, drawing.rulings
        )
        arrays = {name: getattr(characters, name) for name in ("codes", "boxes", "sizes", "angles", "fonts", "flags")}
        arrays["flags"] = characters.flags & ~np.uint8(PALE)
        return wire.PageBody(facts, body), arrays

    def render(self, request: wire.RenderPage) -> tuple[wire.RenderedBody, wire.ArraySpec, int]:
        """A page's pixels, drawn straight into the memory file."""
        with load_page(self.document, request.number) as page:
            width, height, dpi = page.render_size(request.dpi, self.limits.max_page_pixels, request.region)
            shape = (height, width) if request.grey else (height, width, 3)
            size = width * height * (1 if request.grey else 3)
            descriptor = wire.create_memory_file(size)
            try:
                with mmap.mmap(descriptor, size) as buffer:
                    page.render_into(buffer, (width, height), dpi, request.grey, request.region)
            except BaseException:
                os.close(descriptor)
                raise
        return wire.RenderedBody(dpi), wire.ArraySpec("pixels", "uint8", shape, 0), descriptor

    def close(self) -> None:
        self.document.close()
