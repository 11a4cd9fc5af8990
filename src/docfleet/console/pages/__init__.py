"""The pages, each in a module of its own that registers itself when it is loaded."""

from __future__ import annotations

import importlib
import importlib.util

MODULES = (
    "overview",
    "documents",
    "document",
    "batches",
    "batch",
    "dead_letters",
    "fleet",
    "quotas",
    "costs",
    "reports",
    "access",
)


def load() -> None:
    """Imports those that exist."""
    for name in MODULES:
        module = f"{__name__}.{name}"
        if importlib.util.find_spec(module) is not None:
            importlib.import_module(module)
