"""Stands before all of the console: who asks, from where, and what the browser may do with the answer.

Nothing behind it is reached without a session but style sheets, scripts and the page to sign in. What changes
anything, and every socket, must come from a page of the console itself: the browser says so in `Origin` and
`Sec-Fetch-Site`, and its session cookie never travels with a request of another site (SameSite=Strict).
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from http.cookies import CookieError, SimpleCookie
from urllib.parse import quote, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from docfleet.console.options import ConsoleOptions
from docfleet.console.sealing import COOKIE, Signed, unseal

SIGNED = "docfleet.signed"
BASE = "docfleet.base"
SIGN_IN = "/sign-in"
ASSETS = "/assets/"
_LIBRARIES = "/_nicegui/"
_SOCKET = "/_nicegui_ws/"
_CLIENT_FILES = "/_nicegui/client/"
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_PREFIX = re.compile(r"(/[A-Za-z0-9._~-]+)*")
_SCRIPT = re.compile(rb"<script\b")
_HEADERS: Mapping[str, str] = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # without any, browsers would hide the origin of a form, too
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
}
PLAIN_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'"
)
"""For pages that need no framework."""
_IMMUTABLE = "private, max-age=31536000, immutable"
OwnsPage = Callable[[str, str], bool]
"""(page of NiceGUI, session) -> whether that page was given to that session."""


def page_policy(nonce: str) -> str:
    """What a page may load: from here alone, and no script that was not written into it by this process.

    `unsafe-eval`: Vue makes functions of its templates in the browser. `unsafe-inline` for styles: of elements.
    """
    return (
        f"default-src 'none'; script-src 'self' 'nonce-{nonce}' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; worker-src 'self'; "
        "manifest-src 'self'; form-action 'self'; frame-src 'self'; frame-ancestors 'none'; base-uri 'none'; "
        "object-src 'none'"
    )


class Guard:
    """Pure ASGI. Puts the session and the address of the console into the scope of what it lets through."""

    def __init__(self, app: ASGIApp, options: ConsoleOptions, owns_page: OwnsPage) -> None:
        self._app = app
        self._options = options
        self._owns_page = owns_page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        scope[BASE] = base_of(scope, headers)
        scope[SIGNED] = signed = unseal(cookie_of(headers), self._options.sealing, time.time())
        refusal = self._refusal(scope, headers, path, signed)
        if refusal is not None:
            await _refuse(refusal, scope, receive, send)
            return
        if scope["type"] == "websocket":
            await self._app(scope, receive, send)
            return
        await self._app(scope, receive, _Answer(send, path))

    def _refusal(self, scope: Scope, headers: Headers, path: str, signed: Signed | None) -> Response | None:
        """None: it may pass."""
        socket = path.startswith(_SOCKET)
        if (socket or scope.get("method", "GET") not in _SAFE) and not self._is_own(scope, headers):
            return PlainTextResponse("This did not come from a page of the console.", 403)
        if path == SIGN_IN or path.startswith(ASSETS):
            return None
        if path.startswith(_LIBRARIES) and not path.startswith(_CLIENT_FILES):
            return None
        if signed is None:
            return self._not_signed_in(scope, headers, path)
        if headers.get("sec-fetch-site", "none") == "cross-site" and headers.get("sec-fetch-mode") != "navigate":
            return PlainTextResponse("This did not come from a page of the console.", 403)
        if socket and not self._owns_page(_asked(scope, b"client_id"), signed.id):
            return PlainTextResponse("This page belongs to another session.", 403)
        return None

    def _not_signed_in(self, scope: Scope, headers: Headers, path: str) -> Response:
        is_page = scope["type"] == "http" and headers.get("sec-fetch-mode", "navigate") == "navigate"
        if not is_page or scope["method"] not in _SAFE or path.startswith((_SOCKET, _CLIENT_FILES)):
            return PlainTextResponse("Sign in first.", 401)
        if headers.get("sec-fetch-site") == "cross-site":
            # a link from elsewhere comes without the cookie, whoever follows it; asked again from here it has it
            return HTMLResponse(
                '<!doctype html><meta http-equiv="refresh" content="0"><title>docfleet</title>',
                headers={"content-security-policy": "default-src 'none'; frame-ancestors 'none'"},
            )
        return RedirectResponse(sign_in_address(scope[BASE], _here(scope, path)), 303)

    def _is_own(self, scope: Scope, headers: Headers) -> bool:
        """Whether a page of the console sent it. Browsers always say where from; what is no browser has no cookie."""
        site = headers.get("sec-fetch-site")
        if site is not None and site != "same-origin":
            return False
        origin = headers.get("origin")
        if origin is None:
            return site == "same-origin"
        known = {headers.get("host", ""), headers.get("x-forwarded-host", "")}
        known.add(urlsplit(self._options.public_url).netloc)
        return urlsplit(origin).netloc.lower() in {host.lower() for host in known if host}


class _Answer:
    """Sends on an answer with the headers of the house; scripts in its pages get the mark that lets them run."""

    def __init__(self, send: Send, path: str) -> None:
        self._send = send
        self._path = path
        self._start: Message | None = None
        self._nonce = secrets.token_urlsafe(16)
        self._page: bytearray | None = None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
            if self._path.startswith(_LIBRARIES) and not self._path.startswith(_CLIENT_FILES):
                if message["status"] == 200:
                    headers["cache-control"] = _IMMUTABLE
            elif headers.get("x-nicegui-content") == "page":
                headers["content-security-policy"] = page_policy(self._nonce)
                self._start, self._page = message, bytearray()
                return
            else:
                headers.setdefault("content-security-policy", PLAIN_POLICY)
            await self._send(message)
        elif self._page is None or self._start is None:
            await self._send(message)
        else:
            self._page += message.get("body", b"")
            if message.get("more_body", False):
                return
            body = _SCRIPT.sub(b'<script nonce="' + self._nonce.encode() + b'"', bytes(self._page))
            MutableHeaders(scope=self._start)["content-length"] = str(len(body))
            await self._send(self._start)
            await self._send({"type": "http.response.body", "body": body})


def base_of(scope: Scope, headers: Headers) -> str:
    """Path of the console as the browser knows it, without a slash at its end: "/console"."""
    before = headers.get("x-forwarded-prefix", "").rstrip("/")
    return (before if _PREFIX.fullmatch(before) else "") + str(scope.get("root_path", ""))


def is_https(scope: Scope, headers: Headers, public_url: str) -> bool:
    """Whether the browser speaks TLS, be it with a proxy before this process."""
    forwarded = headers.get("x-forwarded-proto", "").split(",")[0].strip()
    return "https" in (scope["scheme"], forwarded) or public_url.startswith("https:")


def cookie_of(headers: Headers) -> str:
    """The value of the session's cookie, or nothing."""
    try:
        found = SimpleCookie("; ".join(headers.getlist("cookie"))).get(COOKIE)
    except CookieError:
        return ""
    return found.value if found is not None else ""


def sign_in_address(base: str, to: str) -> str:
    """Where to sign in, and where to go on to then."""
    return f"{base}{SIGN_IN}" + (f"?to={quote(to, safe='/')}" if to not in ("", "/") else "")


def _here(scope: Scope, path: str) -> str:
    query = scope.get("query_string", b"").decode("latin-1")
    return f"{path}?{query}" if query else path


def _asked(scope: Scope, name: bytes) -> str:
    for part in scope.get("query_string", b"").split(b"&"):
        key, _, value = part.partition(b"=")
        if key == name:
            return str(value.decode("latin-1"))
    return ""


async def _refuse(refusal: Response, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        # before it was accepted: the browser is answered 403
        await receive()
        await send({"type": "websocket.close", "code": 4403})
        return
    for name, value in _HEADERS.items():
        refusal.headers.setdefault(name, value)
    refusal.headers.setdefault("cache-control", "no-store")
    refusal.headers.setdefault("content-security-policy", PLAIN_POLICY)
    sending: Callable[[Scope, Receive, Send], Awaitable[None]] = refusal
    await sending(scope, receive, send)
