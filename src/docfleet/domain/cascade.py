"""Which way a page is read, and why: a pure decision on measured facts.

The cheapest way that reads a page well is taken: a sound text layer costs nothing and is exact; pixels are only read
where the layer is missing, broken, or does not cover what can be seen.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from docfleet.domain.document import Reading
from docfleet.domain.geometry import Rect
from docfleet.domain.page_facts import PageFacts


class Route(StrEnum):
    TEXT_LAYER = "text_layer"
    OCR = "ocr"
    BOTH = "both"
    """The text layer, and OCR of the regions it does not cover."""
    BLANK = "blank"
    """Nothing to read."""


class Reason(StrEnum):
    """Why a page was read the way it was. Stable codes, shown in results."""

    IMAGE_FILE = "image_file"
    """The file is an image: there is no text layer."""
    SOUND_TEXT = "sound_text"
    """The text layer is complete and makes sense."""
    NO_TEXT = "no_text"
    """A page of a PDF without any text layer."""
    UNMAPPED_GLYPHS = "unmapped_glyphs"
    """Too many characters of the layer have no Unicode value."""
    IMPLAUSIBLE_TEXT = "implausible_text"
    """The layer's characters do not form language: a broken encoding, or OCR of poor quality."""
    INVISIBLE_TEXT = "invisible_text"
    """A layer that cannot be seen: of unknown origin under a scan, or hidden on a page that shows something else."""
    INK_WITHOUT_TEXT = "ink_without_text"
    """Much of what is written on the page is not in the layer."""
    SCANNED_REGIONS = "scanned_regions"
    """A sound layer beside images that hold text."""
    EMPTY_PAGE = "empty_page"
    """Neither text nor ink."""
    FORCED = "forced"
    """The user chose the way."""
    LOW_CONFIDENCE = "low_confidence"
    """The local engine was not sure enough of the page, so a cloud engine read it."""
    LOCAL_FAILED = "local_failed"
    """The local engine could not read the page, so a cloud engine did."""


class CascadePolicy(msgspec.Struct, frozen=True):
    """Thresholds of the decision; the defaults are argued in docs/decisions/0003-cascade.md."""

    max_unmapped_ratio: float = 0.1
    min_plausibility: float = 0.4
    min_invisible_plausibility: float = 0.7
    """An invisible layer is OCR of unknown quality: it has to look better than drawn text to be trusted."""
    max_broken_ratio: float = 0.08
    min_outlines: int = 40
    """Drawings from which invisible text may stand for writing drawn as outlines."""
    max_ink_outside_text: float = 0.3
    min_text_in_images: float = 0.02
    min_image_coverage: float = 0.01
    force: Route | None = None
    """TEXT_LAYER or OCR: always that way, where it is possible at all."""


class Choice(msgspec.Struct, frozen=True):
    route: Route
    reason: Reason
    detail: str
    """One sentence for a person."""
    regions: tuple[Rect, ...] = ()
    """Page-frame rectangles that BOTH reads from pixels."""


def choose(facts: PageFacts, policy: CascadePolicy = CascadePolicy()) -> Choice:  # noqa: B008 - frozen value
    """Decides how a page is read. Same facts and policy, same choice."""
    if facts.is_image:
        return Choice(Route.OCR, Reason.IMAGE_FILE, "The file is an image, so its pixels were read.")
    if policy.force is Route.OCR:
        return Choice(Route.OCR, Reason.FORCED, "OCR was asked for.")
    if policy.force is Route.TEXT_LAYER:
        return Choice(Route.TEXT_LAYER, Reason.FORCED, "Only the text layer was asked for.")
    if facts.characters == 0:
        return _without_text(facts)
    return _garbage(facts, policy) or _incomplete(facts, policy) or _sound(facts)


def _without_text(facts: PageFacts) -> Choice:
    if facts.image_coverage == 0 and facts.path_count == 0 and facts.ink_outside_text == 0:
        return Choice(Route.BLANK, Reason.EMPTY_PAGE, "The page holds no text, no image and no drawing.")
    return Choice(Route.OCR, Reason.NO_TEXT, "The page has no text layer, so its pixels were read.")


