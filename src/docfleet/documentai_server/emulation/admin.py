"""The admin endpoint of an emulation: its plan and counts, changed live. It runs only when asked for."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from docfleet.documentai_server.emulation.plan import plan_from_json, plan_from_toml
from docfleet.documentai_server.emulation.playing import Emulation
from docfleet.errors import UsageError

LARGEST_PLAN = 1024 * 1024


def admin_app(emulation: Emulation) -> Starlette:
    """`GET /emulation`: plan and counts. `PUT /emulation`: a new plan (JSON, or TOML by its content type), in force
    when it answers. `DELETE /emulation/counts`: the counts begin at 0."""

    async def look(_: Request) -> Response:
        return _json({"plan": emulation.plan, "counts": emulation.counts()})

    async def change(request: Request) -> Response:
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > LARGEST_PLAN:
                return _json({"error": "The plan is too large."}, 413)
        try:
            if "toml" in request.headers.get("content-type", ""):
                plan = plan_from_toml(body.decode(errors="replace"))
            else:
                plan = plan_from_json(bytes(body))
        except UsageError as error:
            return _json({"error": error.message}, 400)
        emulation.change(plan)
        return _json({"plan": plan})

    async def forget(_: Request) -> Response:
        emulation.forget_counts()
        return Response(status_code=204)

    return Starlette(
        routes=[
            Route("/emulation", look, methods=["GET"]),
            Route("/emulation", change, methods=["PUT"]),
            Route("/emulation/counts", forget, methods=["DELETE"]),
        ]
    )


def _json(value: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status, media_type="application/json")
