"""A cloud engine for tests that answers by itself: what it is asked, and what it says, is told by the test."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import pikepdf

from docfleet.documentai_format import join, to_proto
from docfleet.domain.document import Dimension, Layout, Page, Span, Token
from docfleet.domain.quota import QuotaKey
from docfleet.engines.documentai.calls import Answer, Attempt, Call, Endpoint, Failed, Postponed
from docfleet.engines.documentai.failures import judge

ENDPOINT = Endpoint("eu", "eu", "projects/p/locations/eu/processors/x", "OCR_PROCESSOR", QuotaKey("p", "eu", "OCR"))
Said = Answer | Postponed | Failed
Script = Callable[[Call, list[str]], Said | None]


def page_names(content: bytes) -> list[str]:
    """Each page of a PDF by its size in points: tests tell pages apart by that."""
    with pikepdf.open(io.BytesIO(content)) as pdf:
        return [f"{float(page.mediabox[2]):.0f}x{float(page.mediabox[3]):.0f}" for page in pdf.pages]


def document_of(texts: Sequence[str], confidence: float = 0.97) -> Any:
    """The raw protobuf of a document with these pages, one token each."""
    pages = []
    for number, said in enumerate(texts, 1):
        text = f"{said}\n"
        layout = Layout((Span(0, len(text)),), confidence=confidence)
        pages.append((text, Page(number, Dimension(100, 100, "pixels"), layout, tokens=(Token(layout),))))
    return to_proto(join(pages))


def answered(texts: Sequence[str], pages: int) -> Answer:
    return Answer(document_of(texts), ENDPOINT, "It works.", 0.01, (Attempt(ENDPOINT, pages, 0.01),))


def failed(status: str, message: str = "", billed: bool = False) -> Failed:
    from docfleet.engines.documentai.failures import Details

    failure = judge(status, message, Details(answered=not billed))
    return Failed(failure, (Attempt(ENDPOINT, 1, 0.01, failure),))


class ScriptedCaller:
    """Answers every page with its name, unless `script` says something else."""

    def __init__(self, script: Script | None = None, seconds: float = 0.0) -> None:
        self.script = script
        self.seconds = seconds
        self.calls: list[tuple[Call, list[str]]] = []
        self.under_way = 0
        self.most_under_way = 0
        self._lock = threading.Lock()

    def call(self, call: Call) -> Said:
        names = page_names(call.content)
        assert len(names) == call.pages
        with self._lock:
            self.calls.append((call, names))
            self.under_way += 1
            self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            time.sleep(self.seconds)
            said = self.script(call, names) if self.script is not None else None
            return said if said is not None else answered(names, call.pages)
        finally:
            with self._lock:
                self.under_way -= 1

    def close(self) -> None: ...
