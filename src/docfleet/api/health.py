"""Whether the process lives, and whether it can do its work."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal

import anyio
from fastapi import Request, Response
from pydantic import BaseModel

from docfleet.api.inputs import Parts
from docfleet.api.parts import ApiParts
from docfleet.api.resource import Open, Resource
from docfleet.api.schemas import example
from docfleet.errors import DocfleetError

health = Resource("Health")
_PATIENCE_SECONDS = 3.0
_GOOD_SECONDS = 1.0
"""An answer is good for this long, so that nobody can keep the parts busy by asking."""

Condition = Literal["up", "down", "none"]


class AliveOut(BaseModel):
    model_config = example(status="alive")

    status: Literal["alive"] = "alive"


class ReadyOut(BaseModel):
    """`ready` needs ledger and store. Without the broker nothing is lost: workers ask the ledger."""

    model_config = example(ready=True, ledger="up", store="up", broker="up")

    ready: bool
    ledger: Condition
    store: Condition
    broker: Condition


@health.route("GET", "/healthz", Open.PUBLIC, out=AliveOut, takes_input=False)
async def read_health() -> AliveOut:
    """The process answers."""
    return AliveOut()


@health.route(
    "GET",
    "/readyz",
    Open.PUBLIC,
    out=ReadyOut,
    takes_input=False,
    responses={503: {"model": ReadyOut, "description": "Ledger or store cannot be reached."}},
)
async def read_readiness(request: Request, response: Response, parts: Parts) -> ReadyOut:
    """Whether documents can be taken in."""
    state = request.app.state
    async with state.readiness_lock:
        found: tuple[float, ReadyOut] | None = getattr(state, "readiness", None)
        if found is None or time.monotonic() - found[0] > _GOOD_SECONDS:
            found = (time.monotonic(), await _look(parts))
            state.readiness = found
    ready = found[1]
    if not ready.ready:
        response.status_code = 503
        response.headers["retry-after"] = "2"
    return ready


async def _look(parts: ApiParts) -> ReadyOut:
    found: dict[str, Condition] = {}

    async def ask(name: str, check: Callable[[], bool] | None) -> None:
        if check is None:
            found[name] = "none"
            return
        found[name] = "down"
        with anyio.move_on_after(_PATIENCE_SECONDS):
            if await anyio.to_thread.run_sync(_answers, check, abandon_on_cancel=True):
                found[name] = "up"

    async with anyio.create_task_group() as group:
        group.start_soon(ask, "ledger", lambda: _answers_queries(parts))
        group.start_soon(ask, "store", lambda: _is_well(parts))
        group.start_soon(ask, "broker", parts.broker_is_up)
    ready = found["ledger"] == "up" and found["store"] == "up"
    return ReadyOut(ready=ready, ledger=found["ledger"], store=found["store"], broker=found["broker"])


def _answers_queries(parts: ApiParts) -> bool:
    with parts.ledger.reading() as session:
        session.connection().exec_driver_sql("SELECT 1")
    return True


def _is_well(parts: ApiParts) -> bool:
    parts.store.check()
    return True


def _answers(check: Callable[[], bool]) -> bool:
    try:
        return check()
    except DocfleetError:
        return False
