"""The emulator as Google's own client meets it: quotas, latencies, errors, outages, broken answers; changed live."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import grpc
import httpx
import pytest
import requests
from google.api_core import exceptions
from google.cloud import documentai

from docfleet.documentai_server.app import Address, DocumentAIServer
from docfleet.documentai_server.options import Listener, ServerOptions
from docfleet.documentai_server.readers import ReaderOptions
from documentai_clients import begin_anew, client_over, numbered_pdf, play, refused

OCR = "projects/my-project/locations/{}/processors/ocr"
CONTENT = numbered_pdf(3)


@pytest.fixture(scope="module")
def server() -> Iterator[DocumentAIServer]:
    """Counts pages and answers them empty; the second port is one location's own endpoint."""
    options = ServerOptions(
        readers=ReaderOptions(settings={}, readers=1, waiting=20, blank=True),
        listeners=(Listener("all"), Listener("eu", locations=("eu",))),
        emulation_port=0,
        grace_seconds=1.0,
    )
    with DocumentAIServer(options) as running:
        with client_over("grpc", running.addresses[0]) as client:
            ask(client)  # a reader takes seconds to start, in which a quota would fill again
        yield running


@pytest.fixture(params=["grpc", "rest"])
def client(request: pytest.FixtureRequest, server: DocumentAIServer) -> Iterator[Any]:
    with client_over(request.param, server.addresses[0]) as made:
        yield made


@pytest.fixture(autouse=True)
def fresh(server: DocumentAIServer) -> None:
    """Each test begins with an empty plan and counts of 0."""
    begin_anew(server)


def counts(server: DocumentAIServer) -> dict[str, Any]:
    return httpx.get(f"{server.emulation_address}/emulation").json()["counts"]


def ask(client: Any, location: str = "us", **more: Any) -> Any:
    raw = documentai.RawDocument(content=CONTENT, mime_type="application/pdf")
    request = documentai.ProcessRequest(name=OCR.format(location), raw_document=raw, imageless_mode=True)
    return client.process_document(request=request, retry=None, **more)


@pytest.mark.parametrize("told", [None, 4.5])
def test_over_its_quota_a_client_reads_googles_429(client: Any, server: DocumentAIServer, told: float | None) -> None:
    retry_info = "false" if told is None else str(told)
    play(server, f"retry_info = {retry_info}\nquotas = [{{requests_per_minute = 12, burst_seconds = 1}}]")
    assert len(ask(client).document.pages) == 3
    no = refused(lambda: ask(client))
    assert no.code == 429
    assert no.reason == "RATE_LIMIT_EXCEEDED"
    assert no.metadata["service"] == "documentai.googleapis.com"
    assert no.metadata["quota_limit_value"] == "12"
    assert no.metadata["quota_location"] == "us"
    assert "Number of online process document requests using document processor" in no.message
    delays = [one for one in no.details if "retry" in str(one).lower()]
    assert len(delays) == (0 if told is None else 1)
    assert len(ask(client, "eu").document.pages) == 3
    total = counts(server)["total"]
    assert (total["asked"], total["answered"], total["pages"], total["refused"]) == (3, 2, 6, {"quota": 1})


def test_an_answer_takes_as_long_as_its_pages_should(client: Any, server: DocumentAIServer) -> None:
    ask(client)
    play(server, "latencies = [{fixed_seconds = 0.4, page_seconds = 0.2}]")
    started = time.monotonic()
    ask(client)
    assert 0.99 <= time.monotonic() - started < 1.6


