"""Large volumes: BatchProcessDocuments through object storage, polled with backoff, survived by its ticket.

    ticket = batches.submit(prefix, [BatchFile("a.pdf", "application/pdf"), …])      # keep it, then
    progress = batches.poll(ticket)                                                  # in any process, at any time
    for name, result in batches.collect(ticket, progress): …                         # a `Document`, or why not

A process that dies between asking and keeping the answer finds its operation again by the files it reads (`find`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from importlib import import_module
from typing import Any, Protocol

import msgspec

from docfleet.documentai_format import from_json, merge
from docfleet.domain.document import Document
from docfleet.domain.quota import Grant, Quota, QuotaKey, Wait
from docfleet.engines.documentai.calls import Endpoint
from docfleet.engines.documentai.client import GrpcTransport
from docfleet.engines.documentai.facts import BATCH, Facts
from docfleet.engines.documentai.failures import Failure, FailureKind, details_of_proto, judge
from docfleet.engines.documentai.options import PAGE_FIELDS, DocumentAIOptions
from docfleet.engines.documentai.request import fill_ocr_config
from docfleet.engines.documentai.use import Outcome, outcome_of
from docfleet.errors import EngineFailed
from docfleet.telemetry import metrics
from docfleet.telemetry.catalog import ENGINE_DURATION, ENGINE_REQUESTS

ENGINE = "documentai_batch"
CALL_SECONDS = 60.0
_CODES = (
    "OK CANCELLED UNKNOWN INVALID_ARGUMENT DEADLINE_EXCEEDED NOT_FOUND ALREADY_EXISTS PERMISSION_DENIED "
    "RESOURCE_EXHAUSTED FAILED_PRECONDITION ABORTED OUT_OF_RANGE UNIMPLEMENTED INTERNAL UNAVAILABLE DATA_LOSS "
    "UNAUTHENTICATED"
).split()


class Objects(Protocol):
    """What of a `Store` is needed of the bucket, whose keys are those below `BatchPlace.uri`."""

    def get(self, key: str) -> bytes: ...

    def list(self, prefix: str = "") -> Iterator[str]: ...


class BatchPlace(msgspec.Struct, frozen=True):
    uri: str
    """`gs://bucket[/prefix]` without a slash at its end: what the keys of `objects` stand below."""
    objects: Objects


class BatchFile(msgspec.Struct, frozen=True):
    key: str
    """Where the file lies in the place."""
    mime_type: str


class BatchTicket(msgspec.Struct, frozen=True):
    """All that is needed to go on with a batch; plain data, to be kept."""

    operation: str
    host: str
    output: str
    """Prefix of the results' keys."""
    keys: tuple[str, ...]
    grant: Grant | None = None
    """Its place among the batches under way."""


class BatchState(StrEnum):
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    """As a whole; single files may have results all the same."""


class FileStatus(msgspec.Struct, frozen=True):
    key: str
    output: str = ""
    """Prefix of the keys of its shards; empty: there are none."""
    failure: Failure | None = None


class Progress(msgspec.Struct, frozen=True):
    state: BatchState
    files: tuple[FileStatus, ...]
    failure: Failure | None = None


def next_poll(polls: int, retry_after: float | None = None) -> float:
    """Seconds to wait before the next poll, after so many: 2 s, half as much again each time, two minutes at most.

    Every poll counts towards the project's requests of a minute.
    """
    return max(retry_after or 0.0, min(120.0, 2.0 * 1.5 ** min(polls, 20)))


