"""Which way a page is read: every reason on its side of its threshold, and the rules in their order."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from docfleet.domain.cascade import CascadePolicy, Choice, Reason, Route, choose
from docfleet.domain.page_facts import PageFacts

SOUND = PageFacts(595, 842, characters=1000, visible_characters=1000)
SCAN = PageFacts(595, 842, image_coverage=0.9, image_regions=((0.0, 0.0, 595.0, 842.0),))
REGION = ((100.0, 100.0, 300.0, 200.0),)
WAYS = {
    Reason.IMAGE_FILE: {Route.OCR},
    Reason.SOUND_TEXT: {Route.TEXT_LAYER},
    Reason.NO_TEXT: {Route.OCR},
    Reason.UNMAPPED_GLYPHS: {Route.OCR},
    Reason.IMPLAUSIBLE_TEXT: {Route.OCR},
    Reason.INVISIBLE_TEXT: {Route.OCR},
    Reason.INK_WITHOUT_TEXT: {Route.OCR},
    Reason.SCANNED_REGIONS: {Route.BOTH},
    Reason.EMPTY_PAGE: {Route.BLANK},
    Reason.FORCED: {Route.OCR, Route.TEXT_LAYER},
}


def sound(**changed: object) -> PageFacts:
    return msgspec.structs.replace(SOUND, **changed)


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        (SOUND, Reason.SOUND_TEXT),
        (PageFacts(595, 842), Reason.EMPTY_PAGE),
        (PageFacts(595, 842, path_count=3), Reason.NO_TEXT),
        (SCAN, Reason.NO_TEXT),
        (PageFacts(800, 600, is_image=True), Reason.IMAGE_FILE),
        (sound(unmapped_ratio=0.1), Reason.SOUND_TEXT),
        (sound(unmapped_ratio=0.11), Reason.UNMAPPED_GLYPHS),
        (sound(plausibility=0.4), Reason.SOUND_TEXT),
        (sound(plausibility=0.39), Reason.IMPLAUSIBLE_TEXT),
        (sound(plausibility=0.69, visible_characters=0, image_coverage=0.9), Reason.INVISIBLE_TEXT),
        (sound(plausibility=0.7, visible_characters=0, image_coverage=0.9), Reason.SOUND_TEXT),
        (sound(plausibility=0.69, visible_characters=0, image_coverage=0.5), Reason.SOUND_TEXT),
        (sound(plausibility=0.69, visible_characters=500, image_coverage=0.9), Reason.SOUND_TEXT),
        (sound(ink_outside_text=0.3), Reason.SOUND_TEXT),
        (sound(ink_outside_text=0.31), Reason.INK_WITHOUT_TEXT),
        (sound(image_regions=REGION, image_coverage=0.01, text_in_images=0.02), Reason.SCANNED_REGIONS),
        (sound(image_regions=REGION, image_coverage=0.009, text_in_images=0.5), Reason.SOUND_TEXT),
        (sound(image_regions=REGION, image_coverage=0.5, text_in_images=0.019), Reason.SOUND_TEXT),
    ],
)
def test_each_reason_begins_at_its_threshold(facts: PageFacts, reason: Reason) -> None:
    assert choose(facts).reason is reason


def test_garbage_comes_before_gaps_and_gaps_before_regions() -> None:
    everything = sound(
        unmapped_ratio=0.5, plausibility=0.1, ink_outside_text=0.9, image_regions=REGION, image_coverage=0.2,
        text_in_images=0.9,
    )  # fmt: skip
    assert choose(everything).reason is Reason.UNMAPPED_GLYPHS
    assert choose(msgspec.structs.replace(everything, unmapped_ratio=0.0)).reason is Reason.IMPLAUSIBLE_TEXT
    assert (
        choose(msgspec.structs.replace(everything, unmapped_ratio=0.0, plausibility=1.0)).reason
        is Reason.INK_WITHOUT_TEXT
    )


def test_the_regions_are_handed_on_only_where_they_are_read() -> None:
    mixed = sound(image_regions=REGION, image_coverage=0.2, text_in_images=0.5)
    assert choose(mixed).regions == REGION
    assert choose(msgspec.structs.replace(mixed, plausibility=0.1)).regions == ()


def test_the_user_overrules_all_but_images() -> None:
    ocr, text = CascadePolicy(force=Route.OCR), CascadePolicy(force=Route.TEXT_LAYER)
    assert (choose(SOUND, ocr).route, choose(SOUND, ocr).reason) == (Route.OCR, Reason.FORCED)
    assert (choose(SCAN, text).route, choose(SCAN, text).reason) == (Route.TEXT_LAYER, Reason.FORCED)
    assert choose(PageFacts(800, 600, is_image=True), text).reason is Reason.IMAGE_FILE


def test_other_thresholds_move_the_choice() -> None:
    strict = CascadePolicy(min_plausibility=0.9, max_unmapped_ratio=0.0)
    assert choose(sound(plausibility=0.8), strict).reason is Reason.IMPLAUSIBLE_TEXT
    assert choose(sound(unmapped_ratio=0.01), strict).reason is Reason.UNMAPPED_GLYPHS


share = st.floats(0, 1)


@given(
    st.builds(
        PageFacts,
        width=st.floats(1, 5000), height=st.floats(1, 5000), is_image=st.booleans(), characters=st.integers(0, 9),
        visible_characters=st.integers(0, 9), unmapped_ratio=share, plausibility=share, image_coverage=share,
        path_count=st.integers(0, 2), ink_outside_text=share, image_regions=st.sampled_from([(), REGION]),
        text_in_images=share,
    ),
    st.sampled_from([None, Route.OCR, Route.TEXT_LAYER]),
)  # fmt: skip
def test_any_facts_give_one_choice_with_a_sentence(facts: PageFacts, force: Route | None) -> None:
    policy = CascadePolicy(force=force)
    choice = choose(facts, policy)
    assert choice == choose(facts, policy)
    assert isinstance(choice, Choice)
    assert choice.detail.endswith(".")
    assert choice.route in WAYS[choice.reason]
    assert bool(choice.regions) == (choice.route is Route.BOTH)
    if choice.route is Route.BLANK:
        assert facts.characters == 0
        assert facts.image_coverage == 0
