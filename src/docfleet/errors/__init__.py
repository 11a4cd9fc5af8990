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
    ├── ConsoleUnavailable            the web console is not installed, or cannot be opened             503, exit 2
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
        ├── ReportFailed              500 a report that the typesetter did not set, or not in time
        └── ServiceUnavailable        503 retryable

The class is the policy: `code` is stable and machine-readable, the message is one sentence for a person, `remedy` says
what to do. Boundaries (CLI, worker, API) read these attributes and never the prose.
"""

from __future__ import annotations

from docfleet.errors.base import (
    DocfleetError,
    OutputBusy,
    UsageError,
)
from docfleet.errors.documents import (
    ArchiveUnsafe,
    BudgetExhausted,
    Damaged,
    DocumentError,
    Empty,
    EngineBusy,
    EngineFailed,
    EngineRefused,
    NoPages,
    NoScratchSpace,
    OutOfMemory,
    OutputBlocked,
    OutputFailed,
    PageMissing,
    PageTooLarge,
    ParserCrashed,
    PasswordRequired,
    PasswordWrong,
    SourceChanged,
    SourceDamaged,
    SourceUnreadable,
    TimedOut,
    TooManyBytes,
    TooManyPages,
    Unexpected,
    UnsupportedType,
    WorkerDied,
    document_error_codes,
)
from docfleet.errors.parts import (
    BadKey,
    BrokerUnavailable,
    BudgetApproval,
    BudgetDegraded,
    ConsoleUnavailable,
    EngineUnavailable,
    Fenced,
    ForecastFailed,
    FormatError,
    LedgerError,
    LedgerUnavailable,
    NotIntact,
    NotStored,
    PartsMismatch,
    ScratchFull,
    ServerFailed,
    StoreError,
    UnsafeBroker,
)
from docfleet.errors.requests import (
    BadRequest,
    Conflict,
    DemandUnknown,
    Forbidden,
    FormatNotMade,
    Gone,
    IdempotencyMismatch,
    KeyExpired,
    NotFound,
    NotReady,
    Overloaded,
    PayloadTooLarge,
    RateLimited,
    ReportFailed,
    RequestError,
    ServiceUnavailable,
    SourceNotAllowed,
    Unauthenticated,
    request_error_codes,
)
from docfleet.errors.service import (
    BadSignature,
    ServiceError,
    ServiceUnreachable,
)

__all__ = [
    "ArchiveUnsafe",
    "BadKey",
    "BadRequest",
    "BadSignature",
    "BrokerUnavailable",
    "BudgetApproval",
    "BudgetDegraded",
    "BudgetExhausted",
    "Conflict",
    "ConsoleUnavailable",
    "Damaged",
    "DemandUnknown",
    "DocfleetError",
    "DocumentError",
    "Empty",
    "EngineBusy",
    "EngineFailed",
    "EngineRefused",
    "EngineUnavailable",
    "Fenced",
    "Forbidden",
    "ForecastFailed",
    "FormatError",
    "FormatNotMade",
    "Gone",
    "IdempotencyMismatch",
    "KeyExpired",
    "LedgerError",
    "LedgerUnavailable",
    "NoPages",
    "NoScratchSpace",
    "NotFound",
    "NotIntact",
    "NotReady",
    "NotStored",
    "OutOfMemory",
    "OutputBlocked",
    "OutputBusy",
    "OutputFailed",
    "Overloaded",
    "PageMissing",
    "PageTooLarge",
    "ParserCrashed",
    "PartsMismatch",
    "PasswordRequired",
    "PasswordWrong",
    "PayloadTooLarge",
    "RateLimited",
    "ReportFailed",
    "RequestError",
    "ScratchFull",
    "ServerFailed",
    "ServiceError",
    "ServiceUnavailable",
    "ServiceUnreachable",
    "SourceChanged",
    "SourceDamaged",
    "SourceNotAllowed",
    "SourceUnreadable",
    "StoreError",
    "TimedOut",
    "TooManyBytes",
    "TooManyPages",
    "Unauthenticated",
    "Unexpected",
    "UnsafeBroker",
    "UnsupportedType",
    "UsageError",
    "WorkerDied",
    "document_error_codes",
    "request_error_codes",
]
