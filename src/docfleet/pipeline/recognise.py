"""Pages in, read pages out: each page goes the cheapest way that reads it well."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence

import msgspec

from docfleet.domain.cascade import CascadePolicy, Choice, Route, choose
from docfleet.domain.document import Dimension, Page, Reading
from docfleet.domain.features import ALL_FEATURES, Feature
from docfleet.domain.geometry import Frame
from docfleet.domain.page_facts import PageFacts
from docfleet.domain.words import Word, WordPage
from docfleet.engines.asking import ask
from docfleet.engines.base import Engine, PageImage, RecognisedPage
from docfleet.engines.local.layout import lay_out, merge
from docfleet.engines.local.quality import image_quality
from docfleet.engines.local.text_layer import words as text_layer_words
from docfleet.errors import Damaged, DocumentError, EngineBusy, EngineFailed, EngineRefused
from docfleet.sandbox import PageBundle, PageFault, Rendered, Sandbox

TEXT_LAYER_ENGINE = "text_layer"
NO_ENGINE = "none"
_RUN_BYTES = 128 * 1024 * 1024
"""Pixels held for one call of an engine; a page of A4 at 200 dpi takes 12 MB in colour."""


class ReadPage(msgspec.Struct, frozen=True):
    """One page as it was read. `text` and the anchors of `page` are the page's own; see `exports` for joining."""

    text: str
    page: Page
    reading: Reading
    ocr_words: WordPage | None = None
    """On a page read both ways: the words that came from pixels, which the searchable PDF has to add."""

    @property
    def characters(self) -> int:
        """Read, white space aside."""
        return sum(map(len, self.text.split()))


class ReadingPlan(msgspec.Struct, frozen=True):
    """How pages are to be read."""

    engine: Callable[[], Engine]
    """Loads the engine on first use, so that digital documents never pay for models."""
    policy: CascadePolicy = CascadePolicy()
    render_dpi: int = 200
    languages: tuple[str, ...] = ()
    features: frozenset[str] = frozenset(ALL_FEATURES)
    """What is looked for beside the text."""


def read_pages(
    sandbox: Sandbox, plan: ReadingPlan, numbers: Sequence[int], *, repaired: bool = False
) -> Iterator[ReadPage]:
    """Reads pages of the document that is open in `sandbox`, in order; one answer for each number.

    A page that cannot be read is an answer too: its reading's `outcome` is the error's code, its page is empty. In a
    `repaired` document a page without any content counts as damaged: most likely its content is what was lost. An
    engine that gathers pages is given runs of them; what fails of a run is found out page by page.
    """
    run: list[_Waiting] = []
    for bundle in list(sandbox.pages(numbers)):
        started = time.monotonic()
        waiting = _look(sandbox, plan, bundle, repaired)
        run.append(msgspec.structs.replace(waiting, seconds=time.monotonic() - started))
        if _is_full(run, plan):
            yield from _read_run(run, plan)
            run = []
    yield from _read_run(run, plan)


class _Waiting(msgspec.Struct, frozen=True):
    """A page on its way: read already (`done`), or an image for the engine and what is to be made of its answer."""

    bundle: PageBundle | None
    seconds: float = 0.0
    done: ReadPage | None = None
    choice: Choice | None = None
    rendered: Rendered | None = None
    layer: WordPage | None = None


def _look(sandbox: Sandbox, plan: ReadingPlan, bundle: PageBundle | PageFault, repaired: bool) -> _Waiting:
    """Everything about a page that needs no engine."""
    if isinstance(bundle, PageFault):
        return _Waiting(None, done=failed_page(bundle.number, bundle.error.code, bundle.error.message))
    try:
        return _prepare(sandbox, plan, bundle, repaired)
    except DocumentError as error:
        return _Waiting(bundle, done=failed_page(bundle.number, error.code, error.message, bundle.facts))


def _is_full(run: Sequence[_Waiting], plan: ReadingPlan) -> bool:
    """Whether to ask now. A page that is read already waits only behind one that is not."""
    images = [one.rendered.pixels.nbytes for one in run if one.rendered is not None]
    if not images:
        return True
    engine = plan.engine().capabilities
    return not engine.gathers_pages or len(images) >= engine.max_pages_per_call or sum(images) >= _RUN_BYTES


