"""Builds the message of a call. Google's package is loaded at the first one."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any

from docfleet.engines.documentai.calls import Call, Endpoint
from docfleet.engines.documentai.facts import Facts
from docfleet.engines.documentai.options import PAGE_FIELDS, PREMIUM, DocumentAIOptions


def process_request(endpoint: Endpoint, call: Call, options: DocumentAIOptions, facts: Facts) -> Any:
    """The raw `ProcessRequest`: the file, the pages of it, how to read them, and an answer without page images."""
    known = facts.processor(endpoint.kind)
    request = _types().ProcessRequest.pb()()
    request.name = endpoint.name
    request.skip_human_review = True
    request.raw_document.content = call.content
    request.raw_document.mime_type = call.mime_type
    request.imageless_mode = options.imageless
    request.field_mask.paths.extend(PAGE_FIELDS)
    if call.selection is not None:
        select(request.process_options, call.selection.first, call.selection.last)
    if known.ocr_config:
        fill_ocr_config(request.process_options.ocr_config, options, call.languages)
    return request


def select(process_options: Any, first: int, last: int) -> None:
    """Sets the page range: from the start where it is that, which is what allows twice the pages."""
    if first == 1:
        process_options.from_start = last
    else:
        process_options.individual_page_selector.pages.extend(range(first, last + 1))


def fill_ocr_config(config: Any, options: DocumentAIOptions, languages: tuple[str, ...] = ()) -> None:
    config.enable_native_pdf_parsing = options.native_pdf
    config.enable_image_quality_scores = options.quality_scores
    config.enable_symbol = options.symbols
    config.hints.language_hints.extend(languages)
    for feature in options.premium:
        setattr(config.premium_features, PREMIUM[feature], True)


@cache
def _types() -> Any:
    return import_module("google.cloud.documentai_v1")
