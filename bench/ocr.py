"""Local OCR against Tesseract 5 and RapidOCR as shipped: CPU seconds a page, character and word error, word F1.

    python -m bench.ocr [--pages 12] [--sets receipts,forms,ocr_pages] [--without-rapidocr] [--precision fp32]

All engines read the same page one after the other, so that a busy machine troubles all alike; each reads one page
before the clock starts (Tesseract is a program and pays its start on every page, as its users do). Figures are CPU
seconds, not wall time. Text is normalised as in tests/scoring.py (NFKC, plain quotes and dashes, single spaces), and
receipts without regard to case, since their truth is all capitals. Error rates are edits over the truth's characters
or words, all pages of a set together: on receipts and forms over words in rows from the top down, for the truth and
for every engine alike; on ocr_pages, whose truth is in reading order, over each engine's own order (docfleet's comes
from its layout). Word F1 compares multisets of words of a whole set and knows no order.
"""

from __future__ import annotations

import argparse
import csv
import io
import os
import resource
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from bench.corpora import ROOT
from bench.fixed_folder import Scan, form_scans, in_rows, page_scans, receipt_scans
from bench.table import Row, as_text
from docfleet.engines.base import Engine, PageImage
from docfleet.engines.local.layout import lay_out
from docfleet.engines.local.rapid import engine as docfleet_engine

sys.path.insert(0, str(ROOT / "tests"))
from scoring import edit_distance, normalise  # type: ignore[import-not-found, unused-ignore]

SETS: dict[str, Callable[[], list[Scan]]] = {"receipts": receipt_scans, "forms": form_scans, "ocr_pages": page_scans}
Placed = list[tuple[str, tuple[float, float, float, float]]]


@dataclass(frozen=True)
class Reading:
    placed: Placed
    """Words or lines with their boxes, in the engine's order."""
    text: str
    """In the engine's own reading order."""
    cpu_seconds: float


Reader = Callable[[Scan], Reading]


@dataclass
class Score:
    """Sums over the pages of a set."""

    pages: int = 0
    cpu_seconds: float = 0.0
    edits: int = 0
    characters: int = 0
    word_edits: int = 0
    words: int = 0
    common: int = 0
    read: int = 0

    def add(self, truth: str, ordered: str, cpu_seconds: float) -> None:
        self.pages += 1
        self.cpu_seconds += cpu_seconds
        self.edits += edit_distance(truth, ordered)
        self.characters += len(truth)
        expected, found = truth.split(), ordered.split()
        self.word_edits += edit_distance(expected, found)
        self.words += len(expected)
        self.read += len(found)
        self.common += sum((Counter(expected) & Counter(found)).values())

    @property
    def cpu(self) -> float:
        return self.cpu_seconds / max(1, self.pages)

    @property
    def cer(self) -> float:
        return self.edits / max(1, self.characters)

    @property
    def wer(self) -> float:
        return self.word_edits / max(1, self.words)

    @property
    def f1(self) -> float:
        return 2 * self.common / max(1, self.read + self.words)

    def __str__(self) -> str:
        return f"{self.cpu:.2f} s, CER {self.cer:.3f}, WER {self.wer:.3f}, F1 {self.f1:.3f}"


