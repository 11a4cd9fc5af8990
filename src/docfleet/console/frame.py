"""What every page stands in: navigation, title, banner; who may see it, and what happens when something fails."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, Concatenate, ParamSpec

from fastapi import FastAPI, Request
from nicegui import Client, ui
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from docfleet.console import assets, plain_pages
from docfleet.console.guard import BASE, SIGNED, sign_in_address
from docfleet.console.parts import icon, link, tag
from docfleet.console.problems import ApiProblem
from docfleet.console.session import Session, Sessions
from docfleet.console.sign_in import forget
from docfleet.domain.access import Permission
from docfleet.telemetry import logger

P = ParamSpec("P")
Page = Callable[Concatenate[Session, P], Awaitable[None]]
Route = Callable[[Request, Session], Awaitable[Response]]
_BUILD_SECONDS = 20.0
_log = logger("console")


@dataclass(frozen=True)
class PageEntry:
    """A page of the console, as navigation and router know it."""

    path: str
    title: str
    build: Callable[..., Awaitable[None]]
    needs: Permission | None
    icon: str
    order: int
    in_navigation: bool
    shortcut: str


@dataclass(frozen=True)
class RouteEntry:
    path: str
    methods: tuple[str, ...]
    answer: Route
    needs: Permission | None


_pages: dict[str, PageEntry] = {}
_routes: list[RouteEntry] = []


def console_page(
    path: str, title: str, *, needs: Permission | None = None, icon: str = "", order: int = 0, shortcut: str = "",
    in_navigation: bool | None = None,
) -> Callable[[Page[P]], Page[P]]:  # fmt: skip
    """Registers `async def page(session, …)` at `/console` + `path`.

    Parameters after the session are those of the path (`/documents/{id}`) and of the query, with their types; the
    function fills the page's main part. Who may not (`needs`) does not see it in the navigation and is told so at the
    address. `order`: place in the navigation; pages without an icon are not there. `shortcut`: the letter after g.
    """

    def register(build: Page[P]) -> Page[P]:
        shown = bool(icon) if in_navigation is None else in_navigation
        _pages[path] = PageEntry(path, title, build, needs, icon, order, shown, shortcut)
        return build

    return register


def console_route(
    path: str, methods: Iterable[str] = ("GET",), needs: Permission | None = None
) -> Callable[[Route], Route]:
    """Registers `async def answer(request, session) -> Response` at `/console` + `path`: downloads, pictures, uploads.

    It is reached with a session only, and what changes something from a page of the console only. A refusal of the
    API becomes a response of its status with one sentence of text.
    """

    def register(answer: Route) -> Route:
        _routes.append(RouteEntry(path, tuple(methods), answer, needs))
        return answer

    return register


def add_routes(host: FastAPI, sessions: Sessions) -> None:
    for entry in _routes:
        host.add_route(entry.path, _answering(entry, sessions), methods=list(entry.methods))


def add_pages(sessions: Sessions) -> None:
    for entry in _pages.values():
        ui.page(entry.path, title=f"{entry.title} · docfleet", response_timeout=_BUILD_SECONDS)(
            _building(entry, sessions)
        )


def _answering(entry: RouteEntry, sessions: Sessions) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        try:
            session = await sessions.open(request.scope[SIGNED], request.scope[BASE])
            if entry.needs is not None and not session.may(entry.needs):
                return PlainTextResponse("Your key may not do this.", 403)
            return await entry.answer(request, session)
        except ApiProblem as problem:
            return PlainTextResponse(problem.said, problem.status or 503)
        except Exception as error:
            log_defect(error)
            return PlainTextResponse("Something went wrong in the console. It was logged.", 500)

    return answer


def _building(entry: PageEntry, sessions: Sessions) -> Callable[..., Awaitable[Response | None]]:
    """The function NiceGUI calls, with the parameters of the page but for the session."""

    async def build(request: Request, client: Client, **given: Any) -> Response | None:
        base = request.scope[BASE]
        try:
            session = await sessions.open(request.scope[SIGNED], base)
        except ApiProblem as problem:
            client.delete()
            return _no_session(request, sessions, problem)
        if entry.needs is not None and not session.may(entry.needs):
            client.delete()
            return plain_pages.refused(base, entry.title, session.role)
        if sessions.is_full(session.key_id):
            client.delete()
            return plain_pages.too_many(base)
        sessions.keep(client.id, session)
        client.on_delete(lambda: sessions.forget(client.id))
        client.on_exception(lambda error: _failed(session, error))
        _head(session)
        if client.content.parent_slot is not None:
            # Quasar's page would be a second <main> around navigation and all
            client.content.parent_slot.parent.tag = "div"
        await _fill(entry, session, given)
        return None

    own = list(inspect.signature(entry.build, eval_str=True).parameters.values())[1:]
    first = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=kind)
        for name, kind in (("request", Request), ("client", Client))
    ]
    kept = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own]
    build.__signature__ = inspect.Signature([*first, *kept])  # type: ignore[attr-defined]
    return build


async def _fill(entry: PageEntry, session: Session, given: dict[str, Any]) -> None:
    with tag("div", classes="shell"):
        link("Skip to the content", "#main").classes("skip")
        _side(entry, session)
        with tag("div", classes="body"):
            _top(entry)
            with tag("main", classes="main").props('id=main tabindex="-1"'):
                _banner(session)
                content = tag("div", classes="content")
    ui.on("docfleet_shown", lambda event: session.shown(bool(event.args)))
    with content:
        try:
            await entry.build(session, **given)
        except ApiProblem as problem:
            if problem.is_signed_out or problem.is_away:
                session.tell(problem)
                ui.timer(5.0, lambda: ui.navigate.reload(), once=True)
            else:
                content.clear()
                plain_pages.problem_in_page(problem)
        except Exception as error:
            log_defect(error)
            content.clear()
            plain_pages.defect_in_page()


def _no_session(request: Request, sessions: Sessions, problem: ApiProblem) -> Response:
    base = request.scope[BASE]
    if problem.is_signed_out:
        here = request.url.path.removeprefix(request.scope.get("root_path", ""))
        response: Response = RedirectResponse(sign_in_address(base, here), 303)
        forget(response, request, sessions.options)
        return response
    return plain_pages.away(base, problem)


def _failed(session: Session, error: Exception) -> None:
    """Something a page did when it was clicked, or by itself."""
    if isinstance(error, ApiProblem):
        if error.is_away or error.is_signed_out:
            session.tell(error)
        else:
            session.say(error.said, bad=True)
    else:
        session.say("Something went wrong in the console. It was logged; reload the page and try again.", bad=True)


def log_defect(error: Exception) -> None:
    if not isinstance(error, ApiProblem):
        _log.error("console_defect", exc_info=error)


def _head(session: Session) -> None:
    base = session.base
    ui.add_head_html(
        f'<script src="{assets.address(base, "theme.js")}"></script>'
        f'<link rel="stylesheet" href="{assets.address(base, "house.css")}">'
        f'<script defer src="{assets.address(base, "house.js")}" data-base="{base}"></script>'
    )


def _side(current: PageEntry, session: Session) -> None:
    with tag("aside", classes="side").props('id=side aria-label="Console"'):
        with link("", session.url("/")).classes("brand").props('aria-label="docfleet: overview"'):
            tag("span", classes="mark").props("aria-hidden=true")
            tag("span", "docfleet")
        with tag("nav", classes="nav").props('aria-label="Pages"'), tag("ul"):
            for entry in navigation(session):
                with tag("li"):
                    _nav_link(entry, current, session)
        with tag("div", classes="who"):
            with tag("div", classes="who-text"):
                tag("strong", session.tenant).props("title=Tenant")
                tag("span", session.role)
            with tag("div", classes="who-buttons"):
                with tag("button", classes="ghost").props('type=button data-act=theme aria-label="Light or dark"'):
                    icon("contrast")
                leaving = tag("form").props(f'method=post action="{session.url("/sign-out")}" data-act=sign-out')
                with leaving, tag("button", classes="ghost").props('type=submit aria-label="Sign out"'):
                    icon("logout")
    tag("div", classes="veil").props("data-act=close-side")


def _nav_link(entry: PageEntry, current: PageEntry, session: Session) -> None:
    here = entry.path == current.path or (entry.path != "/" and current.path.startswith(f"{entry.path}/"))
    with link("", session.url(entry.path)).classes("nav-link") as target:
        icon(entry.icon)
        tag("span", entry.title)
    if here:
        target.props('aria-current="page"')
    if entry.shortcut:
        target.props(f"data-shortcut={entry.shortcut}")


def navigation(session: Session) -> list[PageEntry]:
    """Pages this one may see, in their order."""
    seen = [page for page in _pages.values() if page.in_navigation and (page.needs is None or session.may(page.needs))]
    return sorted(seen, key=lambda page: (page.order, page.title))


def address_of(page: str, session: Session) -> str:
    """The address of a page by the name the API gives it ("dead-letters"); empty: this one may not see it."""
    path = "/" if page in ("", "overview") else f"/{page}"
    entry = _pages.get(path)
    if entry is None or (entry.needs is not None and not session.may(entry.needs)):
        return ""
    return session.url(path)


def _top(entry: PageEntry) -> None:
    with tag("header", classes="top"):
        with tag("button", classes="ghost menu").props(
            'type=button data-act=side aria-label="Navigation" aria-controls=side aria-expanded=false'
        ):
            icon("menu")
        tag("h1", entry.title)
        tag("div", classes="top-actions").props("id=top-actions")
        with tag("button", classes="ghost help").props('type=button data-act=help aria-label="Keyboard shortcuts"'):
            icon("keyboard")


def _banner(session: Session) -> None:
    with tag("div", classes="banner").props("role=alert") as banner:
        icon("cloud_off")
        said = tag("span")
    banner.set_visibility(False)

    def show(problem: ApiProblem | None) -> None:
        said.set_text(problem.said if problem is not None else "")
        banner.set_visibility(problem is not None)

    session.use_banner(show)
