"""Tesseract as an engine: its program, run once a page on one thread, its table of words read back.

The program is a child process of its own, so its memory and its crashes are not ours. A page is read as it lies; only
when that reads poorly is the direction of its text asked for, and the surer of the two readings kept.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import cv2
import msgspec
import numpy as np
import numpy.typing as npt

from docfleet.domain.geometry import Frame
from docfleet.domain.words import Word, WordPage
from docfleet.engines.base import Capabilities, PageImage, RecognisedPage
from docfleet.engines.local.tesseract_languages import choose_languages, spoken
from docfleet.errors import EngineFailed, EngineUnavailable, UsageError

Pixels = npt.NDArray[np.uint8]

_INSTALL = (
    "Install Tesseract with the languages you need (Debian: apt-get install tesseract-ocr tesseract-ocr-deu, "
    "macOS: brew install tesseract tesseract-lang), or name its program in the option `program`."
)
_SMALLEST_SIDE = 8
"""Pixels; below this no letter fits, and the program refuses or wastes time."""
_LARGEST_SIDE = 32_000
"""Pixels; the program takes at most 32,767."""
_NOISE_WORDS = 5
_NOISE_CONFIDENCE = 0.45
"""Mean confidence below which a page is taken to be read the wrong way up, or to hold no text. On seven receipts and
forms: .66 to .82 as they should lie, .20 and .33 upside down where the direction was not found."""
_WORD_LEVEL = "5"
_ORIENTATION = re.compile(r"Orientation in degrees: (0|90|180|270)\b")


class TesseractOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `engine` takes."""

    program: str = "tesseract"
    page_seconds: float = 60.0
    """Wall clock of one run of the program."""
    languages: tuple[str, ...] = ()
    """BCP 47 tags read where a page brings no hint of its own; empty: English where installed, else the first."""
    sure_enough: float = 0.6
    """Mean confidence from which a page is taken to lie upright without asking for its direction."""


def engine(options: Mapping[str, Any] | None = None) -> TesseractEngine:
    """The engine. Raises `UsageError` for wrong options, `EngineUnavailable` without the program or any language."""
    try:
        parsed = msgspec.convert(dict(options or {}), TesseractOptions)
    except msgspec.ValidationError as problem:
        raise UsageError(f"Wrong options for the tesseract engine: {problem}.") from problem
    return TesseractEngine(parsed)


class Reading(NamedTuple):
    """What one run of the program found, in pixels of the image it was given."""

    rows: list[tuple[str, float, int, int, int, int, int]]
    """text, confidence, line number, left, top, width, height"""

    @property
    def sureness(self) -> float:
        """Sum of the characters' confidences above a coin's: letters made out of noise do not add up."""
        return sum(len(row[0]) * (row[1] - 0.5) for row in self.rows)

    @property
    def confidence(self) -> float:
        """Mean over characters; 0 without any."""
        characters = sum(len(row[0]) for row in self.rows)
        return sum(len(row[0]) * row[1] for row in self.rows) / characters if characters else 0.0

    @property
    def stands(self) -> bool:
        """Most words are taller than wide. The program reads columns of standing text by itself, but boxes and lines
        belong into the frame in which the text lies."""
        long = [row for row in self.rows if len(row[0]) >= 4]
        return sum(row[6] > row[5] for row in long) > len(long) / 2


