"""The engine as the pipeline sees it, long documents, the facts, and the settings."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any

import grpc
import numpy as np
import pikepdf
import pytest
from hypothesis import given
from hypothesis import strategies as st

from docfleet.domain.quota import QuotaLimits
from docfleet.engines.asking import ask
from docfleet.engines.base import PageImage
from docfleet.engines.documentai.documents import Wanted, read_document
from docfleet.engines.documentai.engine import DocumentAIEngine, engine
from docfleet.engines.documentai.facts import BATCH, read_facts
from docfleet.engines.documentai.options import Processor, read_options
from docfleet.engines.documentai.page_file import jpeg_page, pdf_of
from docfleet.engines.documentai.ranges import pieces, selections
from docfleet.engines.registry import load
from docfleet.errors import EngineBusy, EngineRefused, EngineUnavailable, UsageError
from docfleet.quota.local import LocalQuota
from docfleet.runtime import engine_options
from docfleet.settings import read_settings
from documentai_double import Refusal, caller_for, options_for, pages_document, running, selected

OCR = "OCR_PROCESSOR"
FACTS = read_facts()


def image(number: int, height: int = 300, width: int = 200, colour: bool = True) -> PageImage:
    shape = (height, width, 3) if colour else (height, width)
    return PageImage(number, np.full(shape, 255, np.uint8), 100.0, width * 0.72, height * 0.72, ("de",))


def test_pages_travel_together_and_come_back_apart() -> None:
    files: list[bytes] = []

    def answer(request: Any, _metadata: dict[str, str]) -> Any:
        files.append(request.raw_document.content)
        with pikepdf.open(io.BytesIO(files[-1])) as pdf:
            return pages_document([f"page {n} is here\n" for n in range(1, len(pdf.pages) + 1)])

    with running(answer) as double:
        options = options_for(double.address)
        one = DocumentAIEngine(options, caller_for(options, quota=LocalQuota(lambda _key: QuotaLimits())))
        answers = ask(one, [image(n, colour=bool(n % 2)) for n in range(4, 38)])
        one.close()
    assert len(files) == 2, "30 pages and 4"
    assert len(answers) == 34
    assert [found.page.number for found in answers if found.page] == list(range(4, 38))
    assert answers[0].text == "page 1 is here\n"
    assert answers[30].text == "page 1 is here\n"
    page = answers[3].page
    assert page is not None
    assert page.dimension is not None
    assert (page.dimension.width, page.dimension.height, page.dimension.unit) == (144.0, 216.0, "pt")
    assert page.layout is not None
    assert page.layout.spans[0].start == 0


def test_a_file_of_pages_is_a_sound_pdf_of_their_sizes() -> None:
    made = pdf_of([jpeg_page(image(n, 100 * n, 50 * n, bool(n % 2)).pixels, 72.0, 10**6) for n in (1, 2, 3)])
    with pikepdf.open(io.BytesIO(made)) as pdf:
        assert not pdf.check_pdf_syntax()
        sizes = [[float(side) for side in page.mediabox[2:]] for page in pdf.pages]
        assert sizes == [[50, 100], [100, 200], [150, 300]]
        pictures = [next(iter(page.get_images().values())) for page in pdf.pages]
        assert [(p.Width, p.Height, str(p.ColorSpace)) for p in pictures] == [
            (50, 100, "/DeviceRGB"),
            (100, 200, "/DeviceGray"),
            (150, 300, "/DeviceRGB"),
        ]


def test_a_page_that_is_too_large_is_compressed_harder() -> None:
    noise = np.random.default_rng(1).integers(0, 255, (400, 400, 3), dtype=np.uint8)
    fine, coarse = jpeg_page(noise, 100, 10**9), jpeg_page(noise, 100, 10)
    assert len(coarse.data) < len(fine.data)


def test_without_quota_for_too_long_the_engine_is_busy() -> None:
    def answer(_request: Any, _metadata: dict[str, str]) -> Any:
        raise AssertionError

    with running(answer) as double:
        options = options_for(double.address, patience_seconds=0.2)
        quota = LocalQuota(lambda _key: QuotaLimits(requests_per_minute=0.1, headroom=0.0), starts_full=False)
        one = DocumentAIEngine(options, caller_for(options, quota=quota))
        with pytest.raises(EngineBusy):
            one.recognise([image(1)])
        one.close()
        assert double.requests == []


@pytest.mark.parametrize(("pages", "said"), [(1, 2), (2, 1), (3, 0)])
def test_an_answer_with_other_pages_is_no_answer(pages: int, said: int) -> None:
    with running(lambda _request, _metadata: pages_document(["a\n"] * said)) as double:
        options = options_for(double.address)
        one = DocumentAIEngine(options, caller_for(options))
        with pytest.raises(Exception, match="pages for"):
            ask(one, [image(n) for n in range(1, pages + 1)])
        one.close()


def _partly_read(texts: Sequence[str], code: int = 13) -> Callable[[Any, dict[str, str]], Any]:
    """Answers these pages, and says that something failed."""

    def answer(_request: Any, _metadata: dict[str, str]) -> Any:
        document = pages_document(texts)
        document.error.code, document.error.message = code, "a page was not read"
        return document

    return answer


def test_a_page_that_the_answer_says_was_not_read_is_told_of() -> None:
    with running(_partly_read(["one\n", "", "three\n"])) as double:
        one = DocumentAIEngine(options_for(double.address), caller_for(options_for(double.address)))
        found = ask(one, [image(1), image(2), image(3)])
        one.close()
    assert [page.text for page in found] == ["one\n", "", "three\n"]
    assert [bool(page.refused) for page in found] == [False, True, False]
    assert "a page was not read" in found[1].refused


@pytest.mark.parametrize(("texts", "code"), [(["one\n", "two\n"], 13), (["", "two\n"], 12), (["", "two\n"], 0)])
def test_an_error_that_is_about_no_page_changes_nothing(texts: list[str], code: int) -> None:
    with running(_partly_read(texts, code)) as double:
        one = DocumentAIEngine(options_for(double.address), caller_for(options_for(double.address)))
        found = ask(one, [image(1), image(2)])
        one.close()
    assert [(page.text, page.refused) for page in found] == [(text, "") for text in texts]


def test_of_several_empty_pages_nobody_knows_which_was_not_read() -> None:
    with running(_partly_read(["", "two\n", ""])) as double:
        one = DocumentAIEngine(options_for(double.address), caller_for(options_for(double.address)))
        with pytest.raises(EngineRefused, match="was not read"):
            ask(one, [image(1), image(2), image(3)])
        one.close()


def test_types_that_read_documents_take_one_page_a_call() -> None:
    options = options_for(
        "x:1", processors=(Processor("p", "eu", "INVOICE_PROCESSOR"),), processor_type="INVOICE_PROCESSOR"
    )
    capabilities = DocumentAIEngine(options, None).capabilities
    assert (capabilities.max_pages_per_call, capabilities.cost_per_page_usd) == (1, 0.1)
    capabilities = DocumentAIEngine(options_for("x:1", imageless=False, premium=("math",)), None).capabilities
    assert (capabilities.max_pages_per_call, capabilities.cost_per_page_usd) == (15, 0.0075)
    assert capabilities.gathers_pages


# --- set up, or not


def test_an_engine_that_is_not_set_up_says_so() -> None:
    with pytest.raises(EngineUnavailable, match="not set up"):
        load("documentai")
    with pytest.raises(EngineUnavailable, match="no caller"):
        DocumentAIEngine(options_for("x:1"), None).recognise([image(1)])


def test_credentials_that_are_not_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    given_ = {"project": "p", "processors": [{"id": "a", "location": "eu"}]}
    with pytest.raises(EngineUnavailable, match="no credentials"):
        engine(given_)
    assert engine({**given_, "anonymous": True}).capabilities.name == "documentai"


def test_settings_become_options(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    toml = tmp_path / "docfleet.toml"
    toml.write_text(
        """
