"""What the API says no with, as the console shows it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

AWAY = "api_away"
SIGNED_OUT = "signed_out"


class ApiProblem(Exception):
    """A refusal of the API (RFC 9457), or that it could not be asked: then `code` is `AWAY` and `status` 0."""

    def __init__(self, status: int, code: str, title: str, detail: str = "", remedy: str = "") -> None:
        super().__init__(f"{status} {code}: {detail or title}")
        self.status = status
        self.code = code
        self.title = title
        self.detail = detail
        self.remedy = remedy

    @property
    def is_away(self) -> bool:
        """Whether nobody could be asked: it may heal by itself."""
        return self.code == AWAY or self.status in (502, 503, 504)

    @property
    def is_signed_out(self) -> bool:
        return self.status == 401

    @property
    def said(self) -> str:
        """One or two sentences for people: what is wrong and what to do."""
        what = self.detail or self.title
        return f"{what} {self.remedy}".strip()


def away(reason: str = "") -> ApiProblem:
    return ApiProblem(
        0, AWAY, "The service does not answer",
        f"The service does not answer{f' ({reason})' if reason else ''}.",
        "This page goes on by itself as soon as it does.",
    )  # fmt: skip


def signed_out(detail: str = "Your session has ended.") -> ApiProblem:
    return ApiProblem(401, SIGNED_OUT, "Signed out", detail, "Sign in again.")


def problem_of(status: int, content: bytes) -> ApiProblem:
    """From the body of a refusal; whatever stands between console and API may have written something else."""
    try:
        said: Any = msgspec.json.decode(content)
    except msgspec.MsgspecError:
        said = {}
    facts: Mapping[str, Any] = said if isinstance(said, dict) else {}
    if not facts and status in (502, 503, 504):
        return away(f"status {status}")
    return ApiProblem(
        status,
        str(facts.get("code", "")),
        str(facts.get("title", f"Status {status}")),
        str(facts.get("detail", "")),
        str(facts.get("remedy", "")),
    )
