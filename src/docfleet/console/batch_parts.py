"""How a batch stands, as a bar and words."""

from __future__ import annotations

from typing import Any

from docfleet.console.parts import STATE_TONES, count, tag
from docfleet.domain.work import DOCUMENT_ENDS, DocumentState


def progress(batch: dict[str, Any]) -> None:
    """A bar with a part for each way documents ended, and the same in words."""
    documents: dict[str, int] = batch["documents"]
    total = sum(documents.values())
    ended = sum(documents.get(state.value, 0) for state in DOCUMENT_ENDS)
    said = f"{count(ended)} of {count(total)} documents ended" if total else "no documents yet"
    bar = tag("div", classes="batch-bar").props(f"role=progressbar aria-valuemin=0 aria-valuemax={max(total, 1)}")
    bar.props["aria-valuenow"] = ended
    bar.props["aria-label"] = said
    with bar:
        for state in DocumentState:
            if state in DOCUMENT_ENDS and documents.get(state.value):
                part = tag("span", classes=f"part tone-{STATE_TONES[state.value]}")
                part.style(f"width: {documents[state.value] / total * 100:.3f}%")
    with tag("div", classes="row-of small"):
        tag("span", said)
        for state in DocumentState:
            if documents.get(state.value):
                tag("span", f"{count(documents[state.value])} {state.value}", f"chip tone-{STATE_TONES[state.value]}")
        pages = batch["pages"]
        if pages["total"]:
            tag("span", f"{count(pages['read'])} of {count(pages['total'])} pages read", "hint")
        if batch["finished_at"]:
            tag("span", "finished", "hint")
        elif batch["sealed_at"]:
            tag("span", "sealed: takes no more documents", "hint")
