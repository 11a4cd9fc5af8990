"""BatchProcessDocuments: documents from buckets, their results as shards in buckets, at work behind the operation.

Documents are read shard by shard, so that memory does not grow with them; each ends by itself in the file of
operations. What was begun when the server died is read again and written over itself.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import msgspec

from docfleet.documentai_server.calls import CallFacts
from docfleet.documentai_server.emulation.bodies import quota_details, quota_message
from docfleet.documentai_server.jobs import Read, ReadJob
from docfleet.documentai_server.limits import PageLimits, Selection, check_pages, check_size, selected_pages
from docfleet.documentai_server.long_running import operation_message
from docfleet.documentai_server.masking import mask_of
from docfleet.documentai_server.methods import MethodTable
from docfleet.documentai_server.names import parse_processor
from docfleet.documentai_server.operations import CANCELLED_CODE, CANCELLED_TEXT, Item, Operation, Operations, TooMany
from docfleet.documentai_server.processing import Processing
from docfleet.documentai_server.refusals import Code, Refusal, invalid
from docfleet.documentai_server.sharding import destination_of, shard_name, shard_ranges
from docfleet.documentai_server.storage import Buckets, split_uri
from docfleet.domain.document import ShardInfo
from docfleet.engines.documentai.facts import Facts
from docfleet.errors import BadKey, DocfleetError, NotStored, StoreError
from docfleet.telemetry import logger

_log = logger("documentai_server")

MOST_TRIES = 5
"""A document during which the server died this often is given up."""
STORE_TRIES = 4
IDLE_SECONDS = 0.5
BUSY_SECONDS = 1.0


class BatchLimits(msgspec.Struct, frozen=True):
    concurrent: int | None = 5
    """Batches at work per project and location; None: any number."""
    files: int = 5000
    file_bytes: int = 1024**3


class DocumentReader(Protocol):
    """The pool of reader processes."""

    def read(self, job: ReadJob, deadline: float | None = None, is_active: Callable[[], bool] = ...) -> Read: ...


class Prepared(msgspec.Struct, frozen=True):
    """What a batch asks for, of each of its documents."""

    job: ReadJob
    """Without the document."""
    pages: int
    """The most a document may have."""


Prepare = Callable[[Any], Prepared]
"""Of a raw `BatchProcessRequest`. Raises `Refusal`, such as for a processor that does not exist."""


def preparing(processing: Processing, facts: Facts) -> Prepare:
    """As a request for one document is prepared, with the mask and the page limit of batches."""

    def prepare(request: Any) -> Prepared:
        processor = processing.processor_of(request.name)
        job = processing.job_of(request, processor, parse_processor(request.name).version)
        mask = mask_of(request.document_output_config.gcs_output_config.field_mask.paths)
        return Prepared(msgspec.structs.replace(job, mask=mask), facts.processor(processor.kind).batch_pages)

    return prepare


class Batches:
    """Accepts batches and works through them with so many threads. Close it to stop: what is under way is left for
    the next start."""

    def __init__(
        self,
        operations: Operations,
        buckets: Buckets,
        reader: DocumentReader,
        prepare: Prepare,
        limits: Callable[[], BatchLimits],
        *,
        workers: int = 2,
        waiting_seconds: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._operations = operations
        self._buckets = buckets
        self._reader = reader
        self._prepare = prepare
        self._limits = limits
        self._waiting_seconds = waiting_seconds
        self._lock = threading.Lock()
        self._busy: set[tuple[str, int]] = set()
        self._cancelled: set[str] = set()
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._work, name=f"batch-{n}", daemon=True) for n in range(max(1, workers))
        ]

    def register(self, methods: MethodTable) -> None:
        methods.register("BatchProcessDocuments", self.accept)

    def start(self) -> None:
        """Goes on with what an earlier process left."""
        self._operations.finish_cancelling()
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        self._stop.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(30.0)

    # --- accepting

    def accept(self, request: Any, call: CallFacts) -> Any:
        """Durable when it returns its operation."""
        self._prepare(request)
        limits = self._limits()
        output = request.document_output_config.gcs_output_config
        _check_output(output)
        sources = self._sources(request.input_documents)
        if not sources:
            raise invalid("input_documents", "There are no documents to process.")
        if len(sources) > limits.files:
            raise invalid("input_documents", f"{len(sources)} documents exceed the limit: {limits.files}.")
        try:
            made = self._operations.accept_batch(
                call.project, call.location, request.SerializeToString(), sources, limits.concurrent
            )
        except TooMany as error:
            value = float(limits.concurrent or 0)
            details = quota_details("batch", call.project, call.location, value, None)
            message = quota_message("batch", call.project, call.location)
            raise Refusal(Code.RESOURCE_EXHAUSTED, message, *details) from error
        _log.info("documentai_batch_accepted", operation=made.name, documents=len(sources))
        return operation_message(made, self._operations.items(made.id))

    def _sources(self, inputs: Any) -> list[tuple[str, str]]:
        chosen = inputs.WhichOneof("source")
        try:
            if chosen == "gcs_documents":
                found = [(one.gcs_uri, one.mime_type) for one in inputs.gcs_documents.documents]
                for uri, _ in found:
                    split_uri(uri)
                return found
            if chosen == "gcs_prefix":
                bucket, prefix = split_uri(inputs.gcs_prefix.gcs_uri_prefix)
                objects = self._buckets.list(bucket, prefix)
                return [(f"gs://{bucket}/{one.name}", one.content_type) for one in objects]
        except NotStored:
            return []
        except BadKey as error:
            raise invalid(f"input_documents.{chosen}", f"Invalid Cloud Storage URI: {error.message}") from error
        raise invalid("input_documents", "Neither gcs_documents nor gcs_prefix is set.")

    # --- working

    def cancel(self, id: str) -> None:
        with self._lock:
            self._cancelled.add(id)
            self._operations.cancel(id, self._busy)

    def _work(self) -> None:
        while not self._stop.is_set():
            try:
                with self._lock:
                    taken = self._operations.take(self._busy, self._waiting_seconds())
                    if taken is not None:
                        self._busy.add((taken[1].operation, taken[1].position))
                if taken is None:
                    self._operations.wait_for_change(IDLE_SECONDS)
                    continue
                self._end(*taken)
            except DocfleetError as error:  # the file of operations: nothing is lost, all is tried again
                _log.error("documentai_batch_file", error=error)
                self._stop.wait(BUSY_SECONDS)
            except Exception:  # a defect; the other documents are still read
                _log.exception("documentai_batch_worker_failed")
                self._stop.wait(BUSY_SECONDS)

    def _end(self, batch: Operation, item: Item) -> None:
        key = (item.operation, item.position)
        try:
            ended = self._ended(batch, item)
            if ended is not None:
                with self._lock:
                    self._busy.discard(key)
                    self._operations.end_item(ended)
            else:
                self._operations.hand_back(item)
        finally:
            with self._lock:
                self._busy.discard(key)

    def _ended(self, batch: Operation, item: Item) -> Item | None:
        """The document with how it ended; None: the server is stopping."""
        try:
            if item.tries > MOST_TRIES:
                raise Refusal(Code.INTERNAL, f"The server died {MOST_TRIES} times while it read this document.")
            destination = self._read(batch, item)
            return msgspec.structs.replace(item, ended=True, destination=destination)
        except Refusal as error:
            if batch.id in self._cancelled:
                return msgspec.structs.replace(item, ended=True, code=CANCELLED_CODE, message=CANCELLED_TEXT)
            if self._stop.is_set():
                return None
            return _failed(item, error.grpc_code, error.message)
        except NotStored:
            return _failed(item, Code.NOT_FOUND, f"{item.source} was not found.")
        except DocfleetError as error:
            _log.warning("documentai_batch_document", operation=batch.name, error=error)
            return _failed(item, Code.UNAVAILABLE if error.retryable else Code.INTERNAL, error.message)
        except Exception:
            _log.exception("documentai_batch_document_failed", operation=batch.name, position=item.position)
            return _failed(item, Code.INTERNAL, "Internal error encountered.")

    def _read(self, batch: Operation, item: Item) -> str:
        """Writes the shards of one document; returns their folder."""
        request = import_module("google.cloud.documentai_v1").BatchProcessRequest.pb().FromString(batch.request)
        prepared = self._prepare(request)
        output = request.document_output_config.gcs_output_config
        bucket, prefix = split_uri(destination_of(output.gcs_uri, batch.id, item.position))
        with tempfile.TemporaryDirectory(prefix="docfleet-batch-") as folder:
            path = Path(folder) / "source"
            self._fetch(item.source, path)
            job = msgspec.structs.replace(
                prepared.job, path=str(path), mime_type=item.mime_type, uri=item.source, form="json", limits=None
            )
            counted = self._ask(batch, msgspec.structs.replace(job, count_only=True))
            numbers = selected_pages(job.selection, counted.total_pages)
            check_pages(numbers, False, PageLimits(prepared.pages, prepared.pages))
            config = output.sharding_config
            ranges = shard_ranges(len(numbers), config.pages_per_shard, config.pages_overlap)
            offset = first_entity = 0
            for index, positions in enumerate(ranges):
                pages = tuple(numbers[positions.start : positions.stop])
                asked = msgspec.structs.replace(
                    job,
                    selection=Selection(individual=pages),
                    shard=ShardInfo(index, len(ranges), offset),
                    first_entity=first_entity,
                )
                read = self._ask(batch, asked)
                self._put(bucket, f"{prefix}/{shard_name(item.source, index)}", read.body)
                first_entity = read.next_entity
                if index + 1 < len(ranges):
                    following = ranges[index + 1].start - positions.start
                    offset += read.text_starts[following] if following < len(positions) else read.text_length
        return f"gs://{bucket}/{prefix}"

    def _fetch(self, source: str, path: Path) -> None:
        bucket, name = split_uri(source)
        check_size(self._buckets.head(bucket, name).size, self._limits().file_bytes, "input_documents")
        with path.open("wb") as file:
            for chunk in self._buckets.chunks(bucket, name):
                file.write(chunk)

    def _ask(self, batch: Operation, job: ReadJob) -> Read:
        """Reads; while the readers have no room it waits for it."""

        def is_active() -> bool:
            return not self._stop.is_set() and batch.id not in self._cancelled

        while True:
            try:
                return self._reader.read(job, is_active=is_active)
            except Refusal as error:
                if error.grpc_code is not Code.RESOURCE_EXHAUSTED:
                    raise
            if not is_active():
                raise Refusal(Code.CANCELLED, CANCELLED_TEXT)
            self._stop.wait(BUSY_SECONDS)

    def _put(self, bucket: str, name: str, body: bytes) -> None:
        for left in reversed(range(STORE_TRIES)):
            try:
                self._buckets.put(bucket, name, body)
                return
            except StoreError as error:
                if not left or not error.retryable:
                    raise
                self._stop.wait(BUSY_SECONDS)


def _check_output(output: Any) -> None:
    """Raises `Refusal`."""
    try:
        split_uri(output.gcs_uri)
    except BadKey as error:
        field = "document_output_config.gcs_output_config.gcs_uri"
        raise invalid(field, f"Invalid Cloud Storage URI: {error.message}") from error
    config = output.sharding_config
    try:
        shard_ranges(1, config.pages_per_shard, config.pages_overlap)
    except ValueError as error:
        field = "document_output_config.gcs_output_config.sharding_config.pages_overlap"
        raise invalid(field, f"Invalid sharding: {error}.") from error


def _failed(item: Item, code: Code, message: str) -> Item:
    return msgspec.structs.replace(item, ended=True, code=int(code), message=message)
