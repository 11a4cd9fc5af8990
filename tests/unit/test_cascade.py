"""Which way a page is read: each reason by the facts that lead to it, and the borders between them."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from docfleet.domain.cascade import CascadePolicy, Reason, Route, choose
from docfleet.domain.page_facts import PageFacts

SOUND = PageFacts(width=595, height=842, characters=1500, visible_characters=1500)


def facts(**changes: object) -> PageFacts:
    return msgspec.structs.replace(SOUND, **changes)


REGION = (50.0, 400.0, 500.0, 700.0)
CASES = [
    (SOUND, Route.TEXT_LAYER, Reason.SOUND_TEXT),
    (PageFacts(595, 842, is_image=True), Route.OCR, Reason.IMAGE_FILE),
    (PageFacts(595, 842), Route.BLANK, Reason.EMPTY_PAGE),
    (PageFacts(595, 842, image_coverage=1.0), Route.OCR, Reason.NO_TEXT),
    (PageFacts(595, 842, path_count=900), Route.OCR, Reason.NO_TEXT),
    (facts(unmapped_ratio=0.5), Route.OCR, Reason.UNMAPPED_GLYPHS),
    (facts(plausibility=0.1), Route.OCR, Reason.IMPLAUSIBLE_TEXT),
    (facts(visible_characters=0, image_coverage=1.0, plausibility=0.5), Route.OCR, Reason.INVISIBLE_TEXT),
    (facts(visible_characters=0, image_coverage=1.0, plausibility=0.95), Route.TEXT_LAYER, Reason.SOUND_TEXT),
    (facts(ink_outside_text=0.8), Route.OCR, Reason.INK_WITHOUT_TEXT),
    (facts(image_coverage=0.3, image_regions=(REGION,), text_in_images=0.5), Route.BOTH, Reason.SCANNED_REGIONS),
    (facts(image_coverage=0.3, image_regions=(REGION,), text_in_images=0.0), Route.TEXT_LAYER, Reason.SOUND_TEXT),
]


@pytest.mark.parametrize(("given_facts", "route", "reason"), CASES)
def test_the_cheapest_way_that_reads_the_page_well(given_facts: PageFacts, route: Route, reason: Reason) -> None:
    choice = choose(given_facts)
    assert (choice.route, choice.reason) == (route, reason)
    assert choice.detail.endswith(".")


def test_only_pages_read_both_ways_name_regions() -> None:
    for given_facts, route, _ in CASES:
        assert bool(choose(given_facts).regions) == (route is Route.BOTH)


def test_every_reason_can_be_reached() -> None:
    reached = {choose(given_facts).reason for given_facts, _, _ in CASES}
    reached.add(choose(SOUND, CascadePolicy(force=Route.OCR)).reason)
    # those are given after a page was read: see test_escalation.py
    assert reached == set(Reason) - {Reason.LOW_CONFIDENCE, Reason.LOCAL_FAILED}


def test_the_user_has_the_last_word_where_there_is_a_choice() -> None:
    assert choose(SOUND, CascadePolicy(force=Route.OCR)).route is Route.OCR
    assert choose(facts(plausibility=0.0), CascadePolicy(force=Route.TEXT_LAYER)).route is Route.TEXT_LAYER
    assert choose(PageFacts(9, 9, is_image=True), CascadePolicy(force=Route.TEXT_LAYER)).route is Route.OCR


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.integers(0, 5000))
def test_worse_text_is_never_trusted_more(plausible: float, worse: float, unmapped: float, characters: int) -> None:
    low, high = sorted((plausible, worse))
    better = choose(
        facts(plausibility=high, unmapped_ratio=unmapped, characters=characters, visible_characters=characters)
    )
    poorer = choose(
        facts(plausibility=low, unmapped_ratio=unmapped, characters=characters, visible_characters=characters)
    )
    if poorer.route is Route.TEXT_LAYER:
        assert better.route is Route.TEXT_LAYER
