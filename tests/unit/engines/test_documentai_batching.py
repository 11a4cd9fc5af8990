"""Batches over real gRPC: submitted, polled, found again by another process, shards put together."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import msgspec
import pytest
from google.cloud import documentai_v1
from google.longrunning import operations_pb2

from docfleet.documentai_format import from_proto, to_json
from docfleet.domain.document import Document, ShardInfo
from docfleet.domain.quota import QuotaLimits, Wait
from docfleet.engines.documentai.batch import (
    Batches,
    BatchFile,
    BatchPlace,
    BatchState,
    BatchTicket,
    Progress,
    next_poll,
)
from docfleet.engines.documentai.client import GrpcTransport
from docfleet.engines.documentai.endpoints import endpoints_of
from docfleet.engines.documentai.failures import Failure, FailureKind
from docfleet.engines.documentai.options import check_options
from docfleet.errors import PartsMismatch, UsageError
from docfleet.quota.local import LocalQuota
from docfleet.telemetry import metrics
from docfleet.telemetry.catalog import ENGINE_REQUESTS
from documentai_double import SERVICE, options_for, pages_document

FILES = [BatchFile("in/a.pdf", "application/pdf"), BatchFile("in/b.pdf", "application/pdf")]


class Bucket:
    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    def get(self, key: str) -> bytes:
        return self.kept[key]

    def list(self, prefix: str = "") -> Iterator[str]:
        return iter([key for key in sorted(self.kept, reverse=True) if key.startswith(f"{prefix}/")])


class Service:
    """Runs nothing: what operations say is set by the test."""

    def __init__(self) -> None:
        self.requests: list[Any] = []
        self.operations: dict[str, operations_pb2.Operation] = {}
        self.server = grpc.server(ThreadPoolExecutor(4))
        own = {
            "BatchProcessDocuments": grpc.unary_unary_rpc_method_handler(
                self.batch,
                documentai_v1.BatchProcessRequest.pb().FromString,
                operations_pb2.Operation.SerializeToString,
            )
        }
        running = {
            "GetOperation": grpc.unary_unary_rpc_method_handler(
                self.get, operations_pb2.GetOperationRequest.FromString, operations_pb2.Operation.SerializeToString
            ),
            "ListOperations": grpc.unary_unary_rpc_method_handler(
                self.list,
                operations_pb2.ListOperationsRequest.FromString,
                operations_pb2.ListOperationsResponse.SerializeToString,
            ),
        }
        self.server.add_generic_rpc_handlers(
            (
                grpc.method_handlers_generic_handler(SERVICE, own),
                grpc.method_handlers_generic_handler("google.longrunning.Operations", running),
            )
        )
        self.address = f"127.0.0.1:{self.server.add_insecure_port('127.0.0.1:0')}"
        self.server.start()

    def batch(self, request: Any, _context: Any) -> Any:
        self.requests.append(request)
        name = f"projects/7/locations/us/operations/{len(self.requests)}"
        self.tell(name, request, [])
        return self.operations[name]

    def tell(self, name: str, request: Any, results: list[tuple[str, int]], error: int = 0) -> None:
        """`results`: (output, code) of each file."""
        operation = operations_pb2.Operation(name=name, done=bool(results))
        metadata = documentai_v1.BatchProcessMetadata.pb()()
        documents = request.input_documents.gcs_documents.documents
        for position, one in enumerate(documents):
            output, code = results[position] if results else ("", 0)
            status = metadata.individual_process_statuses.add(
                input_gcs_source=one.gcs_uri, output_gcs_destination=output
            )
            status.status.code = code
        operation.metadata.Pack(metadata)
        if error:
            operation.error.code = error
        self.operations[name] = operation

    def get(self, request: Any, context: Any) -> Any:
        if request.name not in self.operations:
            context.abort(grpc.StatusCode.UNAVAILABLE, "later")
        return self.operations[request.name]

    def list(self, request: Any, _context: Any) -> Any:
        assert request.name == "projects/tests/locations/us"
        names = sorted(self.operations)
        at = int(request.page_token or 0)
        token = str(at + 1) if at + 1 < len(names) else ""
        found = [self.operations[names[at]]] if names else []
        return operations_pb2.ListOperationsResponse(operations=found, next_page_token=token)


@pytest.fixture
def service() -> Iterator[Service]:
    made = Service()
    yield made
    made.server.stop(0).wait()


def shards(bucket: Bucket, output: str, texts: list[list[str]]) -> None:
    first, offset = 1, 0
    for index, pages in enumerate(texts):
        document = from_proto(pages_document(pages, first))
        info = ShardInfo(index, len(texts), offset)
        data = to_json(msgspec.structs.replace(document, shard_info=info))
        bucket.kept[f"{output}/a-{index}.json"] = data if isinstance(data, bytes) else str(data).encode()
        first, offset = first + len(pages), offset + len(document.text)


def parts(service: Service, bucket: Bucket, limits: QuotaLimits | None = None) -> tuple[Batches, Any, GrpcTransport]:
    options = options_for(service.address)
    facts = options.facts()
    transport = GrpcTransport(options, facts)
    quota = LocalQuota(facts.quota_limits if limits is None else lambda _key: limits)
    batches = Batches(options, facts, transport, quota, BatchPlace("gs://bucket/x", bucket))
    return batches, endpoints_of(options, facts, "OCR_PROCESSOR")[0], transport


def test_a_batch_from_its_beginning_to_its_documents(service: Service) -> None:
    bucket = Bucket()
    batches, endpoint, transport = parts(service, bucket)
    ticket = batches.submit(endpoint, "out/1", FILES, pages_per_shard=2)
    assert isinstance(ticket, BatchTicket)
    request = service.requests[0]
    assert [one.gcs_uri for one in request.input_documents.gcs_documents.documents] == [
        "gs://bucket/x/in/a.pdf",
        "gs://bucket/x/in/b.pdf",
    ]
    config = request.document_output_config.gcs_output_config
    assert (config.gcs_uri, config.sharding_config.pages_per_shard) == ("gs://bucket/x/out/1/", 2)
    assert "shard_info" in config.field_mask.paths

    running = batches.poll(ticket)
    assert isinstance(running, Progress)
    assert running.state is BatchState.RUNNING
    transport.close()

    # another process goes on with what was kept
    kept = msgspec.json.decode(msgspec.json.encode(ticket), type=BatchTicket)
    later, _, transport = parts(service, bucket)
    shards(bucket, "out/1/1/0", [["one\n", "two\n"], ["three\n"], ["four\n"]])
    service.tell(kept.operation, request, [("gs://bucket/x/out/1/1/0", 0), ("", 3)])
    progress = later.poll(kept)
    assert isinstance(progress, Progress)
    assert progress.state is BatchState.SUCCEEDED
    found = dict(later.collect(kept, progress))
    transport.close()
    whole, refused = found["in/a.pdf"], found["in/b.pdf"]
    assert isinstance(whole, Document)
    assert whole.text == "one\ntwo\nthree\nfour\n"
    assert [page.number for page in whole.pages] == [1, 2, 3, 4]
    assert [whole.text_of(page.layout) for page in whole.pages if page.layout] == [
        "one\n",
        "two\n",
        "three\n",
        "four\n",
    ]
    assert isinstance(refused, Failure)
    assert refused.kind is FailureKind.DOCUMENT


def test_a_batch_whose_answer_was_never_kept_is_found_again(service: Service) -> None:
    bucket = Bucket()
    batches, endpoint, transport = parts(service, bucket)
    assert batches.find(endpoint, "out/2", FILES) is None
    batches.submit(endpoint, "out/1", FILES[:1])
    ticket = batches.submit(endpoint, "out/2", FILES)
    assert isinstance(ticket, BatchTicket)
    again = batches.find(endpoint, "out/2", FILES)
    assert isinstance(again, BatchTicket)
    assert again.operation == ticket.operation
    transport.close()


def test_while_a_batch_tells_nothing_of_its_files_it_may_be_the_one(service: Service) -> None:
    batches, endpoint, transport = parts(service, Bucket())
    silent = operations_pb2.Operation(name="projects/7/locations/us/operations/9")
    silent.metadata.Pack(documentai_v1.BatchProcessMetadata.pb()())
    service.operations[silent.name] = silent
    unsure = batches.find(endpoint, "out/1", FILES)
    assert isinstance(unsure, Failure)
    assert unsure.code == "operations_unclear"
    silent.done = True
    assert batches.find(endpoint, "out/1", FILES) is None
    transport.close()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"batch_uri": "s3://bucket/x"}, "gs://bucket"),
        ({"batch_uri": "gs://bucket/x/"}, "slash"),
        ({"batch_uri": "gs://bucket/x", "transport": "rest"}, "over gRPC"),
        ({"batch_uri": "gs://bucket", "residency": {"acme": ("eu",)}}, "must hold {location}"),
        ({"batch_uri": "gs://b-{location}", "batch_store_url": "file:///b"}, "or neither"),
        ({"batch_uri": "gs://b", "batch_urgencies": ("idle",)}, "is none of"),
    ],
)
def test_settings_of_batches_that_do_not_fit_together_are_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        check_options(options_for("localhost:1", "us", "eu", **given))


def test_a_bucket_for_each_location_satisfies_residency() -> None:
    check_options(options_for("localhost:1", "us", "eu", batch_uri="gs://b-{location}/x", residency={"acme": ("eu",)}))


def test_more_batches_than_there_may_be_wait_and_a_missing_shard_is_an_error(service: Service) -> None:
    bucket = Bucket()
    batches, endpoint, transport = parts(service, bucket, QuotaLimits(concurrent=1))
    ticket = batches.submit(endpoint, "out/1", FILES[:1])
    assert isinstance(ticket, BatchTicket)
    assert isinstance(batches.submit(endpoint, "out/2", FILES), Wait)
    shards(bucket, "out/1/1/0", [["one\n"], ["two\n"]])
    del bucket.kept["out/1/1/0/a-1.json"]
    service.tell(ticket.operation, service.requests[0], [("gs://bucket/x/out/1/1/0", 0)])
    progress = batches.poll(ticket)
    assert isinstance(progress, Progress)
    with pytest.raises(PartsMismatch):
        list(batches.collect(ticket, progress))
    assert isinstance(batches.submit(endpoint, "out/2", FILES), BatchTicket), "its place came back"
    transport.close()


def test_a_batch_that_failed_and_a_poll_that_did(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "BOOK", metrics.Book())
    monkeypatch.setattr(metrics, "_enabled", True)
    bucket = Bucket()
    batches, endpoint, transport = parts(service, bucket)
    ticket = batches.submit(endpoint, "out/1", FILES)
    assert isinstance(ticket, BatchTicket)
    service.tell(ticket.operation, service.requests[0], [("", 0), ("", 0)], error=3)
    progress = batches.poll(ticket)
    assert isinstance(progress, Progress)
    assert progress.state is BatchState.FAILED
    assert all(isinstance(result, Failure) for _, result in batches.collect(ticket, progress))
    service.operations.clear()
    lost = batches.poll(ticket)
    assert isinstance(lost, Failure)
    assert lost.kind is FailureKind.AWAY
    told = {one.labels: one.value for one in metrics.BOOK.read() if one.metric == ENGINE_REQUESTS.name}
    assert told == {
        ("documentai_batch", endpoint.breaker, "ok"): 2,
        ("documentai_batch", endpoint.breaker, "error"): 1,
    }, "its beginning, a poll, and one that failed"
    transport.close()


def test_polls_grow_rare() -> None:
    waits = [next_poll(polls) for polls in range(30)]
    assert waits == sorted(waits)
    assert (waits[0], waits[-1], next_poll(0, 40.0), next_poll(10**6)) == (2.0, 120.0, 40.0, 120.0)