def pixels_of(path: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Grey or RGB, transparency on white."""
    with Image.open(path) as image:
        if image.mode in ("RGBA", "LA", "P"):
            ground = Image.new("RGBA", image.size, "white")
            ground.alpha_composite(image.convert("RGBA"))
            return np.asarray(ground.convert("RGB"))
        return np.asarray(image.convert("L" if image.mode in ("1", "L") else "RGB"))


def docfleet_reader(engine: Engine) -> Reader:
    def read(scan: Scan) -> Reading:
        pixels = pixels_of(scan.path)
        page = PageImage(1, pixels, 150, pixels.shape[1], pixels.shape[0])
        start = time.process_time()
        found = engine.recognise([page])[0].words
        spent = time.process_time() - start
        assert found is not None
        return Reading([(word.text, word.box) for word in found.words], lay_out(found, 1, "pixels")[0], spent)

    return read


def tesseract_reader() -> Reader:
    def read(scan: Scan) -> Reading:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = ["tesseract", str(scan.path), "-", "-l", "eng", "tsv"]
        env = {**os.environ, "OMP_THREAD_LIMIT": "1"}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        placed: Placed = []
        for row in csv.DictReader(io.StringIO(done.stdout), delimiter="\t", quoting=csv.QUOTE_NONE):
            if row["level"] == "5" and row["text"].strip():
                x, y, width, height = (float(row[name]) for name in ("left", "top", "width", "height"))
                placed.append((row["text"], (x, y, x + width, y + height)))
        spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return Reading(placed, " ".join(text for text, _ in placed), spent)

    return read


def rapidocr_reader() -> Reader:
    from rapidocr import RapidOCR

    shipped = RapidOCR(params={"Global.log_level": "error"})

    def read(scan: Scan) -> Reading:
        start = time.process_time()
        found = shipped(str(scan.path))
        spent = time.process_time() - start
        placed: Placed = []
        if found.txts is not None:
            for box, text in zip(found.boxes, found.txts, strict=True):
                x, y = box[:, 0], box[:, 1]
                placed.append((text, (float(x.min()), float(y.min()), float(x.max()), float(y.max()))))
        return Reading(placed, " ".join(text for text, _ in placed), spent)

    return read


def measure(name: str, scans: Sequence[Scan], readers: dict[str, Reader]) -> dict[str, Score]:
    """All readers over all scans of the set `name`."""
    scores = {reader: Score() for reader in readers}
    for read in readers.values():
        read(scans[0])

    def folded(text: str) -> str:
        plain: str = normalise(text)
        return plain.casefold() if name == "receipts" else plain

    for scan in scans:
        for reader, read in readers.items():
            reading = read(scan)
            ordered = reading.text if name == "ocr_pages" else in_rows(reading.placed)
            scores[reader].add(folded(scan.text), folded(ordered), reading.cpu_seconds)
    return scores


def as_rows(name: str, scores: dict[str, Score]) -> list[Row]:
    own, tesseract = scores["docfleet"], scores.get("Tesseract 5")
    shipped = scores.get("RapidOCR as shipped")
    rows = []
    if tesseract is not None:
        better = own.cer < tesseract.cer and own.wer < tesseract.wer
        rows.append(Row(f"OCR, {name}: error", str(own), f"Tesseract 5: {tesseract}", "CER, WER lower", better))
        cheap = own.cpu <= 2 * tesseract.cpu
        rows.append(
            Row(f"OCR, {name}: CPU a page", f"{own.cpu:.2f} s", f"{tesseract.cpu:.2f} s", "at most 2x, goal 1x", cheap)
        )
    if shipped is not None:
        close = own.f1 >= shipped.f1 - 0.01
        rows.append(Row(f"OCR, {name}: word F1", f"{own.f1:.3f}", f"RapidOCR as shipped: {shipped}", ">= -.01", close))
    return rows


def table(
    pages: int, sets: Sequence[str], with_shipped: bool = True, precision: str = "auto", with_tesseract: bool = True
) -> list[Row]:
    engine = docfleet_engine({"precision": precision})
    readers: dict[str, Reader] = {"docfleet": docfleet_reader(engine)}
    rows = []
    if not with_tesseract:
        pass
    elif shutil.which("tesseract"):
        readers["Tesseract 5"] = tesseract_reader()
    else:
        rows.append(Row("OCR against Tesseract", "", "missing: apt-get install tesseract-ocr", "", None))
    if with_shipped:
        readers["RapidOCR as shipped"] = rapidocr_reader()
    rows.append(Row("OCR runtime and arithmetic", engine.runtime_name, "", "", None))
    for name in sets:
        scans = SETS[name]()
        scans = scans[:: max(1, len(scans) // pages)][:pages] if pages else scans
        rows.extend(as_rows(f"{name}, {len(scans)} pages", measure(name, scans, readers)))
    engine.close()
    return rows


SHIPPED_PAGES = 6
"""Of each set, in the one table: RapidOCR as shipped takes several times as long as all others together."""


def rows(quick: bool) -> list[Row]:
    """Every page against Tesseract; six of each set against RapidOCR as shipped (`python -m bench.ocr`: all)."""
    sets = list(SETS)
    if quick:
        return table(6, sets)
    return table(0, sets, with_shipped=False) + table(SHIPPED_PAGES, sets, with_tesseract=False)[1:]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pages", type=int, default=0, help="at most this many of each set; 0: all")
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--without-rapidocr", action="store_true")
    parser.add_argument("--precision", default="auto", choices=["auto", "int8", "bf16", "fp32"])
    options = parser.parse_args()
    print(as_text(table(options.pages, options.sets.split(","), not options.without_rapidocr, options.precision)))


if __name__ == "__main__":
    main()
