"""A small Document AI in this process, over real gRPC: what it answers to each request is a function of the test's."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
from google.cloud import documentai_v1
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from docfleet.documentai_format import as_google, join, to_proto
from docfleet.domain.document import Document, Page
from docfleet.domain.quota import QuotaKey
from docfleet.engines.documentai.calling import Caller
from docfleet.engines.documentai.facts import Facts
from docfleet.engines.documentai.options import DocumentAIOptions, Processor
from docfleet.quota.open import open_breakers, open_quota

SERVICE = "google.cloud.documentai.v1.DocumentProcessorService"


class Refusal(Exception):
    """What the double answers instead of a document."""

    def __init__(self, code: grpc.StatusCode, message: str = "", *details: Any) -> None:
        super().__init__(message)
        self.status = status_pb2.Status(code=code.value[0], message=message, details=[_packed(one) for one in details])


def _packed(detail: Any) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(detail)
    return packed


def rate_limited(retry_after: float | None = None) -> Refusal:
    """As the service words it."""
    info = error_details_pb2.ErrorInfo(
        reason="RATE_LIMIT_EXCEEDED", domain="googleapis.com", metadata={"service": "documentai.googleapis.com"}
    )
    details: list[Any] = [info]
    if retry_after is not None:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromNanoseconds(int(retry_after * 1e9))
        details.append(retry)
    return Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, "Quota exceeded for quota metric …", *details)


def pages_document(texts: Sequence[str], first: int = 1) -> Any:
    """A raw document of so many pages, in Google's convention, numbered from `first`."""
    made: Document = as_google(join([(text, Page(number=first + n)) for n, text in enumerate(texts)]), "v2")
    return to_proto(made)


def selected(request: Any, pages: int) -> list[int]:
    """Pages of a file of `pages` that a request asks for."""
    options = request.process_options
    if options.WhichOneof("page_range") == "from_start":
        return list(range(1, min(pages, options.from_start) + 1))
    if options.individual_page_selector.pages:
        return list(options.individual_page_selector.pages)
    return list(range(1, pages + 1))


class Double:
    """`answer` is given every raw `ProcessRequest` with the metadata, and returns a raw `Document` or raises."""

    def __init__(self, answer: Callable[[Any, dict[str, str]], Any]) -> None:
        self.answer = answer
        self.requests: list[Any] = []
        self.at_a_time = 0
        self._under_way = 0
        self._lock = threading.Lock()
        self.server = grpc.server(
            ThreadPoolExecutor(16),
            options=[("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)],
        )
        handlers = {
            "ProcessDocument": grpc.unary_unary_rpc_method_handler(
                self._process,
                request_deserializer=documentai_v1.ProcessRequest.pb().FromString,
                response_serializer=lambda message: message.SerializeToString(),
            )
        }
        self.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
        self.address = ""

    def _process(self, request: Any, context: grpc.ServicerContext) -> Any:
        with self._lock:
            self.requests.append(request)
            self._under_way += 1
            self.at_a_time = max(self.at_a_time, self._under_way)
        try:
            document = self.answer(request, {key: str(value) for key, value in context.invocation_metadata()})
        except Refusal as refusal:
            context.abort_with_status(rpc_status.to_status(refusal.status))
        finally:
            with self._lock:
                self._under_way -= 1
        response = documentai_v1.ProcessResponse.pb()()
        response.document.CopyFrom(document)
        return response


@contextmanager
def running(answer: Callable[[Any, dict[str, str]], Any], tls: Any = None) -> Iterator[Double]:
    """`tls`: credentials of the server; None: none. Found at `double.address`."""
    double = Double(answer)
    port = double.server.add_secure_port("localhost:0", tls) if tls else double.server.add_insecure_port("127.0.0.1:0")
    double.address = f"localhost:{port}" if tls else f"127.0.0.1:{port}"
    double.server.start()
    try:
        yield double
    finally:
        double.server.stop(0).wait()


def options_for(address: str, *locations: str, **more: Any) -> DocumentAIOptions:
    """Options of an engine with one OCR processor in each location, all at `address`."""
    given: dict[str, Any] = {
        "project": "tests",
        "processors": tuple(Processor(f"ocr{n}", place) for n, place in enumerate(locations or ("us",))),
        "endpoint": address,
        "insecure": True,
        "anonymous": True,
        "connect_seconds": 3.0,
        **more,
    }
    return DocumentAIOptions(**given)


def caller_for(options: DocumentAIOptions, transport: Any = None, **more: Any) -> Caller:
    """A caller with quotas and breakers of its own."""
    from docfleet.engines.documentai.client import open_transport

    facts: Facts = options.facts()
    quota = more.pop("quota", None) or open_quota(lambda key: limits_of(facts, key))
    breakers = more.pop("breakers", None) or open_breakers()
    return Caller(options, facts, transport or open_transport(options, facts), quota, breakers, **more)


def limits_of(facts: Facts, key: QuotaKey) -> Any:
    return facts.quota_limits(key)


def wait_until(met: Callable[[], bool], seconds: float = 5.0) -> bool:
    until = time.monotonic() + seconds
    while not met():
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True
