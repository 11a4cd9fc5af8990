"""Text layers that do not say what the page shows are found out; odd but honest ones are not."""

from __future__ import annotations

import random
import string
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec
import pytest
from sandbox_documents import stream, write_pdf

from docfleet.domain.cascade import Choice, Reason, Route, choose
from docfleet.sandbox import PageBundle, Sandbox

ENGLISH = (
    "The confirmed order decides what is delivered. Weights and measures in our catalogue are average values. Paper is "
    "a natural product, and small differences of shade between two makings cannot be avoided. Sheets are packed on "
    "pallets and wrapped against damp. Pallets of the standard size remain our property and are collected later."
)
PRINTABLE = range(33, 127)


class Text(msgspec.Struct, frozen=True):
    """A paragraph in Helvetica; `meaning` is what its ToUnicode table makes of some of its codes."""

    shown: str
    meaning: Mapping[int, str] | None = None
    y: float = 740
    colour: str = "0 g"
    mode: int = 0


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as made:
        yield made


def choice_for(sandbox: Sandbox, path: Path, texts: Sequence[Text], under: str = "") -> Choice:
    """How a page of these paragraphs, painted over `under`, is read."""
    objects = [b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Count 1 /Kids [3 0 R] >>", b"", b""]
    content, fonts = [under], []
    for index, text in enumerate(texts):
        unicode = b""
        if text.meaning is not None:
            objects.append(stream(to_unicode(text.meaning)))
            unicode = b"/ToUnicode %d 0 R" % len(objects)
        objects.append(
            b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding %s >>" % unicode
        )
        fonts.append(b"/F%d %d 0 R" % (index, len(objects)))
        lines = [text.shown[at : at + 80] for at in range(0, len(text.shown), 80)]
        shown = " ".join(f"({line}) Tj T*" for line in lines)
        content.append(f"BT /F{index} 11 Tf {text.mode} Tr {text.colour} 14 TL 40 {text.y} Td {shown} ET")
    objects[2] = (
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R /Resources << /Font << %s >> >> >>"
        % b" ".join(fonts)
    )
    objects[3] = stream("\n".join(content).encode("latin-1"))
    sandbox.open(write_pdf(path, objects), "application/pdf")
    (bundle,) = sandbox.pages([1])
    assert isinstance(bundle, PageBundle)
    return choose(bundle.facts)


def to_unicode(meaning: Mapping[int, str]) -> bytes:
    pairs = "".join(f"<{code:02X}> <{value.encode('utf-16-be').hex()}>\n" for code, value in meaning.items())
    return (
        "/CIDInit /ProcSet findresource begin 12 dict begin begincmap 1 begincodespacerange <00> <FF> "
        f"endcodespacerange {len(meaning)} beginbfchar\n{pairs}endbfchar endcmap end end"
    ).encode()


def shuffled(seed: int) -> dict[int, str]:
    letters = list(string.ascii_lowercase)
    random.Random(seed).shuffle(letters)
    pairs = zip(string.ascii_lowercase + string.ascii_uppercase, letters + [a.upper() for a in letters], strict=True)
    return {ord(code): value for code, value in pairs}


@pytest.mark.parametrize(
    "meaning",
    [
        {code: chr(code + 1) for code in PRINTABLE},
        dict.fromkeys(PRINTABLE, "a"),
        {code: chr(0x2500 + code) for code in PRINTABLE},
        {code: chr(0x4E00 + code * 937 % 20_000) for code in PRINTABLE},
        shuffled(1),
        shuffled(3),
    ],
    ids=["shifted by one", "all one letter", "symbols", "ideographs at random", "shuffled", "shuffled otherwise"],
)
def test_wrong_encodings(sandbox: Sandbox, tmp_path: Path, meaning: Mapping[int, str]) -> None:
    choice = choice_for(sandbox, tmp_path / "a.pdf", [Text(ENGLISH, meaning)])
    assert (choice.route, choice.reason) == (Route.OCR, Reason.IMPLAUSIBLE_TEXT)


def test_an_encoding_of_nothing_but_spaces_is_no_blank_page(sandbox: Sandbox, tmp_path: Path) -> None:
    choice = choice_for(sandbox, tmp_path / "a.pdf", [Text(ENGLISH, dict.fromkeys(PRINTABLE, " "))])
    assert (choice.route, choice.reason) == (Route.OCR, Reason.NO_TEXT)


def test_one_broken_font_among_sound_ones(sandbox: Sandbox, tmp_path: Path) -> None:
    texts = [Text(ENGLISH), Text(ENGLISH[:150], shuffled(1), y=600), Text(ENGLISH + ENGLISH, y=500)]
    choice = choice_for(sandbox, tmp_path / "a.pdf", texts)
    assert (choice.route, choice.reason) == (Route.OCR, Reason.IMPLAUSIBLE_TEXT)


@pytest.mark.parametrize("hidden", [Text(ENGLISH, colour="1 g"), Text(ENGLISH, mode=3)], ids=["white", "invisible"])
def test_text_nobody_can_see(sandbox: Sandbox, tmp_path: Path, hidden: Text) -> None:
    choice = choice_for(sandbox, tmp_path / "a.pdf", [hidden, Text("A word that shows.", y=100)])
    assert (choice.route, choice.reason) == (Route.OCR, Reason.INVISIBLE_TEXT)


def test_white_text_on_dark_ground_is_seen(sandbox: Sandbox, tmp_path: Path) -> None:
    dark = "0.1 0.2 0.5 rg 0 400 612 392 re f"
    assert choice_for(sandbox, tmp_path / "a.pdf", [Text(ENGLISH, colour="1 g")], dark).route is Route.TEXT_LAYER


@pytest.mark.parametrize(
    "codes",
    ["MTuWThF " * 30, "XXXX XXXXX XX XXXX " * 8, "SKU7X hex bolt DIN 912 M8x20 zn pl BCDFG-0042 " * 5],
    ids=["the same code over and over", "placeholders", "part numbers"],
)
def test_codes_in_a_font_of_their_own_are_no_broken_font(sandbox: Sandbox, tmp_path: Path, codes: str) -> None:
    texts = [Text(ENGLISH), Text(codes, y=600), Text(ENGLISH, y=500)]
    assert choice_for(sandbox, tmp_path / "a.pdf", texts).route is Route.TEXT_LAYER
