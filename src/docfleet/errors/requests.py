"""A request to the service that was refused."""

from __future__ import annotations

from docfleet.errors.base import DocfleetError


class RequestError(DocfleetError):
    """The request was refused."""

    code = "request"
    status = 400


class BadRequest(RequestError):
    """The request is not one the service understands."""

    code = "bad_request"
    exit_code = 2
    remedy = "Compare the request with the API reference at /docs."


class Unauthenticated(RequestError):
    """The request has no API key, or one that is not known."""

    code = "unauthenticated"
    exit_code = 2
    status = 401
    remedy = "Send the header `Authorization: Bearer <key>` with a key of this service."


class KeyExpired(RequestError):
    """The API key has expired or was revoked."""

    code = "key_expired"
    exit_code = 2
    status = 401
    remedy = "Ask an admin of your tenant for a new key."


class Forbidden(RequestError):
    """The role of this API key does not allow it."""

    code = "forbidden"
    exit_code = 2
    status = 403
    remedy = "Use a key with the role or scope that the message names."


class NotFound(RequestError):
    """There is nothing under this id."""

    code = "not_found"
    status = 404
    remedy = "Check the id; a key sees what belongs to its own tenant only."


class NotReady(RequestError):
    """The document has not ended yet."""

    code = "not_ready"
    status = 409
    retryable = True
    remedy = "Wait for its end: poll its status, listen to its events, or register a webhook."


class Conflict(RequestError):
    """The state of the document, batch or key does not allow it."""

    code = "conflict"
    status = 409
    remedy = "Look at its present state and decide anew."


class IdempotencyMismatch(RequestError):
    """The Idempotency-Key was used before for another request."""

    code = "idempotency_mismatch"
    status = 422
    remedy = "Use a new key for a new request, and the same key only for the same request."


class FormatNotMade(RequestError):
    """The document has no result in this format."""

    code = "format_not_made"
    status = 404
    remedy = "Submit it again with this format among `formats`."


class Gone(RequestError):
    """The document was deleted."""

    code = "gone"
    status = 410


class PayloadTooLarge(RequestError):
    """The upload is larger than the limit."""

    code = "payload_too_large"
    status = 413
    remedy = "Split the file, or ask the operator to raise DOCFLEET_LIMITS__MAX_FILE_BYTES."


class SourceNotAllowed(RequestError):
    """Documents may not be fetched from this address."""

    code = "source_not_allowed"
    status = 403
    remedy = "Upload the bytes, or ask the operator to add the bucket to DOCFLEET_API__ALLOWED_SOURCES."


class RateLimited(RequestError):
    """Too many requests under this key."""

    code = "rate_limited"
    status = 429
    retryable = True
    remedy = "Wait as long as Retry-After says."


class Overloaded(RequestError):
    """More is waiting than the service can promise to keep."""

    code = "overloaded"
    status = 503
    retryable = True
    remedy = "Wait as long as Retry-After says, then send it again under the same Idempotency-Key."


class DemandUnknown(RequestError):
    """Nobody has decided lately how many workers there are to be."""

    code = "demand_unknown"
    status = 503
    retryable = True
    remedy = "Keep the size there is, and see whether a dispatcher runs."


class ReportFailed(RequestError):
    """The report could not be made."""

    code = "report_failed"
    status = 500
    remedy = "Ask for it again; if it fails again, report what the service logged as `report_failed` as a defect."


class ServiceUnavailable(RequestError):
    """A part the service needs cannot be reached."""

    code = "service_unavailable"
    status = 503
    retryable = True
    remedy = "Wait as long as Retry-After says, then send it again under the same Idempotency-Key."


def request_error_codes() -> dict[str, type[RequestError]]:
    """Stable code -> class, of every refusal of a request; what other modules make of them is not the API's."""
    return {cls.code: cls for cls in RequestError.__subclasses__() if cls.__module__ == __name__}
