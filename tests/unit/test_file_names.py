"""File names of any bytes become text, and back; nothing in them steers a terminal, a spreadsheet or a folder."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docfleet.domain.file_names import is_text, name_as_text, path_of_stored, printable, stored_path
from docfleet.pipeline.intake import RESERVED_NAMES, folder_name
from docfleet.pipeline.outcome import IndexRow, write_index

file_names = st.binary(min_size=1, max_size=60).filter(lambda name: b"/" not in name and b"\0" not in name)


@given(file_names)
def test_any_path_survives_being_stored(name: bytes) -> None:
    path = Path(os.path.abspath(os.fsdecode(b"/in/" + name)))
    stored = stored_path(path)
    assert is_text(stored)
    assert path_of_stored(stored) == path


@given(st.text(st.characters(), max_size=40) | file_names.map(os.fsdecode))
def test_any_name_can_be_shown(name: str) -> None:
    assert is_text(name_as_text(name))
    shown = printable(name)
    assert is_text(shown)
    assert not any(ord(char) < 32 or 0x7F <= ord(char) < 0xA0 or char in "\u202e\u2028" for char in shown)


@given(st.text(st.characters(), max_size=200) | file_names.map(os.fsdecode))
def test_any_name_makes_a_folder_name(name: str) -> None:
    folder = folder_name(name)
    assert 0 < len(folder.encode()) <= 255
    assert folder.casefold() not in RESERVED_NAMES
    assert folder not in (".", "..")
    assert not set(folder) & set('/\\\0\n\r\x1b\x9b\u202e<>:"|?*')


def test_bytes_that_are_no_text_are_spelled_out() -> None:
    assert name_as_text(os.fsdecode(b"caf\xe9.pdf")) == "caf\\xe9.pdf"
    assert folder_name(os.fsdecode(b"caf\xe9.pdf")) == "caf_xe9"


@pytest.mark.parametrize("name", ["ledger.pdf", "INDEX.csv.pdf", "index.json.tif", "report.pdf.pdf"])
def test_no_result_folder_takes_the_place_of_the_index(name: str) -> None:
    assert folder_name(name).endswith("_")


def test_names_are_no_formulas_in_a_spreadsheet(tmp_path: Path) -> None:
    names = ["=HYPERLINK(1).pdf", "@SUM(1).pdf", "+1.pdf", "-1.pdf", "plain.pdf"]
    write_index([IndexRow(name, "failed", message="=1+1") for name in names], tmp_path)
    with (tmp_path / "index.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["file"] for row in rows] == [*(f"'{name}" for name in names[:4]), "plain.pdf"]
    assert {row["message"] for row in rows} == {"'=1+1"}
