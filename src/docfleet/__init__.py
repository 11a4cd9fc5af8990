"""docfleet: PDFs, scans and images into trusted results.

from docfleet import process_document
document = process_document("invoice.pdf")
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from docfleet.domain.document import Document as Document
    from docfleet.single import process_document as process_document

__version__ = "0.1.0"
__all__ = ["Document", "__version__", "process_document"]

# Looked up on first use: the sandbox child and every command import this package, and few of them need the rest.
_LAZY = {"process_document": "docfleet.single", "Document": "docfleet.domain.document"}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'docfleet' has no attribute {name!r}")