[documentai]
project = "p"
locations = ["eu", "us"]
premium = ["style"]
[[documentai.processors]]
id = "abc"
location = "eu"
version = "pretrained-ocr-v2.1-2024-08-07"
[documentai.residency]
acme = ["eu"]
[documentai.overrides.quotas.online_requests_per_minute]
eu = 600
[documentai.overrides.processors.OCR_PROCESSOR]
imageless_pages = 20
"""
    )
    monkeypatch.setenv("DOCFLEET_CONFIG", str(toml))
    monkeypatch.setenv("DOCFLEET_DOCUMENTAI__API_KEY", "k")
    options = read_options(engine_options(read_settings())["documentai"])
    assert options.processors == (Processor("abc", "eu", version="pretrained-ocr-v2.1-2024-08-07"),)
    assert options.allowed("acme") == {"eu"}
    assert options.allowed("other") == {"eu", "us"}
    facts = options.facts()
    assert facts.quota_limits(facts.quota_key("p", "eu", OCR)).requests_per_minute == 600
    assert facts.quota_limits(facts.quota_key("p", "us", OCR)).requests_per_minute == 120
    assert facts.processor(OCR).imageless_pages == 20
    assert options.api_key == "k"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"processors": [{"id": "a", "location": "eu"}]}, "project"),
        ({"project": "p", "processors": [{"id": "a/b", "location": "eu"}]}, "no processor id"),
        ({"project": "p", "processors": [{"id": "a", "location": "mars"}]}, "mars"),
        ({"project": "p", "processors": [{"id": "a", "location": "eu", "type": "X"}]}, "processor type"),
        ({"residency": {"acme": ["germany"]}}, "germany"),
        ({"premium": ["gold"]}, "gold"),
        ({"premium": ["math", "selection_marks"]}, "exclude"),
        ({"transport": "smoke"}, "transport"),
        ({"api_key": "k", "anonymous": True}, "one of"),
        ({"connect_seconds": 0}, "above 0"),
        ({"unknown": 1}, "unknown"),
        ({"processor_type": "LAYOUT_PARSER_PROCESSOR"}, "no pages"),
        ({"overrides": {"sizes": {"online_bytes": "big"}}}, "overrides"),
        ({"overrides": {"prices": {"ocr": {"usd_per_document": 1.0}}}}, "tiers"),
        ({"overrides": {"processors": {OCR: {"price": "free"}}}}, "no price"),
        ({"overrides": {"quotas": {"online_requests_per_minute": {"us": 0}}}}, "above 0"),
    ],
)
def test_settings_that_do_not_fit_are_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        read_options(wrong)


def test_nothing_of_google_is_loaded_until_it_is_used() -> None:
    code = (
        "import sys, docfleet.engines.registry, docfleet.runtime, docfleet.engines.documentai.engine, "
        "docfleet.engines.documentai.facts, docfleet.engines.documentai.options, "
        "docfleet.engines.documentai.calling, docfleet.engines.documentai.documents\n"
        "print([name for name in sys.modules if name.split('.')[0] in ('google', 'grpc', 'proto')])"
    )
    answered = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert answered.stdout.strip() == "[]"


# --- facts


def test_every_fact_has_a_source() -> None:
    told = [*FACTS.locations.values(), *FACTS.generative.values(), *FACTS.processors.values(), *FACTS.prices.values()]
    for fact in [*told, FACTS.sizes, FACTS.quotas, FACTS.extras]:
        assert fact.source in FACTS.sources, fact
    for source in FACTS.sources.values():
        assert len(source.read) == 7


def test_quotas_by_location_type_and_version() -> None:
    def limits(location: str, kind: str, version: str = "") -> QuotaLimits:
        return FACTS.quota_limits(FACTS.quota_key("p", location, kind, version))

    assert (limits("us", OCR).requests_per_minute, limits("us", OCR).pages_per_minute) == (120, None)
    assert limits("europe-west3", OCR).requests_per_minute == 6
    generative = limits("us", "CUSTOM_EXTRACTION_PROCESSOR", "pretrained-foundation-model-v1.5-pro-2025-06-20")
    assert generative.pages_per_minute == 30
    assert limits("us", "CUSTOM_EXTRACTION_PROCESSOR", "mine").pages_per_minute is None
    assert FACTS.leaves_region("pretrained-layout-parser-v1.6-pro-2026-01-13")
    assert not FACTS.leaves_region("pretrained-ocr-v2.1-2024-08-07")
    key = FACTS.quota_key("p", "eu", OCR)
    assert FACTS.quota_limits(type(key)("p", "eu", BATCH)).concurrent == 5


# --- long documents


@given(st.integers(1, 700), st.booleans())
def test_ranges_hold_every_page_once_within_the_limits(pages: int, imageless: bool) -> None:
    known = FACTS.processor(OCR)
    found = selections(pages, known, imageless)
    assert [n for one in found for n in range(one.first, one.last + 1)] == list(range(1, pages + 1))
    for one in found:
        assert one.pages <= (30 if imageless and one.first == 1 else 15)
    assert len(found) == (1 if pages <= 30 and imageless else len(found))


@given(st.integers(1, 700), st.integers(1, 10**9), st.booleans())
def test_pieces_hold_every_page_once_within_the_limits(pages: int, size: int, imageless: bool) -> None:
    most = FACTS.sizes.online_bytes
    found = pieces(pages, size, FACTS.processor(OCR), imageless, most)
    assert [n for one in found for n in range(one.first, one.last + 1)] == list(range(1, pages + 1))
    for one in found:
        assert 1 <= one.pages <= (30 if imageless else 15)
        assert one.pages == 1 or one.pages * size / pages <= most


def _texts(numbers: Sequence[int]) -> list[str]:
    return [f"this is page {n}\nof many 𝄞 pages\n" if n % 5 else "" for n in numbers]


def _reads(total: int) -> Callable[[Any, dict[str, str]], Any]:
    def answer(request: Any, _metadata: dict[str, str]) -> Any:
        content = request.raw_document.content
        if content.startswith(b"cut"):
            first, last = map(int, content.split()[1:3])
            found = pages_document(_texts(range(first, last + 1)))
            assert len(found.pages) <= 30
            return found
        numbers = selected(request, total)
        if len(numbers) > (30 if numbers[0] == 1 else 15):
            raise Refusal(grpc.StatusCode.INVALID_ARGUMENT, "At most 15 pages in one call please.")
        return pages_document(_texts(numbers), numbers[0])

    return answer


@pytest.mark.parametrize("pages", [1, 15, 30, 31, 46, 77])
def test_a_long_document_is_put_together_exactly(pages: int) -> None:
    with running(_reads(pages)) as double:
        caller = caller_for(options_for(double.address), quota=LocalQuota(lambda _key: QuotaLimits()))
        whole = read_document(caller, Wanted(b"%PDF", "application/pdf", pages), OCR, 5)
        large = Wanted(b"x" * (41_943_040 + 1), "application/pdf", pages, lambda a, b: f"cut {a} {b}".encode())
        cut = read_document(caller, large, OCR, 5)
        caller.close()
    for document in (whole, cut):
        assert document.text == "".join(_texts(range(1, pages + 1)))
        assert [page.number for page in document.pages] == list(range(1, pages + 1))
        for page, text in zip(document.pages, _texts(range(1, pages + 1)), strict=True):
            assert page.layout is not None
            assert document.text_of(page.layout) == text
    assert whole.pages == cut.pages


def test_a_piece_that_is_too_large_all_the_same_is_halved() -> None:
    asked: list[tuple[int, int]] = []

    def cut_out(first: int, last: int) -> bytes:
        asked.append((first, last))
        size = 42_000_000 if last - first >= 4 else 100
        return f"cut {first} {last} ".encode().ljust(size)

    with running(_reads(20)) as double:
        caller = caller_for(options_for(double.address), quota=LocalQuota(lambda _key: QuotaLimits()))
        found = read_document(caller, Wanted(b"x" * 41_943_041, "application/pdf", 20, cut_out), OCR, 5, 1)
        huge = Wanted(b"x" * 41_943_041, "application/pdf", 1, lambda _a, _b: b"y" * 41_943_041)
        with pytest.raises(EngineRefused, match="alone"):
            read_document(caller, huge, OCR, 5)
        with pytest.raises(EngineRefused, match="one request takes"):
            read_document(caller, Wanted(b"x" * 41_943_041, "application/pdf", 1), OCR, 5)
        caller.close()
    assert [page.number for page in found.pages] == list(range(1, 21))
    assert len(asked) > 2
