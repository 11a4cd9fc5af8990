"""google.longrunning.Operations over the file of operations."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any

from docfleet.documentai_server.calls import CallFacts
from docfleet.documentai_server.methods import OPERATIONS, MethodTable
from docfleet.documentai_server.numbering import project_number
from docfleet.documentai_server.operations import Item, Operation, Operations
from docfleet.documentai_server.refusals import Code, Refusal, invalid, not_found, not_served

_NAME = re.compile(r"projects/([^/]+)/(?:locations/([^/]+)/)?operations/([^/]+)")
_PARENT = re.compile(r"projects/([^/]+)(?:/locations/([^/]+))?(?:/operations)?")
MOST_LISTED = 1000
LISTED = 100
LONGEST_WAIT_SECONDS = 300.0
LOOK_SECONDS = 0.5


class LongRunning:
    """Get, List, Cancel, Delete and Wait. `cancel` stops a batch that is at work."""

    def __init__(self, operations: Operations, cancel: Callable[[str], None]) -> None:
        self._operations = operations
        self._cancel = cancel

    def register(self, methods: MethodTable) -> None:
        methods.register("GetOperation", self.get, OPERATIONS)
        methods.register("ListOperations", self.list, OPERATIONS)
        methods.register("CancelOperation", self.cancel, OPERATIONS)
        methods.register("DeleteOperation", self.delete, OPERATIONS)
        methods.register("WaitOperation", self.wait, OPERATIONS)

    def keep(self, operation: Any) -> None:
        """Remembers an operation that had ended when it was answered, as a raw message."""
        kind = operation.metadata.type_url.rpartition(".")[2].removesuffix("Metadata")
        told, response = operation.metadata.SerializeToString(), operation.response.SerializeToString()
        self._operations.add_done(operation.name, kind, told, response)

    def get(self, request: Any, call: CallFacts) -> Any:
        return self._message(self._found(request.name))

    def list(self, request: Any, call: CallFacts) -> Any:
        parent = _PARENT.fullmatch(request.name)
        if parent is None:
            raise invalid("name", f"Invalid resource name {request.name[:200]!r}; expected projects/*/locations/*.")
        if request.filter:
            raise not_served("ListOperations with a filter")
        if request.page_size < 0:
            raise invalid("page_size", "The page size must not be negative.")
        size = min(request.page_size or LISTED, MOST_LISTED)
        found = self._operations.list(parent[1], parent[2] or "", request.page_token, size + 1)
        answer = _operations_pb2().ListOperationsResponse(operations=[self._message(one) for one in found[:size]])
        if len(found) > size:
            answer.next_page_token = found[size - 1].id
        return answer

    def cancel(self, request: Any, call: CallFacts) -> Any:
        found = self._found(request.name)
        if not found.done:
            self._cancel(found.id)
        return _empty()

    def delete(self, request: Any, call: CallFacts) -> Any:
        found = self._found(request.name)
        if not self._operations.delete(found.id):
            raise Refusal(Code.FAILED_PRECONDITION, "The operation is not done; cancel it first.")
        return _empty()

    def wait(self, request: Any, call: CallFacts) -> Any:
        asked = request.timeout.ToNanoseconds() / 1e9 if request.HasField("timeout") else LONGEST_WAIT_SECONDS
        until = time.monotonic() + min(max(asked, 0.0), LONGEST_WAIT_SECONDS)
        if call.deadline is not None:
            # an answer that comes after the caller has gone is none
            until = min(until, call.deadline - LOOK_SECONDS)
        while True:
            found = self._found(request.name)
            left = until - time.monotonic()
            if found.done or left <= 0.0 or not call.is_active():
                return self._message(found)
            self._operations.wait_for_change(min(left, LOOK_SECONDS))

    def _found(self, name: str) -> Operation:
        parsed = _NAME.fullmatch(name)
        if parsed is None:
            raise invalid(
                "name", f"Invalid resource name {name[:200]!r}; expected projects/*/locations/*/operations/*."
            )
        found = self._operations.get(project_number(parsed[1]), parsed[2] or "", parsed[3])
        if found is None:
            raise not_found(name)
        return found

    def _message(self, found: Operation) -> Any:
        return operation_message(found, self._operations.items(found.id) if found.kind == "batch" else [])


def operation_message(found: Operation, items: list[Item]) -> Any:
    """A raw `google.longrunning.Operation`."""
    message = _operations_pb2().Operation(name=found.name, done=found.done)
    if found.kind != "batch":
        message.metadata.ParseFromString(found.metadata)
        message.response.ParseFromString(found.response)
        return message
    message.metadata.Pack(_batch_metadata(found, items))
    if found.done and found.code:
        message.error.code, message.error.message = found.code, found.message
    elif found.done:
        message.response.Pack(_documentai().BatchProcessResponse.pb()())
    return message


def _batch_metadata(found: Operation, items: list[Item]) -> Any:
    raw = _documentai().BatchProcessMetadata.pb()
    told = raw(state=raw.State.Value(found.state.value), state_message=found.message)
    told.create_time.FromNanoseconds(int(found.made_at * 1e9))
    told.update_time.FromNanoseconds(int(found.updated_at * 1e9))
    for one in items:
        status = told.individual_process_statuses.add(
            input_gcs_source=one.source, output_gcs_destination=one.destination
        )
        status.status.code, status.status.message = one.code, one.message
        if one.ended and not one.code:
            status.human_review_status.state = type(status.human_review_status).State.SKIPPED
    return told


def _empty() -> Any:
    return import_module("google.protobuf.empty_pb2").Empty()


# Google's packages are loaded (over a second) with the first call, never at import


def _operations_pb2() -> Any:
    return import_module("google.longrunning.operations_pb2")


def _documentai() -> Any:
    return import_module("google.cloud.documentai_v1")
