"""The engine against docfleet's own Document AI server, over gRPC and REST: limits, ranges, faults, residency."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from docfleet.documentai_format import from_proto, split
from docfleet.documentai_server.app import DocumentAIServer
from docfleet.documentai_server.options import ServerOptions
from docfleet.documentai_server.readers import ReaderOptions
from docfleet.domain.document import Document
from docfleet.domain.quota import BreakerState, QuotaLimits
from docfleet.engines.documentai.calling import Caller
from docfleet.engines.documentai.calls import Answer, Call, Failed, Postponed, Selection
from docfleet.engines.documentai.documents import Wanted, read_document
from docfleet.engines.documentai.failures import FailureKind
from docfleet.engines.documentai.hedging import HedgePolicy
from docfleet.engines.documentai.options import Processor
from docfleet.errors import EngineRefused
from docfleet.quota.breaker import BreakerPolicy
from docfleet.quota.local import LocalQuota
from docfleet.quota.open import open_breakers, open_quota
from documentai_clients import begin_anew, numbered_pdf, pdf_of, play
from documentai_double import caller_for, limits_of, options_for, wait_until

OCR, PDF = "OCR_PROCESSOR", "application/pdf"
KEY = "a-key-of-sixteen-characters"
QUICK = BreakerPolicy(min_calls=4, silent_seconds=0.0, open_seconds=0.3, open_limit_seconds=0.3, probes_to_close=1)


@pytest.fixture(scope="module")
def server() -> Iterator[DocumentAIServer]:
    """Text layers are read; pixels come back empty."""
    options = ServerOptions(
        readers=ReaderOptions(settings={"reading": {"engine": "null"}}, readers=2, waiting=30),
        emulation_port=0,
        grace_seconds=1.0,
    )
    with DocumentAIServer(options) as running:
        yield running


@pytest.fixture(params=["grpc", "rest"])
def transport(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(autouse=True)
def fresh(server: DocumentAIServer) -> None:
    begin_anew(server)


def asked(server: DocumentAIServer) -> dict[str, int]:
    counts = httpx.get(f"{server.emulation_address}/emulation").json()["counts"]
    return {place: one["asked"] for place, one in counts["locations"].items() if one["asked"]}


def address_of(server: DocumentAIServer, transport: str, which: int = 0) -> str:
    address = server.addresses[which]
    found = address.grpc if transport == "grpc" else address.rest
    assert found is not None
    return found.partition("://")[2] or found


def caller_at(server: DocumentAIServer, transport: str, *places: str, caller: Any = None, **options: Any) -> Caller:
    """A caller of processors `ocr` in these places; its quota grants everything. `caller`: what `Caller` is given."""
    processors = tuple(Processor("ocr", place) for place in places or ("us",))
    made = options_for(address_of(server, transport), **{"processors": processors, "transport": transport, **options})
    given = {"quota": LocalQuota(lambda _key: QuotaLimits()), **(caller or {})}
    return caller_for(made, **given)


def call(pages: int = 1, **more: Any) -> Call:
    return Call(more.pop("content", None) or numbered_pdf(pages), PDF, pages, **more)


def line(number: int) -> str:
    return f"This is page number {number} of the document.\n"


# --- what comes back


@pytest.mark.parametrize("pages", [1, 30, 31, 77])
def test_a_long_document_is_read_by_ranges_and_is_whole_again(
    server: DocumentAIServer, transport: str, pages: int
) -> None:
    caller = caller_at(server, transport)
    document = read_document(caller, Wanted(numbered_pdf(pages), PDF, pages), OCR, 30)
    caller.close()
    assert document.text == "".join(line(n) for n in range(1, pages + 1))
    assert [page.number for page in document.pages] == list(range(1, pages + 1))
    for n, (text, page) in enumerate(split(document), 1):
        assert text == line(n)
        assert (
            "".join(document.text[s.start : s.end] for t in document.pages[n - 1].tokens for s in t.layout.spans)
            == text
        )
        assert page.tokens
    assert sum(asked(server).values()) == 1 + max(0, -(-(pages - 30) // 15))


def test_ranges_are_as_one_request_would_be(server: DocumentAIServer, transport: str) -> None:
    """Twenty pages at once, and in two ranges of ten."""
    caller = caller_at(server, transport)
    content = pdf_of(*[f"Total {n}.00 EUR\nsecond line of page {n}" for n in range(1, 21)])
    once = _document(caller.call(call(20, content=content)))
    few = caller_at(server, transport, overrides={"processors": {OCR: {"imageless_pages": 10, "online_pages": 10}}})
    parts = read_document(few, Wanted(content, PDF, 20), OCR, 30)
    caller.close(), few.close()
    assert (parts.text, parts.pages) == (once.text, once.pages)


def test_pictures_of_pages_are_not_sent_and_all_else_is(server: DocumentAIServer, transport: str) -> None:
    caller = caller_at(server, transport, imageless=False)
    answer = caller.call(call())
    caller.close()
    assert isinstance(answer, Answer)
    [page] = answer.document.pages
    assert not page.image.content
    assert page.dimension.width > 0
    assert page.tokens
    assert page.lines
    assert page.blocks
    assert answer.document.mime_type == PDF


def test_a_version_is_pinned(server: DocumentAIServer, transport: str) -> None:
    def version(name: str) -> Any:
        caller = caller_at(server, transport, processors=(Processor("ocr", "us", version=name),))
        try:
            return caller.call(call())
        finally:
            caller.close()

    # versions differ in how breaks are told
    assert isinstance(version("pretrained-ocr-v2.0-2023-06-02"), Answer)
    gone = version("pretrained-form-parser-v9")
    assert isinstance(gone, Failed)
    assert (gone.failure.kind, gone.failure.code) == (FailureKind.SETUP, "not_found")


# --- limits


def test_past_the_page_limit(server: DocumentAIServer, transport: str) -> None:
    caller = caller_at(server, transport)
    many = caller.call(call(31))
    far = caller.call(call(40, selection=Selection(5, 24)))
    caller.close()
    assert isinstance(many, Failed)
    assert (many.failure.kind, many.failure.code) == (FailureKind.REQUEST, "page_limit")
    assert many.failure.reason == "PAGE_LIMIT_EXCEEDED"
    assert many.failure.metadata == {"page_limit": "30", "pages": "31"}
    assert isinstance(far, Failed)
    assert (far.failure.kind, far.failure.code, far.failure.reason) == (FailureKind.REQUEST, "page_limit", "")
    assert not many.attempts[0].billed


def test_past_the_limit_of_bytes_nothing_is_sent_and_the_service_would_refuse(
    server: DocumentAIServer, transport: str
) -> None:
    caller = caller_at(server, transport)
    large = numbered_pdf(2) + b"%" * 41_943_040
    with pytest.raises(EngineRefused, match="one request takes"):
        read_document(caller, Wanted(large, PDF, 2), OCR, 5)
    assert asked(server) == {}
    refused = caller.call(call(2, content=large))
    caller.close()
    assert isinstance(refused, Failed)
    assert (refused.failure.kind, refused.failure.code) == (FailureKind.REQUEST, "too_large")


@pytest.mark.parametrize("content", [pdf_of("secret", owner="o", user="u"), b"%PDF-1.7 nothing", b"\x89PNG not a PDF"])
def test_what_cannot_be_read_is_the_documents_fault(server: DocumentAIServer, transport: str, content: bytes) -> None:
    caller = caller_at(server, transport, "us", "eu")
    refused = caller.call(call(content=content))
    caller.close()
    assert isinstance(refused, Failed)
    assert (refused.failure.kind, refused.failure.code) == (FailureKind.DOCUMENT, "unsupported_format")
    assert len(refused.attempts) == 1, "nobody else is asked"


# --- quota


def test_a_429_says_when_to_come_back(server: DocumentAIServer, transport: str) -> None:
    play(server, "retry_info = true\nquotas = [{requests_per_minute = 12, burst_seconds = 1}]")
    caller = caller_at(server, transport)
    first, second, third = (caller.call(call()) for _ in range(3))
    caller.close()
    assert isinstance(first, Answer)
    assert isinstance(second, Postponed)
    assert second.reason == "throttled"
    assert 2.0 < second.seconds <= 6.0
    assert not any(one.billed for one in second.attempts)
    assert isinstance(third, Postponed)
    assert asked(server) == {"us": 2}, "the third was not sent at all"


def test_a_429_in_one_place_goes_to_another(server: DocumentAIServer, transport: str) -> None:
    play(server, 'quotas = [{location = "us", requests_per_minute = 1, burst_seconds = 1}]')
    caller = caller_at(server, transport, "us", "eu")
    places = [_place(caller.call(call())) for _ in range(4)]
    caller.close()
    assert places.count("eu") >= 2
    assert "" not in places
    assert asked(server)["us"] <= 1 + places.count("eu"), "once for each call"


def test_who_keeps_to_the_quota_is_never_refused(server: DocumentAIServer, transport: str) -> None:
    play(server, "quotas = [{requests_per_minute = 120, burst_seconds = 1}]")
    facts_quota = {"quotas": {"online_requests_per_minute": {"us": 120.0}}}
    options = options_for("x:1", overrides=facts_quota)
    quota = open_quota(lambda key: limits_of(options.facts(), key))
    caller = caller_at(server, transport, caller={"quota": quota})
    content, answers = numbered_pdf(1), 0
    until = time.monotonic() + 4.0
    while time.monotonic() < until:
        outcome = caller.call(call(content=content, patience=1.0))
        answers += isinstance(outcome, Answer)
        assert isinstance(outcome, Answer | Postponed)
        assert not isinstance(outcome, Postponed) or outcome.reason != "throttled"
    caller.close()
    assert answers >= 6


# --- outages


def test_an_outage_is_passed_by_and_its_end_is_noticed(server: DocumentAIServer, transport: str) -> None:
    breakers = open_breakers(policy=QUICK)
    caller = caller_at(server, transport, "eu", "us", caller={"breakers": breakers})
    content = numbered_pdf(1)
    eu = next(one for one in caller.endpoints(OCR) if one.location == "eu")
    assert _place(caller.call(call(content=content))) == "eu"
    play(server, 'outages = [{location = "eu"}]')
    assert [_place(caller.call(call(content=content))) for _ in range(4)] == ["us"] * 4
    while breakers.state(eu.breaker) is BreakerState.CLOSED:
        assert not isinstance(caller.call(call(content=content, exclude=frozenset({"us"}))), Answer)
    before = asked(server)["eu"]
    assert before <= 1 + QUICK.failures_in_a_row
    play(server, "")
    assert wait_until(lambda: _place(caller.call(call(content=content, exclude=frozenset({"us"})))) == "eu", 10)
    assert breakers.state(eu.breaker) is BreakerState.CLOSED
    caller.close()


@pytest.mark.parametrize("kind", ["refuse", "hang"])
def test_a_place_that_closes_or_hangs_is_passed_by(server: DocumentAIServer, transport: str, kind: str) -> None:
    caller = caller_at(server, transport, "eu", "us", call_seconds=1.0)
    play(server, f'outages = [{{location = "eu", kind = "{kind}"}}]')
    started = time.monotonic()
    outcome = caller.call(call())
    caller.close()
    assert _place(outcome) == "us"
    assert time.monotonic() - started < 5.0
    assert isinstance(outcome, Answer)
    first = outcome.attempts[0]
    assert first.failure is not None
    assert first.failure.kind is FailureKind.AWAY
    if kind == "hang":
        assert first.billed, "nobody knows"


def test_a_slow_place_opens_its_breaker(server: DocumentAIServer, transport: str) -> None:
    breakers = open_breakers(policy=BreakerPolicy(min_calls=4, slow_seconds=0.3, open_seconds=30.0))
    caller = caller_at(server, transport, "eu", "us", caller={"breakers": breakers})
    play(server, 'latencies = [{location = "eu", fixed_seconds = 0.5}]')
    content = numbered_pdf(1)
    for _ in range(4):
        assert _place(caller.call(call(content=content, exclude=frozenset({"us"})))) == "eu"
    outcome = caller.call(call(content=content, exclude=frozenset({"us"})))
    assert isinstance(outcome, Postponed)
    assert outcome.reason == "away"
    assert _place(caller.call(call(content=content))) == "us"
    caller.close()


def test_an_answer_that_breaks_off_is_asked_for_elsewhere_and_may_be_billed(
    server: DocumentAIServer, transport: str
) -> None:
    play(server, 'cuts = [{location = "eu", rate = 1.0, after_bytes = 200}]')
    caller = caller_at(server, transport, "eu", "us")
    outcome = caller.call(call(3))
    caller.close()
    assert isinstance(outcome, Answer)
    assert outcome.document.text == "".join(line(n) for n in (1, 2, 3))
    assert [(one.endpoint.location, one.billed) for one in outcome.attempts] == [("eu", True), ("us", True)]


@pytest.mark.slow
def test_an_answer_in_drops_ends_by_its_deadline(server: DocumentAIServer, transport: str) -> None:
    play(server, 'drips = [{location = "eu", rate = 1.0, bytes_per_second = 50}]')
    caller = caller_at(server, transport, "eu", "us", call_seconds=1.0, connect_seconds=1.0)
    started = time.monotonic()
    outcome = caller.call(call(2))
    caller.close()
    assert _place(outcome) == "us"
    assert time.monotonic() - started < 12.0
    assert isinstance(outcome, Answer)
    assert outcome.attempts[0].failure is not None
    assert outcome.attempts[0].failure.code == "timed_out"
    assert outcome.attempts[0].billed


# --- residency, hedging


@pytest.mark.parametrize(
    "plan",
    [
        'outages = [{location = "eu"}]',
        'latencies = [{location = "eu", fixed_seconds = 1.5}]',
        'quotas = [{location = "eu", requests_per_minute = 1, burst_seconds = 1}]',
        'errors = [{location = "eu", rate = 1.0, code = "INTERNAL"}]',
        'errors = [{location = "eu", rate = 1.0, code = "NOT_FOUND"}]',
        'errors = [{location = "eu", rate = 1.0, code = "INVALID_ARGUMENT"}]',
    ],
)
def test_residency_is_kept_whatever_happens(server: DocumentAIServer, transport: str, plan: str) -> None:
    policy = HedgePolicy(min_calls=1, min_seconds=0.05, min_free=0.0)
    caller = caller_at(
        server, transport, "us", "eu", "europe-west3", caller={"hedging": policy},
        residency={"german": ("eu",), "yankee": ("us",)},
    )  # fmt: skip
    content = numbered_pdf(1)
    for place, tenant in (("us", "yankee"), ("eu", "german"), ("eu", "german")):
        assert _place(caller.call(call(content=content, tenant=tenant, urgent=True))) == place
    httpx.delete(f"{server.emulation_address}/emulation/counts").raise_for_status()
    play(server, plan)
    for _ in range(4):
        caller.call(call(content=content, tenant="german", urgent=True))
    caller.close()
    assert set(asked(server)) == {"eu"}


def test_an_urgent_call_that_is_late_is_asked_for_twice(server: DocumentAIServer, transport: str) -> None:
    # the machine may be slow by itself: half of the calls decide what is late
    policy = HedgePolicy(percentile=0.5, min_calls=5, min_seconds=0.1)
    caller = caller_at(server, transport, "eu", "us", caller={"hedging": policy})
    content = numbered_pdf(1)
    for place in ["us", "eu"] * 5:
        caller.call(call(content=content, exclude=frozenset({"us", "eu"} - {place})))
    play(server, "latencies = [{location = 'eu', fixed_seconds = 3.0}]")
    # whichever is thought faster now, the urgent call must not wait for the slow one
    for _ in range(4):
        started = time.monotonic()
        outcome = caller.call(call(content=content, urgent=True))
        assert isinstance(outcome, Answer)
        assert outcome.endpoint.location == "us"
        assert time.monotonic() - started < 2.5
    caller.close()


def _place(outcome: Any) -> str:
    return outcome.endpoint.location if isinstance(outcome, Answer) else ""


def _document(outcome: Any) -> Document:
    assert isinstance(outcome, Answer), outcome
    return from_proto(outcome.document)
