"""What stands before the console: who passes, from where, and with what the answer is sent."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Mapping
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.types import ASGIApp, Message
from starlette.websockets import WebSocket

from docfleet.console.guard import BASE, COOKIE, Guard
from docfleet.console.options import ConsoleOptions
from docfleet.console.sealing import Signed, new_session, seal, unseal
from docfleet.console.sign_in import Refusals, _target
from docfleet.console.transport import InProcess
from docfleet.store.keys import MasterKey

OWN = {"origin": "http://console.test", "sec-fetch-site": "same-origin"}
_page = "<script>1</script><script type=module>2</script><p>&lt;script&gt;</p>"


class Asker:
    """Asks the guarded application, as browsers do."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    def get(self, path: str, headers: Mapping[str, str] = {}) -> httpx.Response:
        return self._ask("GET", path, headers)

    def post(self, path: str, headers: Mapping[str, str]) -> httpx.Response:
        return self._ask("POST", path, headers)

    def _ask(self, method: str, path: str, headers: Mapping[str, str]) -> httpx.Response:
        async def ask() -> httpx.Response:
            async with httpx.AsyncClient(transport=InProcess(self._app), base_url="http://console.test") as client:
                return await client.request(method, path, headers=headers)

        return asyncio.run(ask())

    def opens_socket(self, path: str, headers: Mapping[str, str]) -> bool:
        said: list[Message] = []
        path, _, query = path.partition("?")
        scope = {
            "type": "websocket", "path": path, "raw_path": path.encode(), "query_string": query.encode(),
            "root_path": "", "scheme": "ws", "subprotocols": [],
            "headers": [(b"host", b"console.test"), *((k.encode(), v.encode()) for k, v in headers.items())],
        }  # fmt: skip

        async def receive() -> Message:
            return {"type": "websocket.connect"}

        async def send(message: Message) -> None:
            said.append(message)

        asyncio.run(self._app(scope, receive, send))  # type: ignore[arg-type]
        return said[0]["type"] == "websocket.accept"


@pytest.fixture(scope="module")
def sealing() -> MasterKey:
    return MasterKey.generate()


@pytest.fixture
def client(sealing: MasterKey) -> Asker:
    async def page(request: Request) -> Response:
        return HTMLResponse(_page, headers={"x-nicegui-content": "page", "x-base": request.scope[BASE]})

    async def plain(request: Request) -> Response:
        return PlainTextResponse("done")

    async def socket(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.close()

    inner = Starlette(
        routes=[
            Route("/", page),
            Route("/sign-in", plain),
            Route("/assets/0/a.css", plain),
            Route("/upload", plain, methods=["POST"]),
            Route("/picture", plain),
            Route("/_nicegui/3/static/a.js", plain),
            Route("/_nicegui/client/1/upload", plain),
            Route("/_nicegui_ws/socket.io/", plain, methods=["GET", "POST"]),
            WebSocketRoute("/_nicegui_ws/socket.io/ws", socket),
        ]
    )
    options = ConsoleOptions(sealing=sealing, public_url="https://docs.example.com")
    guard = Guard(inner, options, lambda page, session: page == session)
    return Asker(Starlette(routes=[Mount("/console", guard)]))


@pytest.fixture
def signed(sealing: MasterKey) -> Signed:
    return new_session("df_key", time.time(), 1)


@pytest.fixture
def cookie(sealing: MasterKey, signed: Signed) -> dict[str, str]:
    return {"cookie": f"{COOKIE}={seal(signed, sealing)}"}


def test_without_a_session_there_is_the_way_in_and_nothing_else(client: Asker) -> None:
    assert client.get("/console/sign-in").status_code == 200
    assert client.get("/console/assets/0/a.css").status_code == 200
    assert client.get("/console/_nicegui/3/static/a.js").status_code == 200
    led = client.get("/console/documents/1?page=2")
    assert (led.status_code, led.headers["location"]) == (303, "/console/sign-in?to=/documents/1%3Fpage%3D2")
    assert client.get("/console/picture", headers={"sec-fetch-mode": "no-cors"}).status_code == 401
    assert client.get("/console/_nicegui/client/1/upload").status_code == 401
    assert client.get("/console/_nicegui_ws/socket.io/", headers=OWN).status_code == 401


def test_a_link_from_elsewhere_is_asked_again_from_here(client: Asker) -> None:
    """The cookie does not come with it, although the person may be signed in."""
    answer = client.get("/console/", headers={"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"})
    assert answer.status_code == 200
    assert 'http-equiv="refresh"' in answer.text


@pytest.mark.parametrize("path", ["/console/upload", "/console/_nicegui_ws/socket.io/?client_id=1"])
@pytest.mark.parametrize(
    "foreign",
    [
        {"origin": "http://evil.test"},
        {"origin": "http://evil.test", "sec-fetch-site": "cross-site"},
        {"origin": "http://console.test", "sec-fetch-site": "same-site"},
        {"origin": "null"},
        {"origin": "http://console.test.evil.test"},
        {"origin": "http://console.test:81"},
        {},
    ],
    ids=str,
)
def test_what_changes_anything_comes_from_here(
    client: Asker, cookie: dict[str, str], path: str, foreign: dict[str, str]
) -> None:
    assert client.post(path, headers={**cookie, **foreign}).status_code == 403


@pytest.mark.parametrize(
    "own",
    [
        OWN,
        {"origin": "http://CONSOLE.test"},
        {"sec-fetch-site": "same-origin"},
        {"origin": "https://docs.example.com"},
        {"origin": "https://outer.test", "x-forwarded-host": "outer.test"},
    ],
    ids=str,
)
def test_a_page_of_the_console_may(client: Asker, cookie: dict[str, str], own: dict[str, str]) -> None:
    assert client.post("/console/upload", headers={**cookie, **own}).status_code == 200


def test_nothing_of_it_is_put_into_a_foreign_page(client: Asker, cookie: dict[str, str]) -> None:
    embedded = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}
    assert client.get("/console/picture", headers={**cookie, **embedded}).status_code == 403


