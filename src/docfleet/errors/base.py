"""What all errors are, and wrong use."""

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
