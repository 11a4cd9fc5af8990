"""The states of documents and slices, which moves are legal, and what a document's end is called.

    document   RECEIVED ──plan──▶ RUNNING ──last page slice──▶ ASSEMBLING ──▶ SUCCEEDED | PARTIAL | FAILED
    slice      QUEUED ──claim──▶ RUNNING ──finish──▶ DONE
                  ▲                 │ └──third crash, third error, hopeless error──▶ DEAD
                  └──retry, hand-back, lapsed lease

A slice that ended stays ended: trying a document again makes new slices of its next *round*. The database refuses
every move that is not in the tables below (triggers made by the migrations; a test compares both).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import msgspec


class Step(StrEnum):
    """What is done to a slice."""

    PLAN = "plan"
    """Open the document, count and measure its pages, cut it into slices. One per document and round."""
    LOCAL = "local"
    """Read a range of pages on this machine."""
    CLOUD = "cloud"
    """Read pages the local step read too poorly, by a remote engine."""
    ASSEMBLE = "assemble"
    """Put the pages together and write the results. One per document and round."""


PAGE_STEPS = frozenset({Step.LOCAL, Step.CLOUD})
"""Steps whose slices end in page outcomes."""

STEP_PRIORITY: Mapping[Step, int] = {Step.PLAN: 0, Step.LOCAL: 0, Step.CLOUD: -10, Step.ASSEMBLE: -20}
"""Added to the document's priority (lower runs first): what is nearly ready is finished before new work begins."""

WHOLE_DOCUMENT = 0
"""`first_page` and `last_page` of a slice that is not about single pages; pages count from 1."""


class DocumentState(StrEnum):
    """Where a document stands."""

    RECEIVED = "received"
    """Registered; its plan is waiting or being made."""
    RUNNING = "running"
    """Planned; page slices are waiting or being read."""
    ASSEMBLING = "assembling"
    """Every page slice has ended and at least one page was read; the results are being written."""
    SUCCEEDED = "succeeded"
    """Every page was read and the results are written."""
    PARTIAL = "partial"
    """The results are written, but not every page was read; the page rows say which and why."""
    FAILED = "failed"
    """No results: no page could be read, or they could not be written. Has a code."""
    CANCELLED = "cancelled"
    """Given up on purpose: by the user, or because no input needs it any more."""


class SliceState(StrEnum):
    """Where a slice stands."""

    QUEUED = "queued"
    """May be claimed from `available_at` on."""
    RUNNING = "running"
    """Claimed: one worker may write, until the lease ends, with its token."""
    DONE = "done"
    """Its result is committed."""
    DEAD = "dead"
    """A dead letter: given up, with its cause."""
    CANCELLED = "cancelled"
    """Its document was cancelled."""


SLICE_TRANSITIONS: Mapping[SliceState, frozenset[SliceState]] = {
    SliceState.QUEUED: frozenset({SliceState.RUNNING, SliceState.CANCELLED}),
    SliceState.RUNNING: frozenset({SliceState.DONE, SliceState.QUEUED, SliceState.DEAD, SliceState.CANCELLED}),
    SliceState.DONE: frozenset(),
    SliceState.DEAD: frozenset(),
    SliceState.CANCELLED: frozenset(),
}

DOCUMENT_TRANSITIONS: Mapping[DocumentState, frozenset[DocumentState]] = {
    DocumentState.RECEIVED: frozenset(
        {
            DocumentState.RUNNING,
            # its reading was there already, or came with the plan (a short document is read in one go)
            DocumentState.ASSEMBLING,
            DocumentState.SUCCEEDED,
            DocumentState.PARTIAL,
            DocumentState.FAILED,
            DocumentState.CANCELLED,
        }
    ),
    DocumentState.RUNNING: frozenset({DocumentState.ASSEMBLING, DocumentState.FAILED, DocumentState.CANCELLED}),
    DocumentState.ASSEMBLING: frozenset(
        {DocumentState.SUCCEEDED, DocumentState.PARTIAL, DocumentState.FAILED, DocumentState.CANCELLED}
    ),
    DocumentState.SUCCEEDED: frozenset(),
    # The next three only when somebody asks to try again: a new round begins at the first step that has to be redone.
    DocumentState.PARTIAL: frozenset({DocumentState.RUNNING, DocumentState.ASSEMBLING}),
    DocumentState.FAILED: frozenset({DocumentState.RECEIVED, DocumentState.RUNNING, DocumentState.ASSEMBLING}),
    DocumentState.CANCELLED: frozenset({DocumentState.RECEIVED}),
}

DOCUMENT_ENDS = frozenset(
    {DocumentState.SUCCEEDED, DocumentState.PARTIAL, DocumentState.FAILED, DocumentState.CANCELLED}
)
OPEN_SLICES = frozenset({SliceState.QUEUED, SliceState.RUNNING})

PAGE_READ = "read"
"""Outcome of a page that was read; every other outcome is an error code."""


class Tally(msgspec.Struct, frozen=True):
    """What is known of a document's pages once none of its page slices is open."""

    pages: int
    """How many the plan found."""
    read: int
    """Pages with outcome "read"."""
    dead_slices: int = 0
    """Page slices given up in this round."""


class Verdict(msgspec.Struct, frozen=True):
    state: DocumentState
    reason: str


def judge_pages(tally: Tally) -> Verdict:
    """ASSEMBLING when there is something to assemble, else FAILED."""
    if tally.read > 0:
        return Verdict(DocumentState.ASSEMBLING, f"{tally.read} of {tally.pages} pages read")
    if tally.pages == 0:
        return Verdict(DocumentState.FAILED, "no pages")
    return Verdict(DocumentState.FAILED, f"none of {tally.pages} pages read")


def judge_document(tally: Tally) -> Verdict:
    """How an assembled document ends: SUCCEEDED only when every page was read and no slice was given up."""
    if tally.read <= 0:
        return Verdict(DocumentState.FAILED, f"none of {tally.pages} pages read")
    if tally.read < tally.pages:
        return Verdict(DocumentState.PARTIAL, f"{tally.read} of {tally.pages} pages read")
    if tally.dead_slices:
        return Verdict(DocumentState.PARTIAL, f"{tally.dead_slices} slices given up")
    return Verdict(DocumentState.SUCCEEDED, f"all {tally.pages} pages read")


def page_ranges(pages: list[int]) -> list[tuple[int, int]]:
    """Sorted page numbers as runs (first, last): [1, 2, 5] -> [(1, 2), (5, 5)]."""
    runs: list[tuple[int, int]] = []
    for page in pages:
        if runs and page == runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], page)
        else:
            runs.append((page, page))
    return runs
