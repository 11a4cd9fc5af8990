"""From a problem document (RFC 9457) back to the error it was made of."""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec

from docfleet.errors import DocfleetError, ServiceError


class Problem(msgspec.Struct, frozen=True):
    """The members of a problem document that a client acts on."""

    code: str = ""
    title: str = ""
    detail: str = ""
    remedy: str = ""


@cache
def errors_by_code() -> dict[str, type[DocfleetError]]:
    """Stable code -> class, of the whole tree."""
    found: dict[str, type[DocfleetError]] = {DocfleetError.code: DocfleetError}
    todo: list[type[DocfleetError]] = [DocfleetError]
    while todo:
        for cls in todo.pop().__subclasses__():
            if "code" in vars(cls):
                found[cls.code] = cls
            todo.append(cls)
    return found


def error_of(status: int, body: bytes, retry_after: float | None = None) -> DocfleetError:
    """The error that an answer stands for: of our tree by its code, else a `ServiceError` that keeps code and status.

    An instance tells what the service said (`message`, `remedy`, `status`), whatever its class says in general.
    """
    problem = _problem_in(body)
    cls = errors_by_code().get(problem.code, ServiceError)
    message = problem.detail or problem.title
    if not message and cls is ServiceError:
        message = f"The service answered with status {status}."
    return with_facts(
        cls(message), status=status, code=problem.code or cls.code, remedy=problem.remedy, retry_after=retry_after
    )


def with_facts(error: DocfleetError, **facts: Any) -> DocfleetError:
    """The error with attributes of its own over those of its class; empty ones are left to the class."""
    vars(error).update({name: value for name, value in facts.items() if value not in (None, "")})
    return error


def retry_after_of(error: DocfleetError) -> float | None:
    """Seconds the service asked to wait before the next try, where it did."""
    value = vars(error).get("retry_after")
    return float(value) if value is not None else None


def _problem_in(body: bytes) -> Problem:
    try:
        return msgspec.json.decode(body, type=Problem)
    except msgspec.MsgspecError:  # a proxy's page, or nothing
        return Problem()
