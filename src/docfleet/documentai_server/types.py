"""Types of processors: what docfleet answers for each, and the versions it lists."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from docfleet.documentai_format import Version
from docfleet.engines.documentai.facts import Facts


class Work(StrEnum):
    """What a processor does here."""

    OCR = "ocr"
    """Text, blocks, paragraphs, lines and tokens."""
    FORM = "form"
    """The same with tables and form fields."""
    INVOICE = "invoice"
    """The same as FORM, with the entities of an invoice."""
    RECEIPT = "receipt"
    """The same as FORM, with the entities of an expense."""
    ENTITIES = "entities"
    """The same as FORM. Nothing here extracts entities of such documents, and the document's `error` says so."""
    LAYOUT = "layout"
    """A tree of blocks, and chunks of it."""


class TypeFacts(msgspec.Struct, frozen=True):
    category: str
    """As the service lists it."""
    versions: tuple[str, ...]
    """The first is the default one."""
    work: Work


_GENERAL = {
    "OCR_PROCESSOR": TypeFacts(
        "GENERAL", ("pretrained-ocr-v2.1-2024-08-07", "pretrained-ocr-v2.0-2023-06-02"), Work.OCR
    ),
    "FORM_PARSER_PROCESSOR": TypeFacts(
        "GENERAL", ("pretrained-form-parser-v2.0-2022-11-10", "pretrained-form-parser-v1.0-2020-09-23"), Work.FORM
    ),
    "LAYOUT_PARSER_PROCESSOR": TypeFacts("GENERAL", ("pretrained-layout-parser-v1.0-2024-06-03",), Work.LAYOUT),
    "INVOICE_PROCESSOR": TypeFacts("SPECIALIZED", ("pretrained-invoice-v2.0-2023-12-06",), Work.INVOICE),
    "EXPENSE_PROCESSOR": TypeFacts("SPECIALIZED", ("pretrained-expense-v1.4.2-2024-09-12",), Work.RECEIPT),
}
BUILT_IN = {
    "ocr": "OCR_PROCESSOR",
    "form": "FORM_PARSER_PROCESSOR",
    "layout": "LAYOUT_PARSER_PROCESSOR",
    "invoice": "INVOICE_PROCESSOR",
}
"""Processors that are there without being made, in every project and location: id -> type."""


def known_types(facts: Facts) -> dict[str, TypeFacts]:
    """Every type there are limits for, by its name."""
    return {kind: _GENERAL.get(kind) or _specialised(kind) for kind in facts.processors}


def _specialised(kind: str) -> TypeFacts:
    slug = kind.removesuffix("_PROCESSOR").lower().replace("_", "-")
    category = "CUSTOM" if kind.startswith("CUSTOM_") else "SPECIALIZED"
    return TypeFacts(category, (f"pretrained-{slug}-v1.0",), Work.ENTITIES)


def spelling_of(version: str) -> Version:
    """By which conventions responses of a processor version are written; see `documentai_format.as_google`."""
    return "v1" if "-v1." in version else "v2"


def is_version(version: str, kind: TypeFacts) -> bool:
    """Whether a processor of this type answers for `version`: one that is listed, an alias, or another one by the same
    name, since callers pin versions that come and go."""
    stem = kind.versions[0].rpartition("-v")[0] + "-v"
    return version in kind.versions or version in ALIASES or version.startswith(stem)


ALIASES = ("stable", "rc")
"""Both stand for the default version of the type."""