def _read_run(run: Sequence[_Waiting], plan: ReadingPlan) -> Iterator[ReadPage]:
    """The pages of a run, in order; the time the engine took is shared out among those it was asked for."""
    asked = [one for one in run if one.rendered is not None]
    started = time.monotonic()
    answers = _answers(asked, plan) if asked else []
    share = (time.monotonic() - started) / max(1, len(asked))
    found = dict(zip(map(id, asked), answers, strict=True))
    for one in run:
        composing = time.monotonic()
        page = one.done if one.done is not None else _finish(one, plan, found[id(one)])
        seconds = one.seconds + time.monotonic() - composing + (share if one.rendered is not None else 0.0)
        yield msgspec.structs.replace(page, reading=msgspec.structs.replace(page.reading, seconds=round(seconds, 4)))


def _answers(asked: Sequence[_Waiting], plan: ReadingPlan) -> list[RecognisedPage | DocumentError]:
    """The engine's answer for each page, or why there is none.

    A run that fails is halved until the page is alone that it fails on; that one is asked for twice. Where the engine
    takes nothing at all now, every page of the run fails alike.
    """
    images = [_page_image(one.bundle, one.rendered, plan.languages) for one in asked if one.bundle and one.rendered]
    try:
        engine = plan.engine()
        answers = [_recognise(engine, images[0])] if len(images) == 1 else ask(engine, images)
        return [EngineRefused(answer.refused) if answer.refused else answer for answer in answers]
    except DocumentError as error:
        if len(asked) == 1 or isinstance(error, EngineBusy):
            return [error] * len(asked)
    middle = len(asked) // 2
    return _answers(asked[:middle], plan) + _answers(asked[middle:], plan)


def _finish(waiting: _Waiting, plan: ReadingPlan, answer: RecognisedPage | DocumentError) -> ReadPage:
    bundle, choice, rendered, layer = waiting.bundle, waiting.choice, waiting.rendered, waiting.layer
    assert bundle is not None
    assert choice is not None
    assert rendered is not None
    try:
        if not isinstance(answer, DocumentError):
            return _compose(plan, bundle, choice, plan.engine(), rendered, answer, layer)
    except DocumentError as error:
        return failed_page(bundle.number, error.code, error.message, bundle.facts)
    if layer is None or not layer.words:
        return failed_page(bundle.number, answer.code, answer.message, bundle.facts)
    return _without_pixels(plan, bundle, layer, choice, answer)


def failed_page(number: int, code: str, message: str, facts: PageFacts | None = None) -> ReadPage:
    """The answer for a page that could not be read."""
    page = Page(number=number, dimension=_dimension(facts) if facts else None)
    return ReadPage("", page, Reading(number, NO_ENGINE, code, message, outcome=code))


def _prepare(sandbox: Sandbox, plan: ReadingPlan, bundle: PageBundle, repaired: bool) -> _Waiting:
    facts = bundle.facts
    choice = choose(facts, plan.policy)
    if choice.route is Route.BLANK:
        if repaired:
            raise Damaged("The file was damaged, and nothing of this page is left.")
        page = Page(number=bundle.number, dimension=_dimension(facts))
        return _Waiting(bundle, done=ReadPage("", page, _reading(bundle.number, NO_ENGINE, choice, 1.0)))
    layer = None
    if choice.route in (Route.TEXT_LAYER, Route.BOTH):
        layer = (
            text_layer_words(facts, bundle.text)
            if bundle.text
            else WordPage(facts.width, facts.height, _upright(facts), [])
        )
    if choice.route is Route.TEXT_LAYER:
        assert layer is not None
        text, page = lay_out(layer, bundle.number, _unit(facts), features=plan.features)
        reading = _reading(bundle.number, TEXT_LAYER_ENGINE, choice, _confidence(layer.words))
        return _Waiting(bundle, done=ReadPage(text, page, reading))
    try:
        rendered = sandbox.render(bundle.number, render_dpi(facts, plan.render_dpi))
        plan.engine()
    except DocumentError as error:
        if layer is None or not layer.words:
            raise
        return _Waiting(bundle, done=_without_pixels(plan, bundle, layer, choice, error))
    return _Waiting(bundle, choice=choice, rendered=rendered, layer=layer)


