"""What the user named becomes a list of files."""

from __future__ import annotations

from pathlib import Path

import pytest

from docfleet.errors import UsageError
from docfleet.pipeline.collect import collect
from docfleet.pipeline.intake import folder_name


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("a.pdf", "b/c.pdf", "b/.hidden.pdf", ".git/d.pdf", "__MACOSX/e.pdf", "b/Thumbs.db", "out/f.pdf"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(*inputs: str, exclude: Path | None = None) -> list[str]:
    return [source.shown for source in collect(inputs, exclude)]


def test_a_folder_gives_its_files_in_order_without_hidden_ones(tree: Path) -> None:
    assert names(".") == ["a.pdf", "b/c.pdf", "out/f.pdf"]


def test_the_output_folder_is_no_input(tree: Path) -> None:
    assert names(".", exclude=Path("out")) == ["a.pdf", "b/c.pdf"]


def test_a_hidden_file_that_is_named_is_taken(tree: Path) -> None:
    assert names("b/.hidden.pdf") == ["b/.hidden.pdf"]


def test_a_file_named_twice_is_taken_once(tree: Path) -> None:
    assert names("a.pdf", ".", "*.pdf") == ["a.pdf", "b/c.pdf", "out/f.pdf"]


def test_globs_reach_into_folders(tree: Path) -> None:
    assert names("b/*.pdf", "**/f.pdf") == ["b/c.pdf", "out/f.pdf"]


@pytest.mark.parametrize("wrong", ["nowhere.pdf", "nothing-*.pdf"])
def test_a_name_that_matches_nothing_is_wrong_use(wrong: str, tree: Path) -> None:
    with pytest.raises(UsageError, match=wrong.replace("*", r"\*")):
        names("a.pdf", wrong)


@pytest.mark.parametrize(
    ("file", "folder"),
    [
        ("Invoice 01.pdf", "Invoice 01"),
        ("scan.2024.tif", "scan.2024"),
        ('a<b>:"|?*.pdf', "a_b______"),
        ("..pdf", "document"),
        ("Ledger.pdf", "Ledger_"),
        ("ü" * 200 + ".pdf", "ü" * 75),
        ("tab\there.pdf", "tab_here"),
    ],
)
def test_folder_names_suit_every_file_system(file: str, folder: str) -> None:
    assert folder_name(file) == folder
