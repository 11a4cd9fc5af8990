"""The API asked in the same process: streams both ways, and every refusal is a problem with a sentence."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from docfleet.console.client import Api, open_http
from docfleet.console.problems import AWAY, ApiProblem


def asked(app: Any, ask: Callable[[Api], Awaitable[Any]], seconds_left: float = 60) -> Any:
    async def run() -> Any:
        async with open_http(app) as http:
            return await ask(Api(http, "df_key", time.time() + seconds_left))

    return asyncio.run(asyncio.wait_for(run(), 20))


def app_of(answer: Callable[[Request], Awaitable[Response]]) -> Starlette:
    return Starlette(routes=[Route("/v1/x", answer, methods=["GET", "POST"])])


def test_a_question_carries_the_key_and_what_was_said() -> None:
    async def answer(request: Request) -> Response:
        seen = {"key": request.headers["authorization"], "query": dict(request.query_params)}
        return JSONResponse({**seen, "body": await request.json()})

    said = asked(app_of(answer), lambda api: api.post("/v1/x", {"a": 1}, {"limit": 5, "state": None, "label": ""}))
    assert said == {"key": "Bearer df_key", "query": {"limit": "5"}, "body": {"a": 1}}


def test_a_body_streams_and_waits_for_its_reader() -> None:
    made: list[int] = []

    async def answer(request: Request) -> Response:
        async def parts() -> AsyncIterator[bytes]:
            for number in range(1000):
                made.append(number)
                yield b"x" * 1000

        return StreamingResponse(parts())

    async def read(api: Api) -> int:
        async with api.stream("/v1/x") as response:
            chunks = response.aiter_raw()
            first = await anext(chunks)
            await asyncio.sleep(0.05)
            ahead = len(made)
            rest = [len(chunk) async for chunk in chunks]
        assert len(first) + sum(rest) == 1_000_000
        return ahead

    assert asked(app_of(answer), read) < 10


def test_a_reader_that_leaves_ends_the_work() -> None:
    ended: list[bool] = []

    async def answer(request: Request) -> Response:
        async def parts() -> AsyncIterator[bytes]:
            try:
                while True:
                    yield b"x"
            finally:
                ended.append(True)

        return StreamingResponse(parts())

    async def read(api: Api) -> None:
        async with api.stream("/v1/x") as response:
            await anext(response.aiter_raw())

    asked(app_of(answer), read)
    assert ended == [True]


def test_an_upload_is_taken_as_it_comes() -> None:
    most = [0, 0]

    async def answer(request: Request) -> Response:
        async for chunk in request.stream():
            most[0] = max(most[0], len(chunk))
            most[1] += len(chunk)
        return JSONResponse({"got": most[1], "type": request.headers["content-type"]})

    async def content() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"y" * 65536

    said = asked(app_of(answer), lambda api: api.upload("/v1/x", content(), {"content-type": "application/pdf"}))
    assert said == {"got": 6_553_600, "type": "application/pdf"}
    assert most[0] <= 65536


@pytest.mark.parametrize(
    ("status", "body", "code", "said"),
    [
        (404, {"code": "not_found", "title": "There is nothing", "detail": "No 7.", "remedy": "Check it."},
         "not_found", "No 7. Check it."),
        (500, ["no", "problem"], "", "Status 500"),
    ],
)  # fmt: skip
def test_a_refusal_is_a_problem(status: int, body: Any, code: str, said: str) -> None:
    async def answer(request: Request) -> Response:
        return JSONResponse(body, status)

    with pytest.raises(ApiProblem) as found:
        asked(app_of(answer), lambda api: api.get("/v1/x"))
    assert (found.value.status, found.value.code, found.value.said) == (status, code, said)
    assert not found.value.is_away


def test_who_does_not_answer_is_away() -> None:
    async def answer(request: Request) -> Response:
        raise RuntimeError("broken inside")

    async def proxy(request: Request) -> Response:
        return PlainTextResponse("<h1>Bad gateway</h1>", 502)

    for app in (app_of(answer), app_of(proxy)):
        with pytest.raises(ApiProblem) as found:
            asked(app, lambda api: api.get("/v1/x"))
        assert found.value.is_away
    with pytest.raises(ApiProblem) as found:
        asyncio.run(_ask_nobody())
    assert found.value.code == AWAY
    assert "df_key" not in str(found.value)


async def _ask_nobody() -> None:
    async with open_http(None, "http://127.0.0.1:9") as http:
        await Api(http, "df_key", time.time() + 60).get("/v1/me")


def test_a_session_ends_by_itself() -> None:
    async def answer(request: Request) -> Response:
        raise AssertionError("nobody asks any more")

    with pytest.raises(ApiProblem) as found:
        asked(app_of(answer), lambda api: api.get("/v1/x"), seconds_left=0)
    assert found.value.is_signed_out


def test_the_framework_is_loaded_by_its_pages_alone() -> None:
    """Neither the command line nor an API that is asked for no page pays for it."""
    code = (
        "import sys, docfleet.cli.main, docfleet.stack.web, docfleet.stack.console, docfleet.console.app;"
        "sys.exit('nicegui' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
