"""Values that cross the border between the sandbox child and the process that holds the models."""

from __future__ import annotations

import msgspec
import numpy as np
import numpy.typing as npt

from docfleet.domain.page_facts import PageFacts
from docfleet.domain.text_layer import TextLayer
from docfleet.errors import DocumentError


class SandboxLimits(msgspec.Struct, frozen=True):
    memory_bytes: int = 1_500_000_000
    """Address space of the child beyond what it has right after start."""
    page_seconds: float = 30.0
    """Wall clock and CPU time of one page's request."""
    open_seconds: float = 60.0
    """Wall clock and CPU time of opening (and repairing) a document."""
    max_page_pixels: int = 100_000_000
    max_pages: int = 10_000
    recycle_requests: int = 2_000
    """A fresh child after this many requests."""
    recycle_memory_bytes: int = 700_000_000
    """A fresh child once its resident memory stays above this between documents."""


class Opened(msgspec.Struct, frozen=True):
    """What preflight found."""

    mime_type: str
    pages: int
    encrypted: bool = False
    """A password (or the empty one) was needed."""
    repaired: bool = False
    """The file was damaged; what is read is the repaired copy."""
    password: str | None = None
    """The one of those given that opens it; None when none is needed, or the empty one."""


class Rendered(msgspec.Struct, frozen=True):
    pixels: npt.NDArray[np.uint8]
    """(height, width) grey or (height, width, 3) RGB."""
    dpi: float


class PageBundle(msgspec.Struct, frozen=True):
    """Everything one request brings back about a page."""

    number: int
    facts: PageFacts
    text: TextLayer | None = None
    image: Rendered | None = None


class PageFault(msgspec.Struct, frozen=True):
    """What a page that cannot be read brings back instead of a bundle."""

    number: int
    error: DocumentError


class ArchiveLimits(msgspec.Struct, frozen=True):
    max_files: int = 10_000
    """Entries in all, those of archives within the archive counted."""
    max_total_bytes: int = 5_000_000_000
    """Unpacked, all together."""
    max_member_bytes: int = 1_000_000_000
    max_depth: int = 3
    """1: no archives within the archive."""
    max_ratio: float = 300.0
    """Unpacked to packed size of any one member larger than a megabyte; deflate ends at 1032."""
    seconds: float = 300.0


class ArchiveMember(msgspec.Struct, frozen=True):
    """One file of an archive: unpacked to `path`, or refused with an error."""

    name: str
    """As in the archive; a file of an archive within the archive as "inner.zip/a.pdf"."""
    path: str | None = None
    """Where it was written; None when refused."""
    size: int = 0
    """Bytes written."""
    error: DocumentError | None = None
