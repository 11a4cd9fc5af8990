"""What happened to a document, in sentences."""

from __future__ import annotations

from typing import Any

import pytest

from docfleet.console.history_words import in_words
from docfleet.domain.work import DOCUMENT_TRANSITIONS, SLICE_TRANSITIONS


def event(before: str, after: str, slice_id: int | None = None, cause: str = "") -> dict[str, Any]:
    return {"at": "2026-03-14T09:26:53Z", "slice_id": slice_id, "from": before, "to": after, "cause": cause}


def test_slices_are_steps_in_the_order_they_appear() -> None:
    told = in_words(
        [
            event("", "received", cause="accepted"),
            event("", "queued", 4711),
            event("queued", "running", 4711, "attempt 1"),
            event("", "queued", 815),
            event("running", "queued", 4711, "worker_died"),
            event("running", "done", 4711),
        ]
    )
    assert [one.what for one in told] == [
        "It was accepted and waits to be opened.",
        "Step 1 waits for a worker.",
        "Step 1 is under way.",
        "Step 2 waits for a worker.",
        "Step 1 goes back and waits to be tried again.",
        "Step 1 is done.",
    ]
    assert told[4].why == "worker died"
    assert told[2].why == "attempt 1"


def test_trying_again_is_not_told_as_beginning() -> None:
    [told] = in_words([event("failed", "received")])
    assert told.what == "It is tried again."


@pytest.mark.parametrize("of", [DOCUMENT_TRANSITIONS, SLICE_TRANSITIONS])
def test_every_move_has_its_sentence(of: dict[str, frozenset[str]]) -> None:
    number = 1 if of is SLICE_TRANSITIONS else None
    for before, afters in of.items():
        for after in afters:
            [told] = in_words([event(before, after, number)])
            assert told.what.endswith(".")
            assert after == "done" or f"is {after}." not in told.what, "a state and no sentence"
