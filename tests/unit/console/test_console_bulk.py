"""The same done to many: each refusal told, waits waited out, stopped when asked."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any, cast

from docfleet.console.bulk import apply_to, choose_all
from docfleet.console.client import Api
from docfleet.console.problems import ApiProblem, away, signed_out
from docfleet.console.reading_choices import parsed_labels


def run(ids: list[str], act: Any, is_stopped: Any = lambda: False) -> Any:
    return asyncio.run(apply_to(ids, act, lambda _: None, is_stopped, pause_seconds=0))


def test_a_refusal_does_not_stop_the_others() -> None:
    async def act(id: str) -> None:
        if id == "b":
            raise ApiProblem(409, "conflict", "No", "It succeeded.")

    account = run(["a", "b", "c"], act)
    assert (account.done, account.left) == (2, 0)
    assert [(one.id, one.reason) for one in account.refused] == [("b", "It succeeded.")]


def test_what_is_too_much_is_waited_for_and_done_once() -> None:
    tries: Counter[str] = Counter()

    async def act(id: str) -> None:
        tries[id] += 1
        if tries[id] < 3:
            raise ApiProblem(429, "rate_limited", "Slowly") if tries[id] == 1 else away()

    assert run(["a", "b"], act).done == 2
    assert tries == {"a": 3, "b": 3}


def test_a_lost_session_stops_and_tells_what_is_left() -> None:
    async def act(id: str) -> None:
        if int(id) >= 10:
            raise signed_out()

    account = run([str(number) for number in range(30)], act)
    assert (account.done, account.done + account.left) == (10, 30)


def test_stopped_when_asked() -> None:
    done: list[str] = []

    async def act(id: str) -> None:
        done.append(id)

    account = run([str(number) for number in range(100)], act, lambda: len(done) >= 10)
    assert account.done == len(done) < 15
    assert account.done + account.left == 100


class Listing:
    """The listing of so many documents, by cursor."""

    def __init__(self, many: int) -> None:
        self.many = many

    async def get(self, _: str, params: dict[str, Any]) -> dict[str, Any]:
        assert params["state"] == ["failed", "partial"]
        start = int(params["cursor"] or 0)
        end = min(self.many, start + params["limit"])
        items = [{"id": str(number)} for number in range(start, end)]
        return {"items": items, "next_cursor": str(end) if end < self.many else None}


def test_all_that_fit_are_chosen_up_to_a_limit_and_the_rest_is_told() -> None:
    filters = [("state", "failed"), ("state", "partial")]
    few = asyncio.run(choose_all(cast(Api, Listing(1500)), filters, 2000))
    assert (len(few.ids), few.more) == (1500, False)
    many = asyncio.run(choose_all(cast(Api, Listing(2001)), filters, 2000))
    assert (len(many.ids), many.more) == (2000, True)


def test_labels_are_read_as_they_are_written() -> None:
    assert parsed_labels(" a = b , c=d=e,") == ({"a": "b", "c": "d=e"}, "")
    assert "k=v" in parsed_labels("nothing")[1]
    assert "characters" in parsed_labels(f"a={'x' * 300}")[1]
    assert "labels" in parsed_labels(",".join(f"k{number}=v" for number in range(40)))[1]
