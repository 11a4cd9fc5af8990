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
    │   ├── OutputBlocked             something of somebody else's stands where the results go
    │   ├── OutputFailed              the results could not be written (disk full, no permission)
    │   ├── TimedOut                                                                              retryable
    │   ├── OutOfMemory                                                                           retryable
    │   ├── ParserCrashed                                                                         retryable
    │   ├── EngineFailed                                                                          retryable
    │   ├── WorkerDied                the process that read it died, three times
    │   ├── PageMissing               a page ended without an outcome
    │   └── Unexpected                a defect of docfleet                                        retryable
    ├── FormatError                   bytes that are no Document AI JSON document
    ├── EngineUnavailable             an engine that is not installed or cannot start
    ├── StoreError                    bytes cannot be stored or read                                retryable
    │   ├── NotStored                 nothing under this key
    │   └── BadKey                    not a key a store takes
    └── LedgerError
        └── Fenced                    a stale worker's write was refused

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
    remedy = "Put its password on a line of a text file and pass that file with --password-file."


class PasswordWrong(DocumentError):
    """The document is encrypted and none of the given passwords opens it."""

    code = "password_wrong"
    remedy = "Add the right password to the file passed with --password-file."


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


class OutputBlocked(DocumentError):
    """Something that is no result stands where the results should go."""

    code = "output_blocked"
    remedy = "Move it away, or choose another --out folder, and run the same command with --retry-failed."


class OutputFailed(DocumentError):
    """The results could not be written."""

    code = "output_failed"
    remedy = "Make room or give permission in the --out folder, and run the same command with --retry-failed."


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


class WorkerDied(DocumentError):
    """The process that read these pages died, each time it was tried."""

    code = "worker_died"
    retryable = True
    remedy = "Try another engine with --engine, or run the same command with --retry-failed."


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


class FormatError(DocfleetError):
    """The bytes are not a Document AI document in JSON."""

    code = "format"
    remedy = "Pass the JSON of one Document AI `Document` (or of a process response that holds one)."


class StoreError(DocfleetError):
    """The store cannot be read or written."""

    code = "store"
    retryable = True
    remedy = "Check that the disk has room and that the output folder may be written, then run the same command again."


class NotStored(StoreError):
    """There is nothing under this key."""

    code = "not_stored"
    retryable = False


class BadKey(StoreError):
    """The key is not one a store takes."""

    code = "bad_key"
    retryable = False


class LedgerError(DocfleetError):
    """The ledger refused a change."""

    code = "ledger"


class Fenced(LedgerError):
    """A stale worker's write was refused: its lease had ended."""

    code = "fenced"


def document_error_codes() -> dict[str, type[DocumentError]]:
    """Stable code -> class, of every outcome that is no success."""
    found: dict[str, type[DocumentError]] = {}
    todo: list[type[DocumentError]] = [DocumentError]
    while todo:
        for cls in todo.pop().__subclasses__():
            found[cls.code] = cls
            todo.append(cls)
    return dict(sorted(found.items()))
