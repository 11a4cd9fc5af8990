"""Settings: command line over environment over file over defaults; wrong ones are named."""

from __future__ import annotations

from pathlib import Path

import pytest

from docfleet.errors import UsageError
from docfleet.settings import read_settings


@pytest.fixture(autouse=True)
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DOCFLEET_CONFIG", raising=False)
    return tmp_path


def test_defaults_need_nothing() -> None:
    settings = read_settings()
    assert settings.reading.engine == "rapidocr"
    assert settings.output.formats == ("json", "md", "txt", "pdf", "csv")


def test_first_wins(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (bare / "docfleet.toml").write_text("[limits]\nmax_pages = 1\npage_seconds = 1.5\n[work]\nworkers = 1\n")
    monkeypatch.setenv("DOCFLEET_LIMITS__MAX_PAGES", "2")
    monkeypatch.setenv("DOCFLEET_WORK__WORKERS", "2")
    settings = read_settings(work={"workers": 3}, limits={"max_pages": None})
    assert (settings.work.workers, settings.limits.max_pages, settings.limits.page_seconds) == (3, 2, 1.5)


def test_lists_are_given_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCFLEET_READING__LANGUAGES", "de, fr,")
    assert read_settings().reading.languages == ("de", "fr")
    assert read_settings(reading={"languages": "en"}).reading.languages == ("en",)


@pytest.mark.parametrize(
    ("variable", "value", "named"),
    [
        ("DOCFLEET_LIMITS__MAX_PAGES", "0", "limits.max_pages"),
        ("DOCFLEET_READING__MODE", "magic", "reading.mode"),
        ("DOCFLEET_LIMITS__MAX_PAGE", "7", "limits.max_page"),
    ],
)
def test_a_wrong_setting_is_named(variable: str, value: str, named: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(UsageError, match=named):
        read_settings()


def test_a_broken_file_is_a_sentence(bare: Path) -> None:
    (bare / "docfleet.toml").write_text("[limits\n")
    with pytest.raises(UsageError, match=r"docfleet\.toml"):
        read_settings()


def test_a_config_that_is_not_there_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCFLEET_CONFIG", "nowhere.toml")
    with pytest.raises(UsageError, match=r"nowhere\.toml"):
        read_settings()
