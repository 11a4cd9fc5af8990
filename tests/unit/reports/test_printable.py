"""Text from outside, made fit for print."""

from __future__ import annotations

import unicodedata

import pytest
import typst
from hypothesis import given
from hypothesis import strategies as st

from docfleet.reports.printable import DRAWABLE, breakable, fit_name, printable, shorten, shorten_middle, words


def test_every_drawable_character_can_be_set_as_pdf_a_in_both_families() -> None:
    characters = [chr(code) for first, last in DRAWABLE for code in range(first, last + 1)]
    source = (
        '#set document(title: "t")\n#set text(lang: "en", size: 4pt)\n'
        '#text(font: ("Libertinus Serif", "DejaVu Sans Mono"), sys.inputs.c)\n'
        '#text(font: ("DejaVu Sans Mono", "Libertinus Serif"), sys.inputs.c)\n'
    )
    pdf = typst.Compiler(ignore_system_fonts=True).compile(
        input=source.encode(),
        format="pdf",
        sys_inputs={"c": " ".join(characters)},
        pdf_standards=["a-2a", "ua-1"],
        timestamp=0,
    )
    assert isinstance(pdf, bytes)
    assert len(characters) > 2500


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain.pdf", "plain.pdf"),
        ("a\nb\tc", "a b c"),
        ("a\x00b\x1b[31m", "a▯b▯[31m"),
        ("evil\u202efdp.exe", "evilfdp.exe"),
        ("e\u0301te\u0301", "été"),
        ("漢字.pdf", "▯▯.pdf"),
        ("\U0001f600", "▯"),
        ("\udcff", "▯"),
        ("z\u0335\u0336", "z"),
        ("\u0301", ""),
        ("#panic[*x*] $a$", "#panic[*x*] $a$"),
        ("  two   words ", "two words"),
    ],
)
def test_printable(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text(st.characters(exclude_categories=())))
def test_printable_settles_at_once_and_holds_only_drawable_characters(text: str) -> None:
    shown = printable(text)
    assert printable(shown) == shown
    assert all(any(first <= ord(c) <= last for first, last in DRAWABLE) for c in shown)
    assert not any(unicodedata.category(c).startswith("M") for c in shown)


@given(st.text(), st.integers(3, 60))
def test_no_name_is_longer_than_its_column(name: str, limit: int) -> None:
    assert len(fit_name(name, limit)) <= limit
    assert len(shorten(name, limit)) <= limit


def test_a_long_name_keeps_its_start_and_its_ending() -> None:
    short = shorten_middle("a" * 300 + "-final.pdf", 42)
    assert len(short) == 42
    assert short.startswith("aaaa")
    assert short.endswith("-final.pdf")
    assert "…" in short


def test_a_long_run_can_break_and_short_words_are_left_alone() -> None:
    assert breakable("x" * 45).split("\u200b") == ["x" * 20, "x" * 20, "x" * 5]
    assert breakable("short words only") == "short words only"


def test_codes_read_as_words() -> None:
    assert words("password_required") == "Password required"
    assert words("") == ""
