"""Signing in with an API key, and out again: plain pages without a script, so that the key passes nothing else."""

from __future__ import annotations

import html
import time
from collections import OrderedDict
from collections.abc import Callable
from urllib.parse import parse_qs

import httpx
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from docfleet.console import assets
from docfleet.console.client import Api
from docfleet.console.guard import BASE, is_https, sign_in_address
from docfleet.console.options import ConsoleOptions
from docfleet.console.problems import ApiProblem
from docfleet.console.sealing import COOKIE, new_session, seal
from docfleet.quota.bucket import TokenBucket

_MOST_BYTES = 8192
_ADDRESSES_KEPT = 10_000
_KEY_CHARACTERS = 256


class Refusals:
    """Counts refused sign-ins by address; who has too many waits."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_minute = per_minute
        self._clock = clock
        self._buckets: OrderedDict[str, TokenBucket] = OrderedDict()

    def wait_seconds(self, address: str) -> float:
        """0.0: this address may try."""
        bucket = self._buckets.get(address)
        return bucket.wait_for(1.0, self._clock()) if bucket is not None else 0.0

    def count(self, address: str) -> None:
        now = self._clock()
        bucket = self._buckets.pop(address, None)
        full = TokenBucket.full(self._per_minute / 60.0, float(self._per_minute), now)
        self._buckets[address] = (bucket or full).take(1.0, now)
        if len(self._buckets) > _ADDRESSES_KEPT:
            self._buckets.popitem(last=False)


class Door:
    """The routes `/sign-in` and `/sign-out`."""

    def __init__(self, options: ConsoleOptions, http: httpx.AsyncClient) -> None:
        self._options = options
        self._http = http
        self._refusals = Refusals(options.sign_ins_per_minute)

    async def show(self, request: Request) -> Response:
        return _page(request.scope[BASE], _target(request.query_params.get("to", "")))

    async def sign_in(self, request: Request) -> Response:
        base, form = request.scope[BASE], await _form(request)
        if form is None:
            return _page(base, "/", "This is no sign-in of ours.", 400)
        to, key = _target(form.get("to", "")), form.get("key", "").strip()
        address = request.client.host if request.client else ""
        wait = self._refusals.wait_seconds(address)
        if wait > 0:
            page = _page(base, to, "Too many keys were refused. Wait a minute, then try again.", 429)
            page.headers["retry-after"] = str(max(1, round(wait)))
            return page
        if not key or len(key) > _KEY_CHARACTERS or not key.isascii() or not key.isprintable() or " " in key:
            self._refusals.count(address)
            return _page(base, to, "This is not an API key. Copy all of it, from df_ to its end.", 401)
        signed = new_session(key, time.time(), self._options.session_hours)
        try:
            await Api(self._http, key, signed.until).get("/v1/me")
        except ApiProblem as problem:
            if problem.is_away:
                return _page(base, to, "The service does not answer at the moment. Try again in a few seconds.", 503)
            if problem.status == 401:
                self._refusals.count(address)
                said = "This key has expired or was revoked. Ask an admin for a new one."
                return _page(base, to, said if problem.code == "key_expired" else "This key is not known here.", 401)
            return _page(base, to, problem.said, problem.status)
        response = RedirectResponse(base + to, 303, {"cache-control": "no-store"})
        self._keep(response, request, seal(signed, self._options.sealing), round(self._options.session_hours * 3600))
        return response

    async def sign_out(self, request: Request) -> Response:
        """The cookie is all there is of a session; open pages of it go with it."""
        response = RedirectResponse(sign_in_address(request.scope[BASE], ""), 303, {"cache-control": "no-store"})
        forget(response, request, self._options)
        return response

    def _keep(self, response: Response, request: Request, value: str, seconds: int) -> None:
        _set_cookie(response, request, self._options, value, seconds)


def forget(response: Response, request: Request, options: ConsoleOptions) -> None:
    """Takes the session away from the browser."""
    _set_cookie(response, request, options, "", 0)


def _set_cookie(response: Response, request: Request, options: ConsoleOptions, value: str, seconds: int) -> None:
    response.set_cookie(
        COOKIE, value, max_age=seconds, path=request.scope[BASE] or "/", httponly=True, samesite="strict",
        secure=is_https(request.scope, request.headers, options.public_url),
    )  # fmt: skip


async def _form(request: Request) -> dict[str, str] | None:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MOST_BYTES:
            return None
    try:
        fields = parse_qs(body.decode("ascii"), max_num_fields=4)
    except ValueError:
        return None
    return {name: values[0] for name, values in fields.items()}


def _target(to: str) -> str:
    """A path of the console to go on to; what could lead elsewhere leads to the first page."""
    is_ours = to.startswith("/") and not to.startswith(("//", "/\\", "/sign-")) and to.isprintable()
    return to if is_ours and len(to) < 1000 else "/"


def _page(base: str, to: str, problem: str = "", status: int = 200) -> HTMLResponse:
    said = f'<p class="problem" role="alert">{html.escape(problem)}</p>' if problem else ""
    style, theme = assets.address(base, "house.css"), assets.address(base, "theme.js")
    page = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Sign in · docfleet</title>
<script src="{theme}"></script>
<link rel="icon" href="{assets.FAVICON}"><link rel="stylesheet" href="{style}">
</head>
<body class="sign-in">
<main>
<h1><span class="mark" aria-hidden="true"></span>docfleet</h1>
{said}
<form method="post" action="{html.escape(base)}/sign-in">
<input type="hidden" name="to" value="{html.escape(to)}">
<label for="key">API key</label>
<input id="key" name="key" type="password" autocomplete="current-password" required autofocus spellcheck="false"
 autocapitalize="off" placeholder="df_…" aria-describedby="hint">
<button type="submit">Sign in</button>
</form>
<p id="hint" class="hint">A key decides whose documents you see and what you may do. Admins make keys on the page Access
or with <code>docfleet keys create</code>; a service just started keeps its first one in <code>access.json</code>.</p>
</main>
</body>
</html>
"""
    response = HTMLResponse(page, status)
    MutableHeaders(raw=response.raw_headers)["cache-control"] = "no-store"
    return response
