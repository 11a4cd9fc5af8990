"""What is measured on a page before anybody reads it: all that the cascade decides on."""

from __future__ import annotations

import msgspec


class PageFacts(msgspec.Struct, frozen=True):
    """What was measured on a page before anybody read it: all that the cascade decides on."""

    width: float
    height: float
    """Page units: points for PDF, pixels for images (square ones; see `file_pixels`). Rotation applied."""
    is_image: bool = False
    """The page came as pixels (an image file): there is no text layer to weigh."""
    dpi: float = 72.0
    """Images: what the file says or a sane guess. PDF: resolution of the largest image on the page, 0 without one."""
    file_pixels: tuple[int, int] | None = None
    """Width and height in the file's own pixels, where those are not square (a fax of 204 by 98 dots an inch)."""
    characters: int = 0
    """Non-white characters of the text layer."""
    visible_characters: int = 0
    """Those not drawn invisibly (text render mode 3, clipped, white on white, or fully covered by an image)."""
    unmapped_ratio: float = 0.0
    """Share of characters with no or a private Unicode value, or replacement and control characters."""
    plausibility: float = 1.0
    """0..1: how much the text looks like written language; 1 where there is too little to say."""
    broken_ratio: float = 0.0
    """Share of characters set in fonts whose text, taken alone, does not form words, though that of others does."""
    image_coverage: float = 0.0
    """Share of the page covered by raster images, 0..1."""
    path_count: int = 0
    ink_outside_text: float = 0.0
    """Share of the page's ink (dark, glyph-like pixels) outside all character boxes and images, 0..1;
    measured only where images, many paths or next to no characters make it likely, else 0."""
    image_regions: tuple[tuple[float, float, float, float], ...] = ()
    """Rectangles (page units) of raster images that could hold text: large enough, not plain."""
    text_in_images: float = 0.0
    """Share of the area of `image_regions` with text-like ink not covered by text-layer characters, 0..1."""
