"""An image file as the child serves it."""

from __future__ import annotations

from docfleet.sandbox import wire
from docfleet.sandbox.images import ImageDocument
from docfleet.sandbox.types import Opened, SandboxLimits


class ImageReader:
    """One open image file."""

    def __init__(self, request: wire.OpenDocument, limits: SandboxLimits) -> None:
        self.document = ImageDocument(request.path, request.mime_type, limits.max_pages, limits.max_page_pixels)
        self.opened = Opened(request.mime_type, self.document.pages)

    def read(self, number: int) -> tuple[wire.PageBody, dict[str, wire.AnyArray]]:
        return wire.PageBody(self.document.facts(number)), {}

    def render(self, request: wire.RenderPage) -> tuple[wire.RenderedBody, wire.ArraySpec, int]:
        pixels, dpi = self.document.render(request.number, request.dpi, request.grey, request.region)
        (spec,), descriptor = wire.write_arrays({"pixels": pixels})
        assert descriptor is not None
        return wire.RenderedBody(dpi), spec, descriptor

    def close(self) -> None:
        self.document.close()