def test_many_slow_calls_are_under_way_at_once(client: Any, server: DocumentAIServer) -> None:
    ask(client)
    play(server, "latencies = [{fixed_seconds = 1.5}]")
    started = time.monotonic()
    threads = [threading.Thread(target=ask, args=(client,)) for _ in range(15)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert time.monotonic() - started < 6.0
    total = counts(server)["total"]
    assert total["most_under_way"] >= 10
    assert total["under_way"] == 0


@pytest.mark.parametrize(
    ("code", "status"), [("UNAVAILABLE", 503), ("INTERNAL", 500), ("DEADLINE_EXCEEDED", 504), ("NOT_FOUND", 404)]
)
def test_errors_come_with_the_status_named(client: Any, server: DocumentAIServer, code: str, status: int) -> None:
    play(server, f"errors = [{{rate = 1.0, code = '{code}', message = 'as ordered'}}]")
    no = refused(lambda: ask(client))
    assert (no.code, no.message) == (status, "as ordered")


def test_a_share_of_calls_fails_the_same_ones_each_time(client: Any, server: DocumentAIServer) -> None:
    def failed() -> list[bool]:
        play(server, "seed = 11\nerrors = [{rate = 0.4}]")
        found = []
        for _ in range(15):
            try:
                ask(client)
                found.append(False)
            except exceptions.ServiceUnavailable:
                found.append(True)
        return found

    first = failed()
    assert first == failed()
    assert 2 <= sum(first) <= 10


def test_a_location_that_is_gone_answers_nothing_else_either(client: Any, server: DocumentAIServer) -> None:
    play(server, "outages = [{location = 'us'}]")
    assert refused(lambda: ask(client)).code == 503
    assert refused(lambda: client.get_processor(name=OCR.format("us"))).code == 503
    assert len(ask(client, "eu").document.pages) == 3
    assert counts(server)["locations"]["us"]["refused"] == {"outage": 1, "polls": 1}


def test_a_location_that_refuses_gives_no_answer(server: DocumentAIServer) -> None:
    play(server, "outages = [{kind = 'refuse'}]")
    with client_over("rest", server.addresses[0]) as client, pytest.raises(requests.exceptions.RequestException):
        ask(client)
    with client_over("grpc", server.addresses[0]) as client, pytest.raises(exceptions.ServiceUnavailable):
        ask(client)


def test_a_location_that_hangs_lets_the_caller_give_up_and_forgets_him(server: DocumentAIServer) -> None:
    play(server, "outages = [{kind = 'hang'}]")
    with client_over("grpc", server.addresses[0]) as client:
        started = time.monotonic()
        with pytest.raises(exceptions.DeadlineExceeded):
            ask(client, timeout=0.7)
        assert 0.6 < time.monotonic() - started < 3.0
    with client_over("rest", server.addresses[0]) as client, pytest.raises(requests.exceptions.ReadTimeout):
        ask(client, timeout=0.7)
    assert counts(server)["total"]["refused"] == {"hang": 2}


def test_an_answer_that_is_cut_reaches_nobody(server: DocumentAIServer) -> None:
    play(server, "cuts = [{rate = 1.0, after_bytes = 20}]")
    with client_over("rest", server.addresses[0]) as client, pytest.raises(requests.exceptions.RequestException):
        ask(client)
    with client_over("grpc", server.addresses[0]) as client, pytest.raises(exceptions.ServiceUnavailable):
        ask(client)
    assert counts(server)["total"]["cut"] == 2


def test_an_answer_that_drips_is_slow_and_whole(client: Any, server: DocumentAIServer) -> None:
    ask(client)
    size = documentai.ProcessResponse.pb(ask(client)).ByteSize()
    play(server, f"drips = [{{rate = 1.0, bytes_per_second = {max(size, 50)}}}]")
    started = time.monotonic()
    assert len(ask(client).document.pages) == 3
    assert time.monotonic() - started > 0.9


def test_polls_are_counted_by_themselves(client: Any, server: DocumentAIServer) -> None:
    play(server, "polls_per_minute = 3")
    for _ in range(3):
        client.get_processor(name=OCR.format("us"))
    assert refused(lambda: client.get_processor(name=OCR.format("us"))).code == 429
    assert len(ask(client).document.pages) == 3


def test_a_refusal_of_the_service_is_not_slowed_down(client: Any, server: DocumentAIServer) -> None:
    play(server, "latencies = [{fixed_seconds = 30.0}]")
    started = time.monotonic()
    raw = documentai.RawDocument(content=b"nothing", mime_type="application/pdf")
    request = documentai.ProcessRequest(name=OCR.format("us"), raw_document=raw)
    assert refused(lambda: client.process_document(request=request, retry=None)).code == 400
    assert time.monotonic() - started < 5.0
    assert counts(server)["total"]["failed"] == 1


def test_a_port_of_one_location_refuses_the_others(server: DocumentAIServer) -> None:
    address: Address = server.addresses[1]
    for transport in ("grpc", "rest"):
        with client_over(transport, address) as client:
            assert len(ask(client, "eu").document.pages) == 3
            assert refused(lambda made=client: ask(made, "us")).code == 400  # type: ignore[misc]


def test_a_plan_that_cannot_be_is_told_and_changes_nothing(server: DocumentAIServer) -> None:
    play(server, "seed = 5")
    url = f"{server.emulation_address}/emulation"
    for body in (b"{", b'{"quotas": 3}', b'{"errors": [{"rate": 2}]}', b"\xff"):
        answer = httpx.put(url, content=body)
        assert answer.status_code == 400
        assert answer.json()["error"]
    assert httpx.get(url).json()["plan"]["seed"] == 5
    assert httpx.put(url, content=b" " * (1024 * 1024 + 1)).status_code == 413


def test_without_being_asked_for_there_is_no_admin_port() -> None:
    options = ServerOptions(readers=ReaderOptions(settings={}, blank=True), grace_seconds=1.0)
    running = DocumentAIServer(options)
    try:
        assert running.emulation_address is None
    finally:
        running.stop()


def test_the_old_retry_of_the_library_hammers_and_the_count_shows_it(server: DocumentAIServer) -> None:
    play(server, "retry_info = 30.0\nquotas = [{requests_per_minute = 1, burst_seconds = 1}]")
    with client_over("grpc", server.addresses[0]) as client:
        ask(client)
        raw = documentai.RawDocument(content=CONTENT, mime_type="application/pdf")
        request = documentai.ProcessRequest(name=OCR.format("us"), raw_document=raw, imageless_mode=True)
        retry = exceptions_retry()
        with pytest.raises((exceptions.RetryError, exceptions.ResourceExhausted)):
            client.process_document(request=request, retry=retry)
    assert counts(server)["total"]["refused"]["quota"] >= 2


def exceptions_retry() -> Any:
    """The library's own, in two seconds instead of three hundred."""
    from google.api_core.retry import Retry, if_exception_type

    return Retry(
        predicate=if_exception_type(exceptions.ResourceExhausted),
        initial=0.1,
        multiplier=1.5,
        maximum=0.5,
        timeout=2.0,
    )


def test_grpc_reflects_the_details_as_a_status(server: DocumentAIServer) -> None:
    play(server, "quotas = [{requests_per_minute = 1, burst_seconds = 1}]")
    with client_over("grpc", server.addresses[0]) as client:
        ask(client)
        with pytest.raises(exceptions.ResourceExhausted) as no:
            ask(client)
    (cause,) = no.value.errors
    assert cause.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
