"""The parts of the Tesseract engine that need no Tesseract, and a program that misbehaves in its place."""

from __future__ import annotations

import stat
from pathlib import Path

import numpy as np
import pytest

from docfleet.engines.base import PageImage
from docfleet.engines.local.tesseract import Reading, choose_reading, engine, parse_table, turns_to_try
from docfleet.engines.local.tesseract_languages import choose_languages, file_of, spoken
from docfleet.errors import EngineFailed, EngineUnavailable

HEADER = "level\tpage_num\tblock_num\tpar_num\tline_num\tword_num\tleft\ttop\twidth\theight\tconf\ttext\n"


@pytest.mark.parametrize(
    ("tag", "file"),
    [
        ("en", "eng"), ("de-AT", "deu"), ("DE_de", "deu"), ("zh", "chi_sim"), ("zh-Hant", "chi_tra"),
        ("zh-Hans-CN", "chi_sim"), ("zh-TW", "chi_tra"), ("sr-Latn-RS", "srp_latn"), ("xx", None), ("", None),
    ],
)  # fmt: skip
def test_language_files(tag: str, file: str | None) -> None:
    assert file_of(tag) == file


@pytest.mark.parametrize(
    ("tags", "installed", "argument"),
    [
        (("de", "en"), {"eng", "deu", "osd"}, "deu+eng"),
        (("de", "de-AT"), {"eng", "deu"}, "deu"),
        (("ja",), {"eng", "osd"}, "eng"),
        ((), {"osd", "fra", "deu"}, "deu"),
        (("de-Latf",), {"frk", "eng"}, "frk"),
    ],
)
def test_only_installed_languages_are_asked_for(tags: tuple[str, ...], installed: set[str], argument: str) -> None:
    assert choose_languages(tags, installed) == argument


def test_installed_files_are_told_as_tags() -> None:
    assert spoken({"eng", "deu", "osd", "chi_tra"}) == {"en", "de", "zh"}
    assert spoken({"osd", "mymodel"}) is None


def test_the_table_becomes_words_with_lines() -> None:
    table = HEADER + (
        "1\t1\t0\t0\t0\t0\t0\t0\t100\t50\t-1\t\n"
        "4\t1\t1\t1\t1\t0\t5\t5\t60\t10\t-1\t\n"
        '5\t1\t1\t1\t1\t1\t5\t5\t20\t10\t96.5\t"quoted\n'
        "5\t1\t1\t1\t1\t2\t30\t5\t20\t10\t101\tand\tmore\n"
        "5\t1\t1\t1\t2\t1\t5\t20\t20\t10\t95.0\t \n"
        "5\t1\t2\t1\t1\t1\t5\t35\t20\t10\t-1\tlast\r\n"
    )
    assert parse_table(table).rows == [
        ('"quoted', 0.965, 0, 5, 5, 20, 10),
        ("and", 1.0, 0, 30, 5, 20, 10),
        ("more", 1.0, 0, 30, 5, 20, 10),
        ("last", 0.0, 2, 5, 35, 20, 10),
    ]
    assert parse_table("") == Reading([])


def reading(text: str, confidence: float, wide: int = 40, high: int = 10) -> Reading:
    return Reading([(word, confidence, 0, 0, 0, wide, high) for word in text.split()])


@pytest.mark.parametrize(
    ("flat", "turned", "degrees"),
    [
        (reading("umop apisdn", 0.4), [(180, reading("upside down", 0.95))], 180),
        (reading("sound text", 0.9), [(180, reading("ixei puos", 0.3))], 0),
        (Reading([]), [(90, Reading([]))], 0),
        (Reading([]), [], 0),
        (reading("nwod", 0.2), [(90, reading("down", 0.9, 10, 40)), (180, reading("down", 0.8))], 180),
        (reading("noise", 0.2), [(90, reading("less noise", 0.4))], 0),
        (
            reading("standing text", 0.95, 10, 40),
            [(90, reading("bad", 0.3)), (270, reading("standing text", 0.9))],
            270,
        ),
        (reading("standing text", 0.95, 10, 40), [(90, reading("bad", 0.3)), (270, reading("bad", 0.3))], 0),
    ],
)
def test_the_surest_reading_is_kept(flat: Reading, turned: list[tuple[int, Reading]], degrees: int) -> None:
    assert choose_reading(flat, turned)[0] == degrees


