"""Which pages go on to a cloud engine."""

from __future__ import annotations

import pytest

from docfleet.domain.cascade import EscalationPolicy, OnRefusal, Reason, escalate
from docfleet.domain.document import Reading
from docfleet.domain.work import Step
from docfleet.ledger.service_values import ReadingOptions
from docfleet.settings import CascadeSettings
from docfleet.worker.cloud.orders import CloudOrder, cloud_slices, read_order
from docfleet.worker.escalating import ThirdStep

POLICY = EscalationPolicy("documentai", 0.8)


def reading(confidence: float = 0.5, engine: str = "rapidocr", outcome: str = "read") -> Reading:
    return Reading(3, engine, "no_text", confidence=confidence, outcome=outcome)


def test_a_page_read_with_too_little_confidence_goes_on_and_says_why() -> None:
    found = escalate(reading(0.6), 20, POLICY)
    assert found is not None
    assert (found.page, found.reason, found.local_engine, found.local_confidence) == (
        3, Reason.LOW_CONFIDENCE, "rapidocr", 0.6
    )  # fmt: skip
    assert "0.60" in found.detail
    assert "0.80" in found.detail


@pytest.mark.parametrize(
    ("confidence", "characters", "goes_on"),
    [
        (0.99, 1_300, True),
        (0.99, 1_100, False),
        (0.9, 121, True),
        (0.9, 100, False),
        (1.0, 10_000, False),
        (0.79, 1, True),
        (1.0, 0, False),
    ],
)
def test_what_counts_is_how_many_characters_are_in_doubt(confidence: float, characters: int, goes_on: bool) -> None:
    found = escalate(reading(confidence), characters, POLICY)
    assert (found is not None) == goes_on
    if found is not None and confidence >= POLICY.escalate_below:
        assert f"of {characters} characters are in doubt" in found.detail


@pytest.mark.parametrize(
    ("one", "policy"),
    [
        (reading(0.8), POLICY),
        (reading(0.1, "text_layer"), POLICY),
        (reading(0.1, "text_layer+rapidocr"), POLICY),
        (reading(0.1, "none"), POLICY),
        (reading(0.0, "none", "damaged"), POLICY),
        (reading(0.0, "none", "timed_out"), POLICY),
        (reading(0.1), EscalationPolicy()),
    ],
)
def test_others_stay(one: Reading, policy: EscalationPolicy) -> None:
    assert escalate(one, 20, policy) is None


def test_a_page_the_local_engine_failed_on_goes_on() -> None:
    found = escalate(reading(0.0, "none", "engine_failed"), 0, POLICY)
    assert found is not None
    assert (found.reason, found.local_confidence) == (Reason.LOCAL_FAILED, None)


def test_orders_travel_in_slices_and_know_their_own_pages() -> None:
    pages = tuple(
        escalation
        for page in (1, 2, 3, 7)
        if (escalation := escalate(Reading(page, "rapidocr", "", confidence=0.1), 20, POLICY))
    )
    order = CloudOrder("documentai", OnRefusal.LOCAL, pages, ("de",))
    slices = cloud_slices(order, per_slice=2)
    assert [(one.step, one.first_page, one.last_page) for one in slices] == [
        (Step.CLOUD, 1, 2), (Step.CLOUD, 3, 3), (Step.CLOUD, 7, 7)
    ]  # fmt: skip
    back = read_order(slices[0].payload_json)
    assert [one.page for one in back.pages] == [1, 2]
    assert (back.languages, back.is_standing(1), back.is_standing(3)) == (("de",), True, False)
    failing = CloudOrder("documentai", OnRefusal.FAIL, pages)
    assert not failing.is_standing(1)


def test_a_named_local_engine_is_kept_and_a_cloud_engine_reads_at_once() -> None:
    settings = CascadeSettings(cloud_engine="documentai")
    assert ThirdStep.of("rapidocr", ReadingOptions(), (), settings).policy.cloud_engine == "documentai"
    assert not ThirdStep.of("rapidocr", ReadingOptions(engine="rapidocr"), (), settings).policy.cloud_engine
    asked = ThirdStep.of("documentai", ReadingOptions(engine="documentai"), (), CascadeSettings())
    assert asked.reads_pixels
    assert asked.policy.cloud_engine == "documentai"
