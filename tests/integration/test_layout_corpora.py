"""Layout on real pages: tables found and read, none invented, every page partitioned."""

from __future__ import annotations

from pathlib import Path

import pytest
from bench.tables import measure, read_pages, total
from tests.unit.layout.setting import check_partitions

from docfleet.engines.local.layout import lay_out

CORPORA = Path(__file__).resolve().parents[3] / "shared" / "corpora"
needs_corpora = pytest.mark.skipif(not CORPORA.is_dir(), reason="the corpora are not part of the project")


@pytest.mark.slow
@needs_corpora
def test_tables_of_official_reports_are_read() -> None:
    found = total(measure(CORPORA / "tables").values())
    assert found.precision > 0.95
    assert found.recall > 0.95


@pytest.mark.slow
@needs_corpora
def test_tables_are_read_without_their_drawn_lines() -> None:
    found = total(measure(CORPORA / "tables", rulings=False).values())
    assert found.precision > 0.85
    assert found.recall > 0.8


@needs_corpora
def test_contracts_have_no_tables_and_lose_no_words() -> None:
    for path in sorted((CORPORA / "contracts").glob("*.pdf"))[:8]:
        for number, words in enumerate(read_pages(path), 1):
            text, page = lay_out(words, number)
            check_partitions(text, page)
            assert page.tables == (), (path.name, number)
            assert sorted("".join(text.split())) == sorted("".join(w.text.replace("\u00ad", "-") for w in words.words))
