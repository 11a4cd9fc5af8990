"""Errors as RFC 9457 problems: `application/problem+json` with our codes, and never a word of a stack trace."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.routing import Match

from docfleet.errors import (
    BadRequest,
    DocfleetError,
    LedgerUnavailable,
    NotFound,
    PayloadTooLarge,
    ServiceUnavailable,
    StoreError,
)
from docfleet.telemetry import logger, metrics
from docfleet.telemetry.catalog import REFUSALS

PROBLEM_JSON = "application/problem+json"
CODES_PAGE = "/docs/reference/outcome-codes"
RETRY_SECONDS: Mapping[int, float] = {429: 1.0, 503: 5.0}
"""`Retry-After` of a refusal that does not know better."""
_log = logger("api")


class Refusal(Exception):
    """An error with more to say than its class: when to try again, which fields are wrong."""

    def __init__(
        self,
        error: DocfleetError,
        *,
        retry_after: float | None = None,
        errors: Iterable[Mapping[str, str]] = (),
        remedy: str = "",
    ) -> None:
        super().__init__(str(error))
        self.error = error
        self.remedy = remedy
        self.retry_after = retry_after
        self.errors = [dict(item) for item in errors]


def title_of(error: type[DocfleetError]) -> str:
    """The first sentence of the class, without its full stop: the same for every occurrence."""
    return (error.__doc__ or error.__name__).strip().splitlines()[0].rstrip(".")


def problem_type(code: str) -> str:
    return f"{CODES_PAGE}#{code}"


def problem_of(error: DocfleetError, instance: str = "") -> dict[str, Any]:
    """The members of a problem, without those that are empty."""
    members = {
        "type": problem_type(error.code),
        "title": title_of(type(error)),
        "status": error.status,
        "detail": error.message,
        "instance": instance,
        "code": error.code,
        "remedy": error.remedy,
    }
    return {name: value for name, value in members.items() if value not in ("", None)}


def respond(
    request: Request,
    error: DocfleetError,
    *,
    status: int | None = None,
    retry_after: float | None = None,
    errors: list[dict[str, str]] | None = None,
    remedy: str = "",
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The response that tells of `error`; `status` where the method or protocol decides it and not the error."""
    metrics.count(REFUSALS, 1.0, error.code)
    body = problem_of(error, instance_of(request))
    if status is not None:
        body |= {"status": status, "title": HTTPStatus(status).phrase}
    if errors:
        body["errors"] = errors
    if remedy:
        body["remedy"] = remedy
    status = body["status"]
    sent = dict(headers or {})
    if status in RETRY_SECONDS:
        # whole seconds, never 0: a client that obeys must not come back at once
        sent["retry-after"] = str(max(1, math.ceil(retry_after or RETRY_SECONDS[status])))
    if status == HTTPStatus.UNAUTHORIZED:
        sent["www-authenticate"] = 'Bearer realm="docfleet"'
    return JSONResponse(body, status, sent, PROBLEM_JSON)


def instance_of(request: Request) -> str:
    """Names this occurrence; the same id is in the header `X-Request-Id` and in the log."""
    found = getattr(request.state, "request_id", "")
    return f"urn:docfleet:request:{found}" if found else ""


def presentable(error: DocfleetError) -> DocfleetError:
    """What the outside may know: a failing database or store is told as such, without its addresses and errors."""
    if isinstance(error, LedgerUnavailable):
        return LedgerUnavailable()
    if isinstance(error, StoreError):
        return ServiceUnavailable("The store cannot be reached or written at the moment.")
    return error


async def _on_docfleet_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, DocfleetError)
    if error.status >= 500:
        _log.warning("request_failed", error=error, request=instance_of(request))
    if error.status == 500:
        return respond(request, DocfleetError("Something went wrong inside the service."))
    return respond(request, presentable(error))


async def _on_refusal(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    return respond(request, error.error, retry_after=error.retry_after, errors=error.errors, remedy=error.remedy)


async def _on_invalid(request: Request, error: Exception) -> Response:
    """What FastAPI found wrong: where and why, but not the value, which may be anything."""
    assert isinstance(error, RequestValidationError)
    found = [
        {"where": ".".join(str(part) for part in item["loc"]), "message": said_of(item)} for item in error.errors()[:20]
    ]
    first = found[0] if found else {"where": "request", "message": "not understood"}
    return respond(request, BadRequest(f"{first['where']}: {first['message']}."), errors=found)


def said_of(item: Mapping[str, Any]) -> str:
    """The sentence of a check, in words about the request and not about pydantic."""
    kind = item["type"]
    if kind in ("too_long", "too_short") and item["ctx"]["field_type"] == "Value":
        # a text with a check of ours before: what is counted are characters, and not "items after validation"
        most = kind == "too_long"
        number = item["ctx"]["max_length" if most else "min_length"]
        return f"String should have at {'most' if most else 'least'} {number} character{'s' if number != 1 else ''}"
    if kind == "extra_forbidden":
        return "There is no such field"
    if kind in ("model_type", "model_attributes_type", "dict_type"):
        return "Input should be a JSON object"
    return str(item["msg"]).removeprefix("Value error, ")


async def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    match error.status_code:
        case 404:
            return respond(request, NotFound("There is no such path in this API."))
        case 413:
            return respond(request, PayloadTooLarge("The body of this request is larger than the limit."))
        case 400:  # what FastAPI says of a body that is no JSON
            return respond(request, BadRequest("The body of the request is no JSON that can be read."))
        case 405:
            methods = _methods_at(request)
            said = f"{request.method} does nothing here; there is {', '.join(methods)}."
            return respond(request, BadRequest(said), status=405, headers={"allow": ", ".join(methods)})
        case status if 400 <= status < 500:
            said = HTTPStatus(status).phrase
            return respond(request, BadRequest(f"{said}."), status=status, headers=error.headers)
        case _:
            return respond(request, ServiceUnavailable())


def _methods_at(request: Request) -> list[str]:
    """All that this path knows; the router names those of the first of its routes only."""
    routes = [route for route in request.app.routes if route.matches(request.scope)[0] is not Match.NONE]
    methods = {method for route in routes for method in route.methods or ()}
    return sorted(methods | {"HEAD"} if "GET" in methods else methods)


def route_of(request: Request) -> str:
    """The template of the path; empty where there is no such route."""
    return str(getattr(request.scope.get("route"), "path", ""))


async def _on_defect(request: Request, error: Exception) -> Response:
    _log.error("defect", request=instance_of(request), route=route_of(request), exc_info=error)
    return respond(request, DocfleetError("Something went wrong inside the service."))


def install(app: FastAPI) -> None:
    app.add_exception_handler(DocfleetError, _on_docfleet_error)
    app.add_exception_handler(Refusal, _on_refusal)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(Exception, _on_defect)
