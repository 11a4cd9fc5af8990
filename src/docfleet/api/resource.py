"""Routes as data: each names the permission it needs, and none can be made without.

    documents = Resource("Documents")

    @documents.route("GET", "/v1/documents/{document_id}", Permission.LIST_DOCUMENTS, out=DocumentOut)
    def read_document(...): ...

The guard (key, permission, request limit) runs before anything of the request is parsed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from enum import StrEnum
from typing import Any, TypeVar

from fastapi import FastAPI, Request
from fastapi.dependencies.utils import get_flat_params
from fastapi.params import Query
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Message

from docfleet.api.problems import PROBLEM_JSON, problem_of
from docfleet.domain.access import Permission
from docfleet.errors import (
    BadRequest,
    DocfleetError,
    Forbidden,
    KeyExpired,
    LedgerUnavailable,
    PayloadTooLarge,
    RateLimited,
    Unauthenticated,
)

MAX_JSON_BYTES = 1024 * 1024
"""Body of a request that is no upload."""


class Open(StrEnum):
    """What a route asks for where it is no permission."""

    PUBLIC = "public"
    """No key at all: health, the description of the API."""
    ANY_KEY = "any_key"
    """Any valid key."""


Need = Permission | Open
Guard = Callable[[Request, Need], Awaitable[None]]
Function = TypeVar("Function", bound=Callable[..., Any])
NEED = "x-docfleet-permission"
"""Under this name the OpenAPI tells what a route asks for."""
_UPLOAD = "x-docfleet-upload"


class GuardedRoute(APIRoute):
    """Asks the guard first. A route without a stated need cannot be built."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        # a copy: the declaration it comes from serves every app of this process
        extra = dict(options.get("openapi_extra") or {})
        stated = extra.get(NEED)
        if stated is None:
            raise TypeError(f"{path} states no permission")
        self.need: Need = Open(stated) if stated in set(Open) else Permission(stated)
        self.takes_upload: bool = extra.pop(_UPLOAD, False)
        super().__init__(path, endpoint, **{**options, "openapi_extra": extra})

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        need, takes_upload = self.need, self.takes_upload
        known = {field.alias for field in get_flat_params(self.dependant) if isinstance(field.field_info, Query)}
        # whatever probes and browsers append to what is open to all does no harm, and an upload's are fields of it
        is_checked = need is not Open.PUBLIC and not takes_upload

        async def guarded(request: Request) -> Response:
            guard: Guard = request.app.state.guard
            await guard(request, need)
            if is_checked and (unknown := request.query_params.keys() - known):
                choice = f"there are {', '.join(sorted(known))}" if known else "this address takes none"
                raise BadRequest(f"There is no query parameter {', '.join(sorted(unknown))[:100]}; {choice}.")
            return await handle(request if takes_upload else _limited(request))

        return guarded


def _limited(request: Request) -> Request:
    """The same request, whose body must not be longer than `MAX_JSON_BYTES`."""
    received = 0

    async def receive() -> Message:
        nonlocal received
        message = await request.receive()
        received += len(message.get("body", b""))
        if received > MAX_JSON_BYTES:
            raise HTTPException(413)  # anything else FastAPI would call a malformed body
        return message

    return Request(request.scope, receive)


class Resource:
    """The routes of one kind of thing."""

    def __init__(self, tag: str) -> None:
        self.tag = tag
        self._declared: list[tuple[str, Callable[..., Any], dict[str, Any]]] = []

    def route(
        self,
        method: str,
        path: str,
        need: Need,
        *,
        out: Any = None,
        status: int = 200,
        problems: Sequence[type[DocfleetError]] = (),
        responses: dict[int | str, dict[str, Any]] | None = None,
        body: dict[str, Any] | None = None,
        parameters: Sequence[dict[str, Any]] = (),
        upload: bool = False,
        takes_input: bool = True,
        description: str = "",
    ) -> Callable[[Function], Function]:
        """Declares an endpoint; its docstring is the text of the OpenAPI: the first line the summary.

        `out`: model of the response. `problems`: what it may refuse with beside what every route may. `body` and
        `parameters`: what the OpenAPI says of them where the endpoint reads the request itself. `upload`: it limits
        the body itself. `description`: further text.
        """

        def declare(function: Function) -> Function:
            summary, _, more = (function.__doc__ or "").strip().partition("\n")
            text = f"{more.strip()}\n{description.strip()}".strip()
            extra: dict[str, Any] = {NEED: str(need)}
            if need is Open.PUBLIC:
                extra["security"] = []
            if body is not None:
                extra["requestBody"] = body
            if parameters:
                extra["parameters"] = list(parameters)
            options: dict[str, Any] = {
                "methods": [method],
                "status_code": status,
                "tags": [self.tag],
                "summary": summary.rstrip("."),
                "description": "\n".join(line.strip() for line in text.splitlines()),
                "operation_id": function.__name__,
                "responses": problem_responses([*_usual(need, takes_input), *problems]) | (responses or {}),
                "openapi_extra": extra,
                "route_class_override": GuardedRoute,
            }
            if out is not None:
                options["response_model"] = out
            elif status != 204:
                # bytes: otherwise the OpenAPI would tell of a body of JSON
                options["response_class"] = Response
            options["openapi_extra"][_UPLOAD] = upload
            self._declared.append((path, function, options))
            return function

        return declare

    def add_to(self, app: FastAPI) -> None:
        for path, function, options in self._declared:
            app.router.add_api_route(path, function, **options)


def _usual(need: Need, takes_input: bool) -> list[type[DocfleetError]]:
    usual: list[type[DocfleetError]] = [BadRequest, PayloadTooLarge] if takes_input else []
    if need is not Open.PUBLIC:
        usual += [Unauthenticated, KeyExpired, RateLimited, LedgerUnavailable]
    if isinstance(need, Permission):
        usual.append(Forbidden)
    return usual


def problem_responses(errors: Sequence[type[DocfleetError]]) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI responses of these errors: one for each status, with an example for each code."""
    found: dict[int | str, dict[str, Any]] = {}
    for error in dict.fromkeys(errors):
        response = found.setdefault(
            error.status,
            {
                "description": "",
                "content": {
                    PROBLEM_JSON: {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": {}},
                },
            },
        )
        response["content"][PROBLEM_JSON]["examples"][error.code] = {"value": problem_of(error())}
        response["description"] = ", ".join(response["content"][PROBLEM_JSON]["examples"])
        if error.status in (429, 503):
            response["headers"] = {
                "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 1}}
            }
    return found
