"""States, verdicts, page ranges."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from docfleet.domain.work import (
    DOCUMENT_ENDS,
    DOCUMENT_TRANSITIONS,
    SLICE_TRANSITIONS,
    DocumentState,
    SliceState,
    Tally,
    judge_document,
    judge_pages,
    page_ranges,
)

tallies = st.integers(0, 50).flatmap(
    lambda pages: st.builds(Tally, st.just(pages), st.integers(0, pages), st.integers(0, 9))
)


@given(tallies)
def test_only_a_whole_document_succeeds(tally: Tally) -> None:
    whole = tally.pages > 0 and tally.read == tally.pages and tally.dead_slices == 0
    assert (judge_document(tally).state is DocumentState.SUCCEEDED) == whole
    assert (judge_document(tally).state is DocumentState.FAILED) == (tally.read == 0)


@given(tallies)
def test_every_verdict_is_a_legal_move(tally: Tally) -> None:
    assert judge_pages(tally).state in DOCUMENT_TRANSITIONS[DocumentState.RUNNING]
    assert judge_document(tally).state in DOCUMENT_TRANSITIONS[DocumentState.ASSEMBLING]
    assert (judge_pages(tally).state is DocumentState.FAILED) == (judge_document(tally).state is DocumentState.FAILED)


def test_every_state_has_its_moves_and_every_document_can_end() -> None:
    assert set(DOCUMENT_TRANSITIONS) == set(DocumentState)
    assert set(SLICE_TRANSITIONS) == set(SliceState)
    for state in DocumentState:
        assert state in DOCUMENT_ENDS or DOCUMENT_TRANSITIONS[state] & DOCUMENT_ENDS


@given(st.sets(st.integers(1, 200)))
def test_page_ranges_hold_exactly_the_pages(pages: set[int]) -> None:
    runs = page_ranges(sorted(pages))
    assert [page for first, last in runs for page in range(first, last + 1)] == sorted(pages)
    assert all(a[1] + 1 < b[0] for a, b in itertools.pairwise(runs))
