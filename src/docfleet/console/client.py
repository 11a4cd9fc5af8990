"""The REST API as one signed-in person may use it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
import msgspec

from docfleet import __version__
from docfleet.console.problems import ApiProblem, away, problem_of, signed_out
from docfleet.console.transport import ASGI, InProcess

_SECONDS = 15.0
_CONNECT_SECONDS = 5.0
Params = Mapping[str, Any] | None


def open_http(app: ASGI | None, url: str = "", ca_file: str = "") -> httpx.AsyncClient:
    """One for the process: to `app` in this process, or to the address. Close it."""
    transport = InProcess(app) if app is not None else None
    verify: Any = True
    if ca_file and transport is None:
        import ssl

        verify = ssl.create_default_context(cafile=ca_file)
    return httpx.AsyncClient(
        transport=transport,
        verify=verify,
        base_url=url or "http://docfleet.internal",
        timeout=httpx.Timeout(_SECONDS, connect=_CONNECT_SECONDS),
        limits=httpx.Limits(max_connections=256, max_keepalive_connections=32),
        headers={"user-agent": f"docfleet-console/{__version__}"},
        # a redirect could carry the key elsewhere
        follow_redirects=False,
        trust_env=False,
    )


class Api:
    """Every call raises `ApiProblem` when it is refused or nobody answers."""

    def __init__(self, http: httpx.AsyncClient, key: str, until: float) -> None:
        """`until`: when the session ends, in seconds since 1970."""
        self._http = http
        self._key = key
        self._until = until

    def __repr__(self) -> str:  # a key must not reach a log by way of a traceback
        return "Api(…)"

    async def get(self, path: str, params: Params = None) -> Any:
        """The JSON of the answer."""
        return await self._ask("GET", path, params)

    async def post(self, path: str, json: Any = None, params: Params = None) -> Any:
        return await self._ask("POST", path, params, json)

    async def put(self, path: str, json: Any = None, params: Params = None) -> Any:
        return await self._ask("PUT", path, params, json)

    async def patch(self, path: str, json: Any = None, params: Params = None) -> Any:
        return await self._ask("PATCH", path, params, json)

    async def delete(self, path: str, params: Params = None) -> Any:
        return await self._ask("DELETE", path, params)

    async def upload(
        self, path: str, content: AsyncIterator[bytes], headers: Mapping[str, str], params: Params = None,
        method: str = "POST",
    ) -> Any:  # fmt: skip
        """Sends a body as it comes, without keeping it; the JSON of the answer."""
        async with self.stream(path, params, headers=headers, method=method, content=content) as response:
            return _decoded(await response.aread())

    @asynccontextmanager
    async def stream(
        self, path: str, params: Params = None, *, headers: Mapping[str, str] | None = None, method: str = "GET",
        content: AsyncIterator[bytes] | None = None, seconds: float | None = 60.0,
    ) -> AsyncIterator[httpx.Response]:  # fmt: skip
        """The answer with its body still to be read. `seconds`: how long a read may take; None: for ever."""
        request = self._http.build_request(
            method, path, params=_said(params), headers={**(headers or {}), **self._authorization()}, content=content,
            timeout=httpx.Timeout(seconds, connect=_CONNECT_SECONDS),
        )  # fmt: skip
        try:
            response = await self._http.send(request, stream=True)
            try:
                if response.status_code >= 300 and response.status_code != 304:
                    raise problem_of(response.status_code, await response.aread())
                yield response
            finally:
                await response.aclose()
        except httpx.TransportError as error:
            raise away(_reason(error)) from error

    async def _ask(self, method: str, path: str, params: Params, json: Any = None) -> Any:
        headers = self._authorization()
        content = None
        if json is not None:
            content = msgspec.json.encode(json)
            headers["content-type"] = "application/json"
        try:
            response = await self._http.request(method, path, params=_said(params), headers=headers, content=content)
        except httpx.TransportError as error:
            raise away(_reason(error)) from error
        if response.status_code >= 300:
            raise problem_of(response.status_code, response.content)
        return _decoded(response.content)

    def _authorization(self) -> dict[str, str]:
        if time.time() >= self._until:
            raise signed_out()
        return {"authorization": f"Bearer {self._key}"}


def _decoded(content: bytes) -> Any:
    if not content:
        return None
    try:
        return msgspec.json.decode(content)
    except msgspec.MsgspecError as error:
        raise ApiProblem(502, "not_understood", "The service answered with something else than JSON") from error


def _said(params: Params) -> dict[str, Any]:
    """Parameters that say something."""
    return {name: value for name, value in (params or {}).items() if value not in (None, "", (), [])}


def _reason(error: httpx.TransportError) -> str:
    return "no answer in time" if isinstance(error, httpx.TimeoutException) else "no connection"
