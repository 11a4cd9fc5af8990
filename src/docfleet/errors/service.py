"""What a client of the service finds: no answer, an answer it does not know, a webhook that is not from it."""

from __future__ import annotations

from docfleet.errors.base import DocfleetError


class ServiceUnreachable(DocfleetError):
    """The service cannot be reached."""

    code = "service_unreachable"
    exit_code = 2
    retryable = True
    status = 503
    remedy = "Check the address (--to or DOCFLEET_URL) and that the service runs; what it accepted is not lost."


class ServiceError(DocfleetError):
    """The service answered with something this version of the client does not know."""

    code = "service_error"
    remedy = "Look at the service's log; a client of the same version as the service may say more."


class BadSignature(DocfleetError):
    """The webhook was not signed by the service, or not now."""

    code = "bad_signature"
    status = 400
    remedy = "Answer 400 and do nothing; check that the secret is that of this webhook and that the clock is right."