def _compose(
    plan: ReadingPlan,
    bundle: PageBundle,
    choice: Choice,
    engine: Engine,
    rendered: Rendered,
    answer: RecognisedPage,
    layer: WordPage | None,
) -> ReadPage:
    name, cost = engine.capabilities.name, answer.cost_usd
    if cost is None:
        cost = engine.capabilities.cost_per_page_usd
    if answer.page is not None:
        page = _only_wanted(msgspec.structs.replace(answer.page, number=bundle.number), plan.features)
        confidence = page.layout.confidence if page.layout else 0.0
        return ReadPage(answer.text, page, _reading(bundle.number, name, choice, confidence, cost))
    words = answer.words
    if words is None:
        raise EngineFailed(f"The engine {name} answered page {bundle.number} with neither words nor a page.")
    extra = None
    if layer is not None:
        merged = merge(layer, words, choice.regions)
        extra = msgspec.structs.replace(words, words=[word for word in merged.words if word.ocr])
        words, name = merged, f"{TEXT_LAYER_ENGINE}+{name}"
    quality = image_quality(rendered.pixels) if Feature.IMAGE_QUALITY in plan.features else None
    text, page = lay_out(words, bundle.number, _unit(bundle.facts), quality, plan.features)
    if bundle.facts.file_pixels is not None:
        # Boxes are shares of the page, so that they hold in the file's own pixels as they stand.
        page = msgspec.structs.replace(page, dimension=_dimension(bundle.facts))
    reading = _reading(bundle.number, name, choice, _confidence(words.words), cost)
    return ReadPage(text, page, reading, extra)


def _only_wanted(page: Page, features: Collection[str]) -> Page:
    """A page that an engine laid out itself, without what nobody asked for."""
    if Feature.TABLES not in features:
        page = msgspec.structs.replace(page, tables=())
    if Feature.IMAGE_QUALITY not in features:
        page = msgspec.structs.replace(page, quality=None)
    if Feature.LANGUAGE_DETECTION not in features:
        paragraphs = tuple([msgspec.structs.replace(paragraph, languages=()) for paragraph in page.paragraphs])
        page = msgspec.structs.replace(page, languages=(), paragraphs=paragraphs)
    return page


def _without_pixels(
    plan: ReadingPlan, bundle: PageBundle, layer: WordPage, choice: Choice, error: DocumentError
) -> ReadPage:
    """The text layer alone, when the scanned regions beside it could not be read; the reading says so."""
    text, page = lay_out(layer, bundle.number, _unit(bundle.facts), features=plan.features)
    detail = f"Only the text layer was taken; its images could not be read: {error.message}"
    reading = Reading(
        bundle.number, TEXT_LAYER_ENGINE, choice.reason, detail, _confidence(layer.words), outcome=error.code
    )
    return ReadPage(text, page, reading)


def _recognise(engine: Engine, image: PageImage) -> RecognisedPage:
    """Asks the engine, and once more when it fails; one that takes nothing now has waited long enough itself."""
    try:
        return ask(engine, [image])[0]
    except EngineBusy:
        raise
    except EngineFailed:
        return ask(engine, [image])[0]


def render_dpi(facts: PageFacts, default: int) -> float:
    """Resolution for OCR: what a scan holds where that is sensible, else the default."""
    if facts.is_image:
        return facts.dpi
    if facts.dpi > 0 and facts.image_coverage > 0.5:
        return min(max(facts.dpi, 100.0), 300.0)
    return float(default)


def _page_image(bundle: PageBundle, rendered: Rendered, languages: tuple[str, ...]) -> PageImage:
    facts = bundle.facts
    return PageImage(bundle.number, rendered.pixels, rendered.dpi, facts.width, facts.height, languages)


def _reading(number: int, engine: str, choice: Choice, confidence: float, cost: float = 0.0) -> Reading:
    return Reading(number, engine, str(choice.reason), choice.detail, round(confidence, 4), cost)


def _confidence(words: Sequence[Word]) -> float:
    """Mean over characters; 1 for no words."""
    total = sum(len(word.text) for word in words)
    return sum(len(word.text) * word.confidence for word in words) / total if total else 1.0


def _unit(facts: PageFacts) -> str:
    return "pixels" if facts.is_image else "pt"


def _dimension(facts: PageFacts) -> Dimension:
    if facts.file_pixels is not None:
        return Dimension(float(facts.file_pixels[0]), float(facts.file_pixels[1]), "pixels")
    return Dimension(facts.width, facts.height, _unit(facts))


def _upright(facts: PageFacts) -> Frame:
    return Frame(facts.width, facts.height)
