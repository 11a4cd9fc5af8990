"""Why a call of Document AI's API is refused: a gRPC code, one sentence, and details as Google sends them."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Any

import msgspec

from docfleet.errors import RequestError

if TYPE_CHECKING:
    from docfleet.documentai_server.calls import Delivery

GOOGLE = "googleapis.com"
SERVICE = "documentai.googleapis.com"
INVALID_ARGUMENT_TEXT = "Request contains an invalid argument."
_TYPE = "type.googleapis.com/google.rpc."


class Code(IntEnum):
    """google.rpc.Code."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


HTTP_STATUS = {
    Code.OK: 200,
    Code.CANCELLED: 499,
    Code.UNKNOWN: 500,
    Code.INVALID_ARGUMENT: 400,
    Code.DEADLINE_EXCEEDED: 504,
    Code.NOT_FOUND: 404,
    Code.ALREADY_EXISTS: 409,
    Code.PERMISSION_DENIED: 403,
    Code.RESOURCE_EXHAUSTED: 429,
    Code.FAILED_PRECONDITION: 400,
    Code.ABORTED: 409,
    Code.OUT_OF_RANGE: 400,
    Code.UNIMPLEMENTED: 501,
    Code.INTERNAL: 500,
    Code.UNAVAILABLE: 503,
    Code.DATA_LOSS: 500,
    Code.UNAUTHENTICATED: 401,
}
"""As Google's front maps them."""


class ErrorInfo(msgspec.Struct, frozen=True):
    reason: str
    metadata: dict[str, str] = {}
    domain: str = GOOGLE

    def to_json(self) -> dict[str, Any]:
        said: dict[str, Any] = {"@type": _TYPE + "ErrorInfo", "reason": self.reason, "domain": self.domain}
        return said | ({"metadata": self.metadata} if self.metadata else {})


class FieldViolation(msgspec.Struct, frozen=True):
    """A field of the request that is wrong, and `others`; sent as one google.rpc.BadRequest."""

    field: str
    """Empty: the request itself."""
    description: str
    others: tuple[tuple[str, str], ...] = ()
    """(field, description)."""

    def to_json(self) -> dict[str, Any]:
        violations = [
            {"field": field, "description": said} if field else {"description": said}
            for field, said in ((self.field, self.description), *self.others)
        ]
        return {"@type": _TYPE + "BadRequest", "fieldViolations": violations}


class RetryInfo(msgspec.Struct, frozen=True):
    seconds: float

    def to_json(self) -> dict[str, Any]:
        delay = f"{self.seconds:.9f}".rstrip("0").rstrip(".")
        return {"@type": _TYPE + "RetryInfo", "retryDelay": f"{delay}s"}


Detail = ErrorInfo | FieldViolation | RetryInfo


class Refusal(RequestError):
    """The call is answered with an error. `grpc_code` is what policy reads; details follow the sentence."""

    code = "documentai_refusal"
    delivery: Delivery | None = None
    """How the answer goes out, where that is part of the fault that is played."""

    def __init__(self, grpc_code: Code, message: str, *details: Detail) -> None:
        super().__init__(message)
        self.grpc_code = grpc_code
        self.details = details

    def to_json(self) -> dict[str, Any]:
        """The body of a REST answer."""
        error: dict[str, Any] = {
            "code": HTTP_STATUS[self.grpc_code],
            "message": self.message,
            "status": self.grpc_code.name,
        }
        if self.details:
            error["details"] = [detail.to_json() for detail in self.details]
        return {"error": error}

    def to_status(self) -> Any:
        """As a google.rpc.Status message."""
        from google.protobuf import json_format
        from google.rpc import error_details_pb2, status_pb2

        assert error_details_pb2.DESCRIPTOR is not None  # the details' types must be known before they are packed
        status = status_pb2.Status(code=int(self.grpc_code), message=self.message)
        for detail in self.details:
            json_format.ParseDict(detail.to_json(), status.details.add())
        return status


def invalid(field: str, description: str) -> Refusal:
    """INVALID_ARGUMENT with Google's own sentence, the cause in a field violation."""
    return Refusal(Code.INVALID_ARGUMENT, INVALID_ARGUMENT_TEXT, FieldViolation(field, description))


def not_found(name: str) -> Refusal:
    return Refusal(Code.NOT_FOUND, f'"{name}" not found.')


def not_served(method: str) -> Refusal:
    return Refusal(Code.UNIMPLEMENTED, f"docfleet does not serve {method}.")
