"""List prices from the facts as a price book, and that nobody else tells another price."""

from __future__ import annotations

import subprocess
import sys

import pytest

from docfleet.domain.pricing import Call, OwnPrices, cost_of, micros_of
from docfleet.engines.documentai.facts import OCR, read_facts
from docfleet.engines.documentai.prices import PREMIUM, price_book
from docfleet.reports.figures import CLOUD_PRICE_PER_PAGE_USD

BOOK = price_book(read_facts(), OwnPrices(worker_usd_per_hour=0.04))


def usd(processor: str, *documents: int, used: int = 0, premium: bool = False) -> float:
    addons = frozenset({PREMIUM}) if premium else frozenset[str]()
    return cost_of(Call(processor, documents, addons), BOOK, used).micros / 1e6


def test_the_published_prices() -> None:
    assert usd(OCR, 1_000) == 0
    assert usd(OCR, 1_000, used=1_000) == 1.50
    assert usd(OCR, 1_000, used=5_000_000) == 0.60
    assert usd(OCR, 1_000, used=1_000, premium=True) == 7.50
    assert usd("FORM_PARSER_PROCESSOR", 1_000) == 30
    assert usd("FORM_PARSER_PROCESSOR", 1_000, used=1_000_000) == 20
    assert usd("LAYOUT_PARSER_PROCESSOR", 1_000, used=9_000_000) == 10
    assert usd("INVOICE_PROCESSOR", 1, 10, 11) == pytest.approx(0.40)
    assert usd("BANK_STATEMENT_PROCESSOR", 14) == 0.75
    assert (BOOK.hosting_micros_per_hour, BOOK.worker_micros_per_hour) == (50_000, 40_000)


def test_every_processor_type_has_a_price() -> None:
    assert BOOK.rates.keys() == read_facts().processors.keys()


def test_prices_of_the_settings_count() -> None:
    facts = read_facts({"prices": {"ocr": {"free_pages": 0, "tiers": [{"from_page": 0, "usd_per_1000_pages": 1.2}]}}})
    assert cost_of(Call(OCR, (5,)), price_book(facts)).micros == 6_000
    free = read_facts({"prices": {"ocr": {"free_pages": 6_000_000}}})
    assert cost_of(Call(OCR, (2,)), price_book(free), 5_999_999).documents == ((0, 600),)


def test_the_report_of_a_batch_compares_with_the_same_price() -> None:
    assert micros_of(CLOUD_PRICE_PER_PAGE_USD) == cost_of(Call(OCR, (1,)), BOOK, 1_000).micros


def test_telling_prices_loads_nothing_of_google() -> None:
    """The API's processes tell costs; they load neither Google's package nor an engine."""
    script = (
        "import sys; from docfleet.engines.documentai.prices import price_book; "
        "from docfleet.engines.documentai.facts import read_facts; import docfleet.api.costs; "
        "price_book(read_facts()); "
        "print([name for name in sys.modules if name.partition('.')[0] in ('google', 'grpc', 'rapidocr', 'pypdfium2')])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
