"""What happened to a document, in sentences, from the events the API tells."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from docfleet.domain.work import DOCUMENT_ENDS, DocumentState, SliceState

_DOCUMENT: Mapping[str, str] = {
    DocumentState.RECEIVED: "It was accepted and waits to be opened.",
    DocumentState.RUNNING: "It was opened; its pages are being read.",
    DocumentState.ASSEMBLING: "The pages have ended; the results are being written.",
    DocumentState.SUCCEEDED: "It is finished: every page was read.",
    DocumentState.PARTIAL: "It is finished, but not every page was read.",
    DocumentState.FAILED: "It failed.",
    DocumentState.CANCELLED: "It was given up on purpose.",
}
_STEP: Mapping[str, str] = {
    SliceState.QUEUED: "waits for a worker.",
    SliceState.RUNNING: "is under way.",
    SliceState.DONE: "is done.",
    SliceState.DEAD: "was given up: nothing tries it again by itself.",
    SliceState.CANCELLED: "is not needed any more.",
}
_ENDS = {state.value for state in DOCUMENT_ENDS}


class Happened(msgspec.Struct, frozen=True):
    at: str
    """As the API tells it."""
    what: str
    why: str


def in_words(events: Iterable[Mapping[str, Any]]) -> list[Happened]:
    """One sentence for each event, in their order; the slices of a document are its steps, numbered as they appear."""
    steps: dict[int, int] = {}
    found = []
    for event in events:
        number = event["slice_id"]
        if number is not None:
            number = steps.setdefault(number, len(steps) + 1)
        found.append(Happened(event["at"], _what(event, number), _why(event["cause"])))
    return found


def _what(event: Mapping[str, Any], step: int | None) -> str:
    before, after = event["from"], event["to"]
    if step is None:
        if before in _ENDS:
            return "It is tried again."
        return _DOCUMENT.get(after, f"It is {after}.")
    if before == SliceState.RUNNING and after == SliceState.QUEUED:
        return f"Step {step} goes back and waits to be tried again."
    return f"Step {step} {_STEP.get(after, f'is {after}.')}"


def _why(cause: str) -> str:
    """Codes as words; what is a sentence already stays as it is."""
    return cause if " " in cause else cause.replace("_", " ")
