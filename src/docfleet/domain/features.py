"""What can be found in a document beside its text. Each costs time, and each may be left out."""

from __future__ import annotations

from enum import StrEnum


class Feature(StrEnum):
    TABLES = "tables"
    """Tables with their rows and cells; without, what stands in them is read as text."""
    IMAGE_QUALITY = "image_quality"
    """How good the image of a page is, and what is wrong with it."""
    LANGUAGE_DETECTION = "language_detection"
    """Languages of each page and of its paragraphs."""


ALL_FEATURES = tuple(sorted(Feature))
NO_FEATURE = "none"
"""How a user says that the text is enough."""
