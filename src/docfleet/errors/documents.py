"""A document, or a page, that cannot be read."""

from __future__ import annotations

from typing import ClassVar

from docfleet.errors.base import DocfleetError


class DocumentError(DocfleetError):
    """The document cannot be read."""

    code = "document"
    status = 422
    is_ours: ClassVar[bool] = False
    """Whether it counts against the service: the document may be in order, what was to read it was not."""


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
    is_ours = True
    retryable = True
    remedy = "Submit the document again; and find out what happened to the store."


class OutputBlocked(DocumentError):
    """Something that is no result stands where the results should go."""

    code = "output_blocked"
    remedy = "Move it away, or choose another --out folder, and run the same command with --retry-failed."


class OutputFailed(DocumentError):
    """The results could not be written."""

    code = "output_failed"
    is_ours = True
    remedy = "Make room or give permission in the --out folder, and run the same command with --retry-failed."


class NoScratchSpace(DocumentError):
    """The worker has no room for a copy of the document."""

    code = "no_scratch_space"
    is_ours = True
    # another worker may have more of it
    retryable = True
    remedy = "Give the workers a larger temporary folder (TMPDIR), or make room in it; then try the document again."


class TimedOut(DocumentError):
    """Reading took longer than the limit."""

    code = "timed_out"
    is_ours = True
    retryable = True
    remedy = "Raise DOCFLEET_LIMITS__PAGE_SECONDS, or scale the page down."


class OutOfMemory(DocumentError):
    """Reading needed more memory than the limit."""

    code = "out_of_memory"
    is_ours = True
    retryable = True
    remedy = "Raise DOCFLEET_LIMITS__SANDBOX_MEMORY_BYTES, or scale the page down."


class ParserCrashed(DocumentError):
    """The parser crashed on this document; nothing else was harmed."""

    code = "parser_crashed"
    is_ours = True
    retryable = True
    remedy = "Print the document to a new PDF from a program that opens it, and submit that."


class EngineFailed(DocumentError):
    """The engine failed on this page."""

    code = "engine_failed"
    is_ours = True
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
    is_ours = True
    retryable = True
    remedy = "Try another engine with --engine, or run the same command with --retry-failed."


class BudgetExhausted(DocumentError):
    """The budget of the month, or the limit of the run, has no room for reading these pages."""

    code = "budget_exhausted"
    remedy = "Raise the limit (`docfleet budgets set`, `docfleet process --max-usd`), and then try the document again."


class PageMissing(DocumentError):
    """A page ended without an outcome."""

    code = "page_missing"
    is_ours = True
    remedy = "Run the same command with --retry-failed."


class Unexpected(DocumentError):
    """docfleet failed on this document in a way it should not have."""

    code = "unexpected"
    is_ours = True
    retryable = True
    remedy = "Run the same command with --retry-failed --log-level debug, and report what it prints as a defect."


def document_error_codes() -> dict[str, type[DocumentError]]:
    """Stable code -> class, of every outcome that is no success."""
    found: dict[str, type[DocumentError]] = {}
    todo: list[type[DocumentError]] = [DocumentError]
    while todo:
        for cls in todo.pop().__subclasses__():
            found[cls.code] = cls
            todo.append(cls)
    return dict(sorted(found.items()))
