"""What a call of the API is to those who stand around it: facts before, an outcome after."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import msgspec


def _always() -> bool:
    return True


class CallFacts(msgspec.Struct, frozen=True):
    """One call, before anything is done for it."""

    method: str
    """As in the API: "ProcessDocument"."""
    transport: str = "grpc"
    """"grpc" or "rest"."""
    listener: str = ""
    """Name of the listener it came through: one server may play several endpoints."""
    caller: str = ""
    """Name of the key it was made with; empty: nobody is asked for one."""
    resource: str = ""
    """The resource named, or the parent."""
    project: str = ""
    """Number of the project, whichever way it was named."""
    location: str = ""
    processor_type: str = ""
    """Such as OCR_PROCESSOR; empty where the call is about no known processor."""
    size_bytes: int = 0
    """Of the document sent along; 0 for one that lies elsewhere."""
    deadline: float | None = None
    """When the caller stops waiting, by `time.monotonic`; None: not known."""
    is_active: Callable[[], bool] = _always
    """Whether the caller still waits."""


class Caller(msgspec.Struct, frozen=True):
    """Who calls, and through which door: what a transport knows beside the request itself."""

    transport: str = "grpc"
    listener: str = ""
    locations: tuple[str, ...] = ()
    """That the listener answers for; empty: all the server has."""
    api_key: str = ""
    bearer: str = ""
    """Token of an `Authorization: Bearer` header."""
    traceparent: str = ""
    """As it was sent; empty: it was not."""
    deadline: float | None = None
    is_active: Callable[[], bool] = _always


class Outcome(msgspec.Struct, frozen=True):
    """How a call ended."""

    code: int = 0
    """google.rpc.Code."""
    pages: int = 0
    """Read for this answer."""
    seconds: float = 0.0
    """Since the call came in, by `time.monotonic`."""


class Delivery(msgspec.Struct, frozen=True):
    """How an answer goes out, where a fault is played. REST: both; gRPC: a cut answer is UNAVAILABLE."""

    bytes_per_second: float | None = None
    """None: as fast as the caller takes it."""
    cut_after_bytes: int | None = None
    """The connection is closed after so many bytes of the body; None: never."""


class Encoded(msgspec.Struct, frozen=True):
    """An answer that was written elsewhere, in the form the transport asked for."""

    body: bytes
    """Protobuf of the method's response for gRPC, its JSON for REST."""
    pages: int = 0


Answer = Any
"""A raw protobuf message of the method's response type, or `Encoded`."""


class Interceptor(Protocol):
    """Stands before and behind every call; called in the thread that serves it, so that it may wait there."""

    def before(self, call: CallFacts) -> None:
        """Raises `Refusal` to answer with an error; nothing was done for the call then. May sleep."""
        ...

    def after(self, call: CallFacts, outcome: Outcome) -> Delivery | None:
        """After the answer is made and before it is sent, also where it is a refusal (not one raised by `before`).

        May sleep, or raise `Refusal` in the place of the answer; None: the answer goes out as usual.
        """
        ...