@pytest.mark.parametrize(
    ("flat", "found", "turns"),
    [
        (reading("umop apisdn", 0.4), 180, (180,)),
        (reading("some text", 0.95, 10, 40), 0, (90, 270)),
        (reading("a page of nothing but noise", 0.3), 0, (90, 180, 270)),
        (reading("a page of rather poor text", 0.55), 0, ()),
        (reading("speck", 0.1), 0, ()),
        (Reading([]), 0, ()),
    ],
)
def test_other_directions_are_tried_only_where_there_is_reason(
    flat: Reading, found: int, turns: tuple[int, ...]
) -> None:
    assert turns_to_try(flat, found) == turns


def program(folder: Path, page: str) -> str:
    """A program that answers as Tesseract does when asked what it is, and runs `page` when given one."""
    path = folder / "tesseract-of-sorts"
    path.write_text(
        "#!/bin/sh\ncase $1 in\n--version) echo 'tesseract 9.9';;\n"
        f"--list-langs) printf 'List\\neng\\n';;\n*) {page};;\nesac\n"
    )
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def one_page() -> PageImage:
    pixels = np.full((40, 40), 255, np.uint8)
    pixels[10:20, 10:30] = 0
    return PageImage(7, pixels, dpi=72, width=40, height=40)


def test_a_missing_program_says_what_to_install() -> None:
    with pytest.raises(EngineUnavailable, match=r"not found.*apt-get install tesseract-ocr"):
        engine({"program": "no-such-tesseract"})


def test_a_program_without_languages_says_so(tmp_path: Path) -> None:
    path = tmp_path / "bare"
    path.write_text("#!/bin/sh\necho List\n")
    path.chmod(0o755)
    with pytest.raises(EngineUnavailable, match="no language"):
        engine({"program": str(path)})


def test_a_program_that_does_not_work_is_unavailable(tmp_path: Path) -> None:
    path = tmp_path / "broken"
    path.write_text("#!/bin/sh\necho 'libfoo.so: not found' >&2; exit 127\n")
    path.chmod(0o755)
    with pytest.raises(EngineUnavailable, match=r"libfoo\.so"):
        engine({"program": str(path)})


def test_a_hang_costs_the_page_only(tmp_path: Path) -> None:
    slow = engine({"program": program(tmp_path, "exec sleep 60"), "page_seconds": 0.5})
    with pytest.raises(EngineFailed, match=r"page 7 within 0\.5 s"):
        slow.recognise([one_page()])


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo 'Out of paper' >&2; exit 3", "status 3: Out of paper"),
        ("kill -9 $$", "status -9"),
        ("exit 1", "it said nothing"),
    ],
)
def test_a_failure_costs_the_page_only(tmp_path: Path, script: str, said: str) -> None:
    broken = engine({"program": program(tmp_path, script)})
    with pytest.raises(EngineFailed, match=said):
        broken.recognise([one_page()])


@pytest.mark.parametrize("output", ["", "\\377\\376", "5\\t1\\t1"])
def test_half_a_table_is_no_words(tmp_path: Path, output: str) -> None:
    odd = engine({"program": program(tmp_path, f"cat >/dev/null; printf '{output}'")})
    (answer,) = odd.recognise([one_page()])
    assert answer.words is not None
    assert answer.words.words == []


def test_a_table_of_nonsense_costs_the_page_only(tmp_path: Path) -> None:
    odd = engine(
        {"program": program(tmp_path, "cat >/dev/null; printf '5\\t1\\t1\\t1\\t1\\t1\\tx\\ty\\t9\\t9\\t9\\tword'")}
    )
    with pytest.raises(EngineFailed, match="page 7"):
        odd.recognise([one_page()])
