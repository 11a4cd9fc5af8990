"""From the header `Authorization: Bearer <key>` to who calls, and whether they may."""

from __future__ import annotations

import re

from fastapi import Request
from starlette.concurrency import run_in_threadpool

from docfleet.api.limits import RequestLimits
from docfleet.api.parts import ApiParts
from docfleet.api.problems import Refusal
from docfleet.api.resource import Guard, Need, Open
from docfleet.domain.access import Caller, Permission
from docfleet.errors import Forbidden, RateLimited, Unauthenticated

_BEARER = re.compile(r"bearer +([!-~]{1,256})", re.IGNORECASE)


def bearer_key(header: str | None) -> str:
    """The key in the header; raises `Unauthenticated` where there is none."""
    found = _BEARER.fullmatch(header.strip()) if header else None
    if found is None:
        raise Unauthenticated()
    return found[1]


def check(caller: Caller, need: Need) -> None:
    """Raises `Forbidden` naming what is missing."""
    if isinstance(need, Permission) and not caller.may(need):
        narrowed = " (narrowed by its scopes)" if caller.scopes else ""
        raise Forbidden(f"This needs the permission {need}, which a key of the role {caller.role}{narrowed} has not.")


def make_guard(parts: ApiParts, limits: RequestLimits) -> Guard:
    """Authenticates, checks the permission and counts the request, in this order, before the body is touched."""

    async def guard(request: Request, need: Need) -> None:
        if need is Open.PUBLIC:
            return
        key = bearer_key(request.headers.get("authorization"))
        # a thread for the question that most requests need not ask would cost more than all else here
        caller = parts.access.known(key)
        if caller is None:
            caller = await run_in_threadpool(parts.access.authenticate, key)
        request.state.caller = caller
        wait = await limits.take(caller.key_id)
        if wait > 0:
            raise Refusal(RateLimited(), retry_after=wait)
        check(caller, need)

    return guard