class TesseractEngine:
    """See the module. One program run at a time; thread-safe, since it keeps nothing between pages."""

    def __init__(self, options: TesseractOptions) -> None:
        self._options = options
        program = shutil.which(options.program)
        if program is None:
            raise EngineUnavailable(f"The program {options.program!r} was not found. {_INSTALL}")
        self._program = program
        self._version = _version_in(self._ask(["--version"]))
        listed = self._ask(["--list-langs"]).split("\n")[1:]
        self._installed = frozenset(line.strip() for line in listed if line.strip())
        if not self._installed - {"osd", "equ"}:
            raise EngineUnavailable(f"Tesseract has no language installed. {_INSTALL}")

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(
            name="tesseract",
            version=self._version,
            languages=spoken(self._installed),
            max_pages_per_call=1,
            finds_orientation="osd" in self._installed,
        )

    def recognise(self, pages: Sequence[PageImage]) -> list[RecognisedPage]:
        """One answer a page; see `Engine`."""
        return [self._answer(page) for page in pages]

    def close(self) -> None:
        """Nothing to free: the program ends with each page."""

    def _answer(self, page: PageImage) -> RecognisedPage:
        start = time.perf_counter()
        image, dpi = _square_image(page)
        degrees, reading = 0, Reading([])
        if min(image.shape[:2]) >= _SMALLEST_SIDE and int(image.min()) != int(image.max()):
            degrees, reading = self._read_upright(page, image, dpi)
        return RecognisedPage(words=_word_page(page, image, degrees, reading), seconds=time.perf_counter() - start)

    def _read_upright(self, page: PageImage, image: Pixels, dpi: int) -> tuple[int, Reading]:
        """How far the text is turned clockwise, and what it says."""
        languages = choose_languages(page.languages or self._options.languages, self._installed)
        flat = self._read(page, image, dpi, languages)
        if (flat.confidence >= self._options.sure_enough and not flat.stands) or "osd" not in self._installed:
            return 0, flat
        turns = turns_to_try(flat, self._find_orientation(page, image, dpi))
        readings = [(turn, self._read(page, np.rot90(image, turn // 90), dpi, languages)) for turn in turns]
        return choose_reading(flat, readings)

    def _read(self, page: PageImage, image: Pixels, dpi: int, languages: str) -> Reading:
        run = self._run(page, ["stdin", "stdout", "--dpi", str(dpi), "-l", languages, "--psm", "3", "tsv"], image)
        if run.returncode:
            raise EngineFailed(
                f"Tesseract failed on page {page.number} with status {run.returncode}: {_last_line(run.stderr)}"
            )
        try:
            return parse_table(run.stdout.decode("utf-8", "replace"))
        except ValueError as problem:
            raise EngineFailed(f"Tesseract answered page {page.number} with a table that is none.") from problem

    def _find_orientation(self, page: PageImage, image: Pixels, dpi: int) -> int:
        """Degrees the text is turned clockwise; 0 too where there is too little text to say: the program then fails."""
        run = self._run(page, ["stdin", "stdout", "--dpi", str(dpi), "-l", "osd", "--psm", "0"], image)
        found = _ORIENTATION.search(run.stdout.decode("utf-8", "replace"))
        return int(found[1]) if found and run.returncode == 0 else 0

    def _run(self, page: PageImage, arguments: list[str], image: Pixels) -> subprocess.CompletedProcess[bytes]:
        try:
            return subprocess.run(
                [self._program, *arguments],
                input=_portable_image(image),
                capture_output=True,
                timeout=self._options.page_seconds,
                env=_environment(),
                check=False,
            )
        except subprocess.TimeoutExpired as late:
            raise EngineFailed(
                f"Tesseract did not finish page {page.number} within {self._options.page_seconds:g} s."
            ) from late
        except OSError as problem:
            raise EngineFailed(f"Tesseract could not be run on page {page.number}: {problem.strerror}.") from problem

    def _ask(self, arguments: list[str]) -> str:
        try:
            run = subprocess.run(
                [self._program, *arguments],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=self._options.page_seconds,
                env=_environment(),
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as problem:
            raise EngineUnavailable(f"The program {self._program} does not answer. {_INSTALL}") from problem
        if run.returncode:
            raise EngineUnavailable(f"The program {self._program} does not work: {_last_line(run.stderr)} {_INSTALL}")
        return (run.stdout or run.stderr).decode("utf-8", "replace")


def turns_to_try(flat: Reading, found: int) -> tuple[int, ...]:
    """Degrees worth a reading of their own, after the page was read poorly as it lies and `found` was said of it.

    The program's own word on the direction is taken; where it sees none but the page reads as noise, or stands, the
    other directions are tried.
    """
    if found:
        return (found,)
    if flat.stands:
        return (90, 270)
    return (90, 180, 270) if len(flat.rows) >= _NOISE_WORDS and flat.confidence < _NOISE_CONFIDENCE else ()


def choose_reading(flat: Reading, turned: Sequence[tuple[int, Reading]]) -> tuple[int, Reading]:
    """Which way up a page is: (0, `flat`) as it lies, or the surest of `turned`, pairs of degrees and reading.

    Standing text counts half: the program reads it nearly as well by itself, but it lies in another frame.
    """
    best = max(turned, key=lambda pair: (_weight(pair[1]), -pair[0]), default=(0, flat))
    return best if _weight(best[1]) > max(_weight(flat), 0.0) else (0, flat)


def _weight(reading: Reading) -> float:
    return reading.sureness / 2 if reading.stands else reading.sureness


def parse_table(table: str) -> Reading:
    """The words of the program's TSV output; rows of blocks, paragraphs and lines, and blank words, are left out.

    Raises ValueError for a word whose numbers are none.
    """
    rows: list[tuple[str, float, int, int, int, int, int]] = []
    lines: dict[tuple[str, str, str], int] = {}
    for row in table.split("\n"):
        cells = row.rstrip("\r").split("\t", 11)
        if len(cells) < 12 or cells[0] != _WORD_LEVEL:
            continue
        line = lines.setdefault((cells[2], cells[3], cells[4]), len(lines))
        left, top, width, height = (int(cell) for cell in cells[6:10])
        confidence = min(max(float(cells[10]) / 100, 0.0), 1.0)
        rows += [(text, confidence, line, left, top, width, height) for text in cells[11].split()]
    return Reading(rows)


def _word_page(page: PageImage, image: Pixels, degrees: int, reading: Reading) -> WordPage:
    """Pixels of the upright image into page units of the upright frame."""
    frame = Frame.turned(page.width, page.height, degrees)
    height, width = image.shape[:2] if degrees in (0, 180) else image.shape[1::-1]
    across, down = frame.width / width, frame.height / height
    words = []
    for text, confidence, line, left, top, wide, high in reading.rows:
        x0, y0 = max(left * across, 0.0), max(top * down, 0.0)
        x1, y1 = min((left + wide) * across, frame.width), min((top + high) * down, frame.height)
        words.append(Word(text, (min(x0, x1), min(y0, y1), x1, y1), confidence, line, ocr=True))
    return WordPage(page.width, page.height, frame, words, orientation=degrees)


def _square_image(page: PageImage) -> tuple[Pixels, int]:
    """The page's pixels made square (a fax has twice as many across as down) and small enough, and their resolution."""
    height, width = page.pixels.shape[:2]
    stretch = (page.height / height) / (page.width / width) if page.width > 0 and page.height > 0 else 1.0
    wide, high = float(width), float(height)
    if stretch > 1.15:
        high = height * stretch
    elif stretch < 1 / 1.15:
        wide = width / stretch
    shrink = min(1.0, _LARGEST_SIDE / max(wide, high))
    size = (max(1, round(wide * shrink)), max(1, round(high * shrink)))
    image = np.ascontiguousarray(page.pixels)
    if size != (width, height):
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA if shrink < 1 else cv2.INTER_LINEAR))
        image = image.astype(np.uint8, copy=False)
    return image, round(min(max(page.dpi * size[0] / width, 70), 2400)) if page.dpi > 0 else 300


def _portable_image(image: Pixels) -> bytes:
    """Netpbm: a header and the raw samples, so that nothing is spent on compressing."""
    kind = b"P5" if image.ndim == 2 else b"P6"
    return b"%s\n%d %d\n255\n" % (kind, image.shape[1], image.shape[0]) + np.ascontiguousarray(image).tobytes()


def _environment() -> dict[str, str]:
    """One thread a run: docfleet runs one process a core, and the program's own threads cost more than they bring."""
    return {**os.environ, "OMP_THREAD_LIMIT": "1", "LC_ALL": "C"}


def _version_in(answer: str) -> str:
    found = re.search(r"tesseract\s+v?(\S+)", answer)
    return found[1] if found else "unknown"


def _last_line(stderr: bytes) -> str:
    lines = stderr.decode("utf-8", "replace").strip().splitlines()
    return lines[-1][:200] if lines else "it said nothing."
