"""Exceptions of the child and ways it can die, as errors of our own tree."""

from __future__ import annotations

import errno
import signal
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from docfleet.errors import Damaged, DocumentError, OutOfMemory, ParserCrashed, TimedOut, document_error_codes

_VENDOR_ERRORS = (
    OSError,
    EOFError,
    SyntaxError,  # Pillow's word for a broken PNG
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    NotImplementedError,
    RuntimeError,
    struct.error,
    zlib.error,
)
_MEMORY_NEAR_LIMIT = 0.8


@contextmanager
def vendor_calls(what: str) -> Iterator[None]:
    """Turns whatever a decoder raises into `Damaged` (or `OutOfMemory`); our own errors pass."""
    try:
        yield
    except (DocumentError, MemoryError):
        raise
    except RecursionError as error:
        raise Damaged(f"The {what} is nested too deeply to read.") from error
    except _VENDOR_ERRORS as error:
        if is_memory_error(error):
            raise OutOfMemory() from error
        raise Damaged(f"The {what} is damaged.") from error


def is_memory_error(error: BaseException) -> bool:
    return isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM)


def fault_of(error: BaseException) -> tuple[str, str]:
    """(code, sentence) of an exception in the child; never its traceback."""
    if isinstance(error, DocumentError):
        return error.code, error.message
    if is_memory_error(error):
        return OutOfMemory.code, str(OutOfMemory())
    return ParserCrashed.code, "The parser failed on this document."


def error_of(code: str, message: str) -> DocumentError:
    """The error the child named; a code that is none of ours is a crash."""
    cls = document_error_codes().get(code, ParserCrashed)
    return cls(message if cls.code == code else "")


def error_of_death(status: int, peak_bytes: int, memory_bytes: int) -> DocumentError:
    """Why a child died that nobody meant to kill.

    `status` as `Popen.returncode` gives it (negative: signal), `peak_bytes` its largest resident memory, `memory_bytes`
    what it was allowed. PDFium, qpdf and the C++ runtime all answer a failed allocation with abort(); a SIGKILL from
    elsewhere is the kernel's out-of-memory killer; a crash at the edge of the limit is a failed allocation unchecked.
    """
    if status == -signal.SIGXCPU:
        return TimedOut("Reading took more CPU time than the limit.")
    if status in (-signal.SIGABRT, -signal.SIGKILL):
        return OutOfMemory()
    if status < 0 and peak_bytes > memory_bytes * _MEMORY_NEAR_LIMIT:
        return OutOfMemory()
    return ParserCrashed()