def _garbage(facts: PageFacts, policy: CascadePolicy) -> Choice | None:
    if facts.unmapped_ratio > policy.max_unmapped_ratio:
        return Choice(
            Route.OCR,
            Reason.UNMAPPED_GLYPHS,
            f"{facts.unmapped_ratio:.0%} of the text layer's characters have no meaning, so the pixels were read.",
        )
    invisible = facts.visible_characters < 0.5 * facts.characters
    if invisible and facts.image_coverage > 0.5 and facts.plausibility < policy.min_invisible_plausibility:
        return Choice(
            Route.OCR,
            Reason.INVISIBLE_TEXT,
            f"The invisible text under the scan reads poorly ({facts.plausibility:.2f}), so the pixels were read.",
        )
    if invisible and facts.image_coverage <= 0.5 and facts.path_count < policy.min_outlines:
        return Choice(
            Route.OCR,
            Reason.INVISIBLE_TEXT,
            "Most of the text layer cannot be seen on the page, so the pixels were read.",
        )
    if facts.broken_ratio > policy.max_broken_ratio:
        return Choice(
            Route.OCR,
            Reason.IMPLAUSIBLE_TEXT,
            f"{facts.broken_ratio:.0%} of the text layer is in fonts that do not form words, so the pixels were read.",
        )
    if facts.plausibility < policy.min_plausibility:
        return Choice(
            Route.OCR,
            Reason.IMPLAUSIBLE_TEXT,
            f"The text layer does not form words ({facts.plausibility:.2f}), so the pixels were read.",
        )
    return None


def _incomplete(facts: PageFacts, policy: CascadePolicy) -> Choice | None:
    if facts.ink_outside_text > policy.max_ink_outside_text:
        return Choice(
            Route.OCR,
            Reason.INK_WITHOUT_TEXT,
            f"{facts.ink_outside_text:.0%} of what is written is not in the text layer, so the pixels were read.",
        )
    if (
        facts.image_regions
        and facts.image_coverage >= policy.min_image_coverage
        and facts.text_in_images >= policy.min_text_in_images
    ):
        return Choice(
            Route.BOTH,
            Reason.SCANNED_REGIONS,
            f"The text layer was taken, and {len(facts.image_regions)} image(s) with text were read from pixels.",
            facts.image_regions,
        )
    return None


def _sound(facts: PageFacts) -> Choice:
    return Choice(Route.TEXT_LAYER, Reason.SOUND_TEXT, f"The text layer is sound ({facts.characters} characters).")


# --- the third step ---------------------------------------------------------------------------------------------------


class OnRefusal(StrEnum):
    """What becomes of a page that the cloud engine does not read: refused, too dear, or out of reach for too long."""

    LOCAL = "local"
    """What was read locally stands, and says why. A page that was not read locally fails."""
    WAIT = "wait"
    """It waits until the cloud engine can be asked; a page that the engine refuses for what it is counts as LOCAL."""
    FAIL = "fail"
    """The page fails: a poor reading is worth nothing here."""


CLOUD_ENGINES = frozenset({"documentai"})
"""Engines that are asked over the network, for money: in the service, by the workers of the pool "cloud" alone."""


class EscalationPolicy(msgspec.Struct, frozen=True):
    """When a page goes on to a cloud engine. The defaults are measured: docs/explanation/escalation.md."""

    cloud_engine: str = ""
    """Its name; empty: there is no third step."""
    escalate_below: float = 0.9
    """Pages read with less confidence than this go on, however short."""
    on_refusal: OnRefusal = OnRefusal.LOCAL
    doubted_characters: float = 12.0
    """Pages of which so many characters may be wrong, as far as the engine knows, go on."""


class Escalation(msgspec.Struct, frozen=True):
    """A page goes on to the cloud engine."""

    page: int
    reason: Reason
    detail: str
    local_engine: str = ""
    """Empty: it was not read locally."""
    local_confidence: float | None = None


_LAYER = "text_layer"
_CURABLE = frozenset({"engine_failed"})
"""Failures of the local engine; what the parser could not open, another reader would not get either."""


def escalate(reading: Reading, characters: int, policy: EscalationPolicy) -> Escalation | None:
    """Whether a page that was read locally goes on, and why. `characters`: how many were read, white space aside.

    A cloud engine takes its money by the page, so those pages are sent of which most is to be gained: by the number of
    characters in doubt, and not by their share alone.

    A blank page never does, nor one with a sound text layer, alone or beside pictures that were read from pixels: the
    layer is exact, and all of the page would be paid for.
    """
    if not policy.cloud_engine:
        return None
    page, engine = reading.page, reading.engine
    if reading.outcome != "read":
        if reading.outcome not in _CURABLE:
            return None
        return Escalation(page, Reason.LOCAL_FAILED, "The local engine could not read the page.")
    is_read_from_pixels = engine not in ("", "none") and not engine.startswith(_LAYER)
    if not is_read_from_pixels:
        return None
    doubted = (1 - reading.confidence) * characters
    if reading.confidence < policy.escalate_below:
        why = f"which is less than {policy.escalate_below:.2f}"
    elif characters and doubted >= policy.doubted_characters:
        why = f"so {doubted:.1f} of {characters} characters are in doubt, {policy.doubted_characters:g} or more"
    else:
        return None
    detail = f"{engine} was {reading.confidence:.2f} sure of the page, {why}."
    return Escalation(page, Reason.LOW_CONFIDENCE, detail, engine, reading.confidence)
