"""Who sees a page, and what the page may ask for them."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import httpx
from nicegui import Client, ui

from docfleet.console.client import Api
from docfleet.console.options import ConsoleOptions
from docfleet.console.problems import ApiProblem
from docfleet.console.sealing import Signed
from docfleet.domain.access import SYSTEM_TENANT, Permission

Refresh = Callable[[], Awaitable[None]]
_RESTS = 4.0
"""Times as long as an answer took."""
_LONGEST_REST = 30.0


class Identity:
    """What `GET /v1/me` says of the key."""

    def __init__(self, said: Mapping[str, Any]) -> None:
        self.tenant = str(said["tenant"])
        self.key_id = str(said["key_id"])
        self.role = str(said["role"])
        self.permissions = frozenset(said["permissions"])


class Session:
    """One page of somebody who is signed in. Its `api` asks with that one's key and no other."""

    def __init__(self, api: Api, identity: Identity, base: str, id: str, options: ConsoleOptions) -> None:
        self.api = api
        self.base = base
        """Path of the console as the browser knows it: "/console"."""
        self.id = id
        self.options = options
        self.tenant = identity.tenant
        self.role = identity.role
        self.key_id = identity.key_id
        self._permissions = identity.permissions
        self._banner: Callable[[ApiProblem | None], None] = _nothing
        self._is_shown = True
        self._live: list[Callable[[], Awaitable[None]]] = []

    @property
    def is_system(self) -> bool:
        return self.tenant == SYSTEM_TENANT

    def may(self, permission: Permission) -> bool:
        return permission.value in self._permissions

    def url(self, path: str) -> str:
        """The address of a page or route of the console for the browser: "/documents" -> "/console/documents"."""
        return self.base + path

    def every(self, seconds: float, refresh: Refresh) -> None:
        """Calls `refresh` this often while the page is shown, and at once when it is shown again.

        The page calls it the first time itself. What the API refuses is told on the page, and it goes on trying. An
        answer that takes long is asked for less often: looking costs the service a fifth of one processor at most.
        """
        rests_until = 0.0

        async def look() -> None:
            nonlocal rests_until
            if not self._is_shown or time.monotonic() < rests_until:
                return
            begun = time.monotonic()
            try:
                await refresh()
            except ApiProblem as problem:
                self.tell(problem)
            else:
                self._banner(None)
                took = time.monotonic() - begun
                rests_until = begun + took + min(_LONGEST_REST, _RESTS * took)

        self._live.append(look)
        ui.timer(seconds, look, immediate=False)

    def tell(self, problem: ApiProblem) -> None:
        """Shows it on the page until something succeeds; who is signed out is sent to sign in."""
        if problem.is_signed_out:
            ui.run_javascript("docfleet.signIn()")
            return
        self._banner(problem)

    def say(self, text: str, *, bad: bool = False) -> None:
        """A short note at the edge of the page; `text` is text."""
        ui.notify(text, type="negative" if bad else "positive", position="bottom", timeout=4000 if not bad else 8000)

    async def shown(self, is_shown: bool) -> None:
        """The browser tells whether anybody sees the page."""
        came_back, self._is_shown = is_shown and not self._is_shown, is_shown
        if came_back:
            for look in self._live:
                await look()

    def use_banner(self, banner: Callable[[ApiProblem | None], None]) -> None:
        self._banner = banner


class Sessions:
    """Makes the session of each page, and knows which pages are open."""

    def __init__(self, options: ConsoleOptions, http: httpx.AsyncClient) -> None:
        self.options = options
        self._http = http
        self._pages: dict[str, Session] = {}

    async def open(self, signed: Signed, base: str) -> Session:
        """Raises `ApiProblem`, also for a key that is no longer one."""
        api = self.api_of(signed)
        return Session(api, Identity(await api.get("/v1/me")), base, signed.id, self.options)

    def api_of(self, signed: Signed) -> Api:
        """The API as this one may use it, without asking anything of it yet."""
        return Api(self._http, signed.key, signed.until)

    def keep(self, page: str, session: Session) -> None:
        """`page`: the id NiceGUI gave it."""
        self._pages[page] = session

    def forget(self, page: str) -> None:
        self._pages.pop(page, None)

    def owns_page(self, page: str, session: str) -> bool:
        """Whether the page was given to this session; what no longer exists is nobody's, and may say so."""
        found = self._pages.get(page)
        return found is None or found.id == session

    def is_full(self, key_id: str) -> bool:
        """Whether no more pages are to be opened, in all or with this key."""
        of_key = sum(1 for session in list(self._pages.values()) if session.key_id == key_id)
        return len(Client.instances) >= self.options.max_pages or of_key >= self.options.max_pages_of_key


def _nothing(problem: ApiProblem | None) -> None: ...