def test_a_socket_belongs_to_its_page_and_its_session(client: Asker, cookie: dict[str, str], signed: Signed) -> None:
    path = "/console/_nicegui_ws/socket.io/ws?client_id="
    assert client.opens_socket(path + signed.id, {**cookie, **OWN})
    assert not client.opens_socket(path + "other", {**cookie, **OWN})
    assert not client.opens_socket(path + signed.id, {**cookie, "origin": "http://evil.test"})
    assert not client.opens_socket(path + signed.id, OWN)


def test_only_scripts_this_process_wrote_run(client: Asker, cookie: dict[str, str]) -> None:
    answers = [client.get("/console/", headers=cookie) for _ in range(2)]
    for answer in answers:
        policy = answer.headers["content-security-policy"]
        [nonce] = re.findall(r"'nonce-([^']+)'", policy)
        assert answer.text.count(f'<script nonce="{nonce}"') == answer.text.count("<script") == 2
        assert "'unsafe-inline'" not in policy.split("style-src")[0]
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["x-frame-options"] == "DENY"
        assert int(answer.headers["content-length"]) == len(answer.content)
    assert answers[0].text != answers[1].text, "the mark is drawn for each page"


def test_a_prefix_is_the_proxys_or_none(client: Asker, cookie: dict[str, str]) -> None:
    for said, base in {"/docs": "/docs/console", '/"><script>': "/console", "//evil.test": "/console"}.items():
        answer = client.get("/console/", headers={**cookie, "x-forwarded-prefix": said})
        assert answer.headers["x-base"] == base


def test_a_cookie_is_ours_whole_and_in_time(sealing: MasterKey) -> None:
    now = 1000.0
    signed = new_session("df_key", now, 2)
    value = seal(signed, sealing)
    assert "df_key" not in value
    assert unseal(value, sealing, now + 7199) == signed
    assert unseal(value, sealing, now + 7200) is None
    assert unseal(value, MasterKey.generate(), now) is None
    other = "A" if value[20] != "A" else "B"
    spoilt: list[Any] = ["", "x", value[:-4], value[:20] + other + value[21:], value * 10, "ü" * 40, "=" * 8]
    assert [unseal(one, sealing, now) for one in spoilt] == [None] * len(spoilt)
    assert unseal(seal(signed, sealing.rotated()), sealing, now) is None
    assert unseal(value, sealing.rotated(), now) == signed, "a new master key signs nobody out"
    assert "df_key" not in repr(signed)


@pytest.mark.parametrize(
    ("to", "led"),
    [
        ("/documents/1?page=2", "/documents/1?page=2"),
        ("", "/"),
        ("https://evil.test", "/"),
        ("//evil.test", "/"),
        ("/\\evil.test", "/"),
        ("/a\r\nset-cookie: x", "/"),
        ("/sign-out", "/"),
        ("/" + "a" * 2000, "/"),
    ],
)
def test_signing_in_leads_nowhere_else(to: str, led: str) -> None:
    assert _target(to) == led


def test_who_guesses_waits() -> None:
    now = [0.0]
    refusals = Refusals(3, lambda: now[0])
    for _ in range(3):
        assert refusals.wait_seconds("10.0.0.1") == 0.0
        refusals.count("10.0.0.1")
    assert refusals.wait_seconds("10.0.0.1") == pytest.approx(20.0)
    assert refusals.wait_seconds("10.0.0.2") == 0.0
    now[0] += 20.0
    assert refusals.wait_seconds("10.0.0.1") == 0.0