class Batches:
    """Batches of one project. `endpoint`: the processor; `quota`: bounds the batches under way in its location."""

    def __init__(
        self, options: DocumentAIOptions, facts: Facts, transport: GrpcTransport, quota: Quota, place: BatchPlace
    ) -> None:
        self._options = options
        self._facts = facts
        self._transport = transport
        self._quota = quota
        self._place = place

    def place(self, endpoint: Endpoint) -> Grant | Wait:
        """A place among the batches that may be under way; handed to `submit`. To be kept before that: what is not
        given back is missing until a batch would have ended."""
        return self._quota.ask(QuotaKey(endpoint.quota.project, endpoint.location, BATCH))

    def submit(
        self,
        endpoint: Endpoint,
        output: str,
        files: Sequence[BatchFile],
        pages_per_shard: int = 0,
        *,
        languages: tuple[str, ...] = (),
        grant: Grant | None = None,
    ) -> BatchTicket | Wait | Failure:
        """Asks for a batch. `output`: prefix for its results, used by no other batch. `grant`: of `place`, else it asks
        itself.

        `Wait`: as many batches are under way as there may be. A `Failure` that `may_be_billed` may have begun it all
        the same: `find` tells.
        """
        asked = grant or self.place(endpoint)
        if isinstance(asked, Wait):
            return asked
        grant = asked
        request = self._request(endpoint, output, files, pages_per_shard, languages)
        found = self._call(endpoint.host, endpoint.name, lambda way: way.batch_process_documents, request)
        if isinstance(found, Failure):
            if found.kind is FailureKind.THROTTLED:
                self._quota.throttled(grant, found.retry_after)
            else:
                self._quota.failed(grant)
            return found
        return BatchTicket(found.name, endpoint.host, output, tuple(one.key for one in files), grant)

    def find(
        self, endpoint: Endpoint, output: str, files: Sequence[BatchFile], grant: Grant | None = None
    ) -> BatchTicket | Failure | None:
        """The ticket of a batch that was asked for with these files and this output, if the service knows of one.

        A `Failure` as well while there is a batch that does not tell its files yet: it may be this one.
        """
        request = import_module("google.longrunning.operations_pb2").ListOperationsRequest(
            name=endpoint.name.split("/processors/")[0]
        )
        keys = tuple(one.key for one in files)
        is_unclear = False
        while True:
            found = self._call(endpoint.host, request.name, lambda way: way.list_operations, request)
            if isinstance(found, Failure):
                return found
            for operation in found.operations:
                if self._is_ours(operation, output, keys):
                    return BatchTicket(operation.name, endpoint.host, output, keys, grant)
                is_unclear |= not operation.done and _tells_nothing(operation)
            if not found.next_page_token:
                return Failure(FailureKind.AWAY, "operations_unclear") if is_unclear else None
            request.page_token = found.next_page_token

    def poll(self, ticket: BatchTicket) -> Progress | Failure:
        """How it stands. A `Failure`: nobody could say, ask again."""
        request = import_module("google.longrunning.operations_pb2").GetOperationRequest(name=ticket.operation)
        operation = self._call(ticket.host, ticket.operation, lambda way: way.get_operation, request)
        if isinstance(operation, Failure):
            return operation
        files = tuple(self._files(operation, ticket))
        if not operation.done:
            if ticket.grant is not None:
                self._quota.renew(ticket.grant)
            return Progress(BatchState.RUNNING, files)
        if ticket.grant is not None:
            self._quota.succeeded(ticket.grant)
        failure = _failure(operation.error) if operation.HasField("error") else None
        return Progress(BatchState.FAILED if failure else BatchState.SUCCEEDED, files, failure)

    def collect(self, ticket: BatchTicket, progress: Progress) -> Iterator[tuple[str, Document | Failure]]:
        """Each file's key with its document, shards put together, or with why there is none.

        Raises `PartsMismatch` where a shard is missing, and what the store raises.
        """
        told = {one.key: one for one in progress.files}
        for key in ticket.keys:
            status = told.get(key)
            if status is not None and status.output:
                shards = sorted(one for one in self._place.objects.list(status.output) if one.endswith(".json"))
                if shards:
                    yield key, merge([from_json(self._place.objects.get(one), lossless=False) for one in shards])
                    continue
            failure = (status.failure if status is not None else None) or progress.failure
            yield key, failure or Failure(FailureKind.BROKEN, "no_result", message="the batch left no result for it")

    # --- the messages

    def _request(
        self,
        endpoint: Endpoint,
        output: str,
        files: Sequence[BatchFile],
        pages_per_shard: int,
        languages: tuple[str, ...],
    ) -> Any:
        types = import_module("google.cloud.documentai_v1")
        request = types.BatchProcessRequest.pb()()
        request.name = endpoint.name
        request.skip_human_review = True
        for one in files:
            request.input_documents.gcs_documents.documents.add(gcs_uri=self._uri(one.key), mime_type=one.mime_type)
        target = request.document_output_config.gcs_output_config
        target.gcs_uri = f"{self._uri(output)}/"
        # its shard says where it belongs
        target.field_mask.paths.extend(PAGE_FIELDS)
        if pages_per_shard:
            target.sharding_config.pages_per_shard = pages_per_shard
        if self._facts.processor(endpoint.kind).ocr_config:
            fill_ocr_config(request.process_options.ocr_config, self._options, languages)
        return types.BatchProcessRequest.wrap(request)

    def _call(self, host: str, name: str, method: Callable[[Any], Any], request: Any) -> Any:
        """The answer of one call, or its `Failure`."""
        failure_of = import_module("docfleet.engines.documentai.raised").failure_of
        started, outcome = time.monotonic(), Outcome.ERROR
        try:
            way, headers = self._transport.operations(host)
            headers = [*headers, ("x-goog-request-params", f"name={name}")]
            answer = method(way)(request, timeout=CALL_SECONDS, metadata=headers)
            outcome = Outcome.OK
            return answer
        except Exception as error:
            failure: Failure | None = failure_of(error)
            if failure is None:
                raise
            outcome = outcome_of(failure)
            return failure
        finally:
            place = f"{_location(name)}@{host}"
            metrics.count(ENGINE_REQUESTS, 1.0, ENGINE, place, outcome)
            metrics.observe(ENGINE_DURATION, time.monotonic() - started, ENGINE, place)

    def _is_ours(self, operation: Any, output: str, keys: tuple[str, ...]) -> bool:
        statuses = _metadata(operation).individual_process_statuses
        sources = {one.input_gcs_source for one in statuses}
        if sources != {self._uri(key) for key in keys}:
            return False
        targets = [one.output_gcs_destination for one in statuses if one.output_gcs_destination]
        return all(target.startswith(f"{self._uri(output)}/") for target in targets)

    def _files(self, operation: Any, ticket: BatchTicket) -> Iterator[FileStatus]:
        by_uri = {self._uri(key): key for key in ticket.keys}
        for status in _metadata(operation).individual_process_statuses:
            key = by_uri.get(status.input_gcs_source)
            if key is None:
                continue
            failure = _failure(status.status) if status.status.code else None
            yield FileStatus(key, self._key(status.output_gcs_destination), failure)

    def _uri(self, key: str) -> str:
        return f"{self._place.uri}/{key}"

    def _key(self, uri: str) -> str:
        """The key prefix of an output. Raises `EngineFailed` for one that is not in the place."""
        if not uri:
            return ""
        if not uri.startswith(f"{self._place.uri}/"):
            raise EngineFailed(f"Document AI wrote to {uri}, which is not below {self._place.uri}.")
        return uri.removeprefix(f"{self._place.uri}/").rstrip("/")


def _location(name: str) -> str:
    """Of a name such as `projects/1/locations/eu/operations/2`."""
    return name.partition("/locations/")[2].partition("/")[0]


def _metadata(operation: Any) -> Any:
    metadata = import_module("google.cloud.documentai_v1").BatchProcessMetadata.pb()()
    operation.metadata.Unpack(metadata)
    return metadata


def _tells_nothing(operation: Any) -> bool:
    """A batch that names none of its files; operations of other kinds never do."""
    kind = operation.metadata.type_url.rpartition(".")[2]
    return kind == "BatchProcessMetadata" and not _metadata(operation).individual_process_statuses


def _failure(status: Any) -> Failure:
    name = _CODES[status.code] if 0 <= status.code < len(_CODES) else "UNKNOWN"
    details = details_of_proto(status.details)
    return judge(name, status.message, msgspec.structs.replace(details, answered=True))
