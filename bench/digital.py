"""Digital pages: text, layout and Document AI JSON against pypdfium2 giving the same pages' characters with boxes.

Both sides run on one core each in turn, over the same pages. docfleet's side is the whole of it: the sandbox child that
parses, the words, the layout and the JSON; CPU seconds of both processes are counted.
"""

from __future__ import annotations

import io
import os
import time
from pathlib import Path

import psutil
import pypdfium2

from bench.corpora import digital_pdfs
from bench.table import Row
from docfleet.documentai_format import DocumentWriter
from docfleet.domain.cascade import CascadePolicy, Route
from docfleet.pipeline.recognise import ReadingPlan, read_pages
from docfleet.sandbox import Sandbox

TARGET = 3.0


def rows(quick: bool) -> list[Row]:
    """One row: the ratio of CPU seconds, over documents whose pages have a text layer."""
    files = digital_pdfs()[:: 6 if quick else 1]
    ours = peers = 0.0
    pages = characters = 0
    with Sandbox() as sandbox:
        sandbox.open(files[0], "application/pdf")
        for path in files:
            with path.open("rb") as file:
                data = file.read()
            spent, read = _pdfium(data)
            mine, count = _docfleet(sandbox, path)
            ours, peers, pages, characters = ours + mine, peers + spent, pages + count, characters + read
    ratio = ours / peers
    return [
        Row(
            f"digital pages: text, layout, JSON ({pages} pages, {characters // max(pages, 1)} characters each)",
            f"{1000 * ours / pages:.1f} ms CPU a page",
            f"pypdfium2, characters with boxes: {1000 * peers / pages:.1f} ms; ratio {ratio:.2f}",
            f"ratio <= {TARGET:.0f}",
            ratio <= TARGET,
        )
    ]


def _pdfium(data: bytes) -> tuple[float, int]:
    """CPU seconds and characters of pypdfium2's own interface: the page's text at once, then a box a character."""
    started = time.process_time()
    characters = 0
    document = pypdfium2.PdfDocument(data)
    for page in document:
        text = page.get_textpage()
        text.get_text_range()
        for index in range(text.count_chars()):
            text.get_charbox(index)
            characters += 1
        text.close()
        page.close()
    document.close()
    return time.process_time() - started, characters


def _docfleet(sandbox: Sandbox, path: Path) -> tuple[float, int]:
    """CPU seconds of this process and of the sandbox child, and pages."""
    before = _cpu(sandbox)
    opened = sandbox.open(path, "application/pdf")
    plan = ReadingPlan(_no_engine, CascadePolicy(force=Route.TEXT_LAYER))
    writer = DocumentWriter(io.BytesIO(), mime_type="application/pdf")
    for page in read_pages(sandbox, plan, range(1, opened.pages + 1)):
        writer.page(page.text, page.page)
    writer.close()
    return _cpu(sandbox) - before, opened.pages


def _no_engine() -> object:
    raise AssertionError("text layers only")


def _cpu(sandbox: Sandbox) -> float:
    assert sandbox.child_pid is not None
    return sum(_spent(pid) for pid in (os.getpid(), sandbox.child_pid))


def _spent(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)
