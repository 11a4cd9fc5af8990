"""The same thing done to many documents, one by one, with an account of each that was refused."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec

from docfleet.console.client import Api
from docfleet.console.problems import ApiProblem

MOST = 5_000
"""Documents one action takes at a time; what is more is for the API or the command line."""
_AT_A_TIME = 4
_LISTED = 1_000
_PATIENCE = 20
"""So often a document is tried again while the service says that it is asked too much."""
Act = Callable[[str], Awaitable[Any]]
OnProgress = Callable[[int], None]


class Refused(msgspec.Struct, frozen=True):
    """What was not done, and why."""

    id: str
    reason: str


class Account(msgspec.Struct, frozen=True):
    """How an action went."""

    done: int
    refused: tuple[Refused, ...] = ()
    left: int = 0
    """Not tried: it was stopped, or the session ended."""


class Choice(msgspec.Struct, frozen=True):
    """The newest documents that fit the filters."""

    ids: tuple[str, ...]
    more: bool
    """There are others that fit, older than these."""


async def choose_all(api: Api, filters: Sequence[tuple[str, str]], most: int = MOST) -> Choice:
    """At most so many of what fits. Raises `ApiProblem`."""
    said: dict[str, list[str]] = {}
    for name, value in filters:
        said.setdefault(name, []).append(value)
    ids: list[str] = []
    cursor = ""
    while len(ids) < most:
        params: Mapping[str, Any] = {**said, "limit": min(_LISTED, most - len(ids)), "cursor": cursor}
        found = await api.get("/v1/documents", params)
        ids += [item["id"] for item in found["items"]]
        cursor = found["next_cursor"] or ""
        if not cursor:
            return Choice(tuple(ids), False)
    return Choice(tuple(ids), True)


async def apply_to(
    ids: Sequence[str], act: Act, on_progress: OnProgress, is_stopped: Callable[[], bool], pause_seconds: float = 1.0
) -> Account:
    """Does it to each, a few at a time. What one is refused does not stop the others; a lost session does."""
    waiting = list(reversed(ids))
    refused: list[Refused] = []
    done = 0
    lost = False

    async def work() -> None:
        nonlocal done, lost
        while waiting and not lost and not is_stopped():
            id = waiting.pop()
            try:
                await _patiently(act, id, pause_seconds, is_stopped)
                done += 1
            except ApiProblem as problem:
                if problem.is_signed_out:
                    lost = True
                    waiting.append(id)
                    return
                refused.append(Refused(id, problem.said))
            on_progress(done + len(refused))

    await asyncio.gather(*(work() for _ in range(_AT_A_TIME)))
    return Account(done, tuple(refused), len(waiting))


async def _patiently(act: Act, id: str, pause_seconds: float, is_stopped: Callable[[], bool]) -> None:
    for attempt in range(_PATIENCE):
        try:
            await act(id)
            return
        except ApiProblem as problem:
            waits = problem.is_away or problem.status == 429
            if not waits or attempt == _PATIENCE - 1 or is_stopped():
                raise
            await asyncio.sleep(pause_seconds * min(2.0**attempt, 10.0))
