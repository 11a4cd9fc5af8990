"""What it means that a call failed: by code, reason and details, over gRPC and REST alike.

`judge` decides, as a pure function. Nothing branches on prose, but where the service gives nothing else, which is in
four answers without any details: a file it cannot read, more pages than may be selected, a bare "invalid argument"
(of which the commonest cause is a processor of another region), and a message larger than gRPC was set to take, which
comes under the same status as a quota. A sentence not known there makes no difference worse than one call more: the
documents of a packed request are then tried alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from importlib import import_module
from typing import Any

import msgspec

from docfleet.errors import DocfleetError, EngineBusy, EngineFailed, EngineRefused, EngineUnavailable

PAGE_LIMIT_EXCEEDED = "PAGE_LIMIT_EXCEEDED"
SERVICE_DISABLED = "SERVICE_DISABLED"


class FailureKind(StrEnum):
    THROTTLED = "throttled"
    """There is no quota now: later, and slower."""
    AWAY = "away"
    """The endpoint cannot be reached, is down or does not answer in time: elsewhere, or later."""
    BROKEN = "broken"
    """The service failed on this request: once more, then it counts against it."""
    REQUEST = "request"
    """The request is not one it takes: too many pages or bytes, a wrong option. Never the same again."""
    DOCUMENT = "document"
    """It cannot read the document (in a packed request: one of them)."""
    SETUP = "setup"
    """Key, permission, processor, region or service are not set up: nothing will work there until somebody acts."""


class Details(msgspec.Struct, frozen=True):
    """What an answer says beside its status."""

    reason: str = ""
    """Of google.rpc.ErrorInfo."""
    domain: str = ""
    metadata: dict[str, str] = {}
    retry_after: float | None = None
    """Seconds, of google.rpc.RetryInfo or the header Retry-After."""
    violations: tuple[tuple[str, str], ...] = ()
    """(field, description) of google.rpc.BadRequest."""
    quota: bool = False
    """A google.rpc.QuotaFailure was there."""
    answered: bool = False
    """The service itself said so: not the way to it, nor our own deadline."""

    @property
    def empty(self) -> bool:
        return not (self.reason or self.violations or self.quota or self.retry_after is not None)


class Failure(msgspec.Struct, frozen=True):
    """Why a call failed, and what follows from it."""

    kind: FailureKind
    code: str
    """Stable: "throttled", "page_limit", "unsupported_format" …; see `judge`."""
    status: str = ""
    """Canonical name, such as "RESOURCE_EXHAUSTED"."""
    reason: str = ""
    message: str = ""
    retry_after: float | None = None
    metadata: dict[str, str] = {}
    violations: tuple[tuple[str, str], ...] = ()
    may_be_billed: bool = False
    """Failed calls cost nothing, but nobody knows of one whose answer never came."""

    @property
    def endpoint_is_well(self) -> bool:
        """Whether it did its work, for its breaker."""
        return self.kind not in (FailureKind.AWAY, FailureKind.BROKEN)

    @property
    def retryable(self) -> bool:
        return self.kind in (FailureKind.THROTTLED, FailureKind.AWAY, FailureKind.BROKEN)

    @property
    def waits(self) -> bool:
        """Whether time alone may heal it, so that it counts against nobody."""
        return self.kind in (FailureKind.THROTTLED, FailureKind.AWAY)

    def error(self) -> DocfleetError:
        """The same as an error of ours."""
        said = f" ({self.message})" if self.message else ""
        if self.kind is FailureKind.SETUP:
            return EngineUnavailable(f"Document AI cannot be used: {_SETUP.get(self.code, self.code)}.{said}")
        if self.kind in (FailureKind.THROTTLED, FailureKind.AWAY):
            return EngineBusy(f"Document AI cannot take the page now: {self.code}{said}.")
        if self.kind is FailureKind.BROKEN:
            return EngineFailed(f"Document AI failed: {self.code}{said}.")
        return EngineRefused(f"Document AI refuses the document: {self.code}{said}.")


_SETUP = {
    "unauthenticated": "the credentials are missing, expired or wrong",
    "permission_denied": "these credentials may not use the processor, or it is of another region",
    "service_disabled": "the service is not enabled in this project",
    "not_found": "there is no such processor or version in this project and location",
    "processor_disabled": "the processor is disabled or not deployed",
    "message_too_large": "a gRPC message size limit stands in the way",
    "unimplemented": "the endpoint does not serve this method",
    "no_credentials": "there are no credentials",
}

BARE_INVALID = "invalid_argument"
"""Code of a refusal that says nothing: the document, or a processor of another region."""

_SENTENCES = (
    ("INVALID_ARGUMENT", "Unsupported input file format", FailureKind.DOCUMENT, "unsupported_format"),
    ("INVALID_ARGUMENT", "At most ", FailureKind.REQUEST, "page_limit"),
    ("INVALID_ARGUMENT", "Document pages ", FailureKind.REQUEST, "page_limit"),
)
_LARGER = "larger than max"

CANCELLED = "cancelled"
"""Code of a call that was given up, most likely by ourselves."""

_STATUSES: dict[str, tuple[FailureKind, str]] = {
    "CANCELLED": (FailureKind.AWAY, CANCELLED),
    "UNKNOWN": (FailureKind.BROKEN, "unknown"),
    "INVALID_ARGUMENT": (FailureKind.DOCUMENT, BARE_INVALID),
    "DEADLINE_EXCEEDED": (FailureKind.AWAY, "timed_out"),
    "NOT_FOUND": (FailureKind.SETUP, "not_found"),
    "ALREADY_EXISTS": (FailureKind.REQUEST, "already_exists"),
    "PERMISSION_DENIED": (FailureKind.SETUP, "permission_denied"),
    "RESOURCE_EXHAUSTED": (FailureKind.THROTTLED, "throttled"),
    "FAILED_PRECONDITION": (FailureKind.SETUP, "processor_disabled"),
    "ABORTED": (FailureKind.AWAY, "aborted"),
    "OUT_OF_RANGE": (FailureKind.REQUEST, "out_of_range"),
    "UNIMPLEMENTED": (FailureKind.SETUP, "unimplemented"),
    "INTERNAL": (FailureKind.BROKEN, "internal"),
    "UNAVAILABLE": (FailureKind.AWAY, "unavailable"),
    "DATA_LOSS": (FailureKind.BROKEN, "data_loss"),
    "UNAUTHENTICATED": (FailureKind.SETUP, "unauthenticated"),
}
_OF_HTTP = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    408: "DEADLINE_EXCEEDED",
    409: "ABORTED",
    412: "FAILED_PRECONDITION",
    413: "OUT_OF_RANGE",
    416: "OUT_OF_RANGE",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_UNSURE = ("CANCELLED", "UNKNOWN", "DEADLINE_EXCEEDED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "ABORTED")
"""What gRPC also says by itself when the answer did not come."""


def judge(status: str, message: str = "", details: Details = Details()) -> Failure:  # noqa: B008 - frozen value
    """What a status means together with its details. A status that is not known counts as UNKNOWN."""
    kind, code = _judge(status, message, details)
    return Failure(
        kind,
        code,
        status,
        details.reason,
        message,
        details.retry_after,
        details.metadata,
        details.violations,
        may_be_billed=status in _UNSURE and not details.answered,
    )


def _judge(status: str, message: str, details: Details) -> tuple[FailureKind, str]:
    kind, code = _STATUSES.get(status, _STATUSES["UNKNOWN"])
    if details.reason == PAGE_LIMIT_EXCEEDED:
        return FailureKind.REQUEST, "page_limit"
    if details.reason == SERVICE_DISABLED:
        return FailureKind.SETUP, "service_disabled"
    if status == "INVALID_ARGUMENT":
        if details.violations:
            size = any(field.endswith("content") for field, _ in details.violations)
            return FailureKind.REQUEST, "too_large" if size else "bad_field"
        if details.reason.startswith("API_KEY"):
            # what the gateway says of a key that is no key
            return FailureKind.SETUP, "unauthenticated"
        if details.reason:
            return FailureKind.REQUEST, "refused"
    if details.empty:
        for known, beginning, sentence_kind, sentence_code in _SENTENCES:
            if status == known and message.startswith(beginning):
                return sentence_kind, sentence_code
        if status == "RESOURCE_EXHAUSTED" and _LARGER in message:
            return FailureKind.SETUP, "message_too_large"
    return kind, code


def not_reached(host: str, seconds: float, why: str = "") -> Failure:
    """No connection came about in time: refused, no such host, a certificate nobody trusts, or silence."""
    message = f"{host} took no connection within {seconds:g} s{f': {why}' if why else ''}"
    return Failure(FailureKind.AWAY, "not_reached", "UNAVAILABLE", message=message)


def failure_of_http(code: int, body: object, headers: Mapping[str, str] | None = None) -> Failure:
    """From an HTTP status and the decoded JSON envelope (anything else: only the status counts)."""
    envelope = body.get("error") if isinstance(body, dict) else None
    error: dict[str, Any] = envelope if isinstance(envelope, dict) else {}
    status = error.get("status")
    if status not in _STATUSES:
        status = _OF_HTTP.get(code, "INTERNAL" if code >= 500 else "UNKNOWN")
    raw = error.get("details")
    details = details_of_json(raw if isinstance(raw, list) else ())
    if details.retry_after is None and headers:
        details = msgspec.structs.replace(details, retry_after=_seconds(headers.get("retry-after", "")))
    return judge(status, str(error.get("message", "")), msgspec.structs.replace(details, answered=True))


def details_of_json(items: Iterable[object]) -> Details:
    """Of `error.details` in JSON."""
    found: dict[str, Any] = {}
    for item in items:
        if not isinstance(item, Mapping):
            continue
        kind = str(item.get("@type", "")).rpartition(".")[2]
        if kind == "ErrorInfo":
            found["reason"] = str(item.get("reason", ""))
            found["domain"] = str(item.get("domain", ""))
            found["metadata"] = {str(key): str(value) for key, value in (item.get("metadata") or {}).items()}
        elif kind == "RetryInfo":
            found["retry_after"] = _seconds(str(item.get("retryDelay", "")))
        elif kind == "BadRequest":
            found["violations"] = tuple(
                (str(one.get("field", "")), str(one.get("description", "")))
                for one in item.get("fieldViolations") or ()
                if isinstance(one, Mapping)
            )
        elif kind == "QuotaFailure":
            found["quota"] = True
    return Details(**found)


def details_of_proto(items: Iterable[Any]) -> Details:
    """Of the `google.protobuf.Any`s, or the unpacked messages, of a google.rpc.Status."""
    found: dict[str, Any] = {}
    for item in items:
        message = _unpacked(item)
        kind = message.DESCRIPTOR.name if message is not None else ""
        if kind == "ErrorInfo":
            found.update(reason=message.reason, domain=message.domain, metadata=dict(message.metadata))
        elif kind == "RetryInfo":
            found["retry_after"] = message.retry_delay.seconds + message.retry_delay.nanos / 1e9
        elif kind == "BadRequest":
            found["violations"] = tuple((one.field, one.description) for one in message.field_violations)
        elif kind == "QuotaFailure":
            found["quota"] = True
    return Details(**found)


def _unpacked(item: Any) -> Any:
    if item.DESCRIPTOR.full_name != "google.protobuf.Any":
        return item
    # loaded where it is used: Google's packages are optional
    kind = getattr(import_module("google.rpc.error_details_pb2"), item.type_url.rpartition(".")[2], None)
    if kind is None:
        return None
    try:
        return kind.FromString(item.value)
    except Exception:
        # details nobody can read are none; the status stands
        return None


def _seconds(text: str) -> float | None:
    try:
        return max(0.0, float(text.removesuffix("s")))
    except ValueError:
        return None
