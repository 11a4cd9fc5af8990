"""Which pages of a claim go on to a cloud engine, before and after the local engine has looked at them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from docfleet.domain.cascade import (
    CLOUD_ENGINES,
    CascadePolicy,
    Escalation,
    EscalationPolicy,
    OnRefusal,
    Route,
    choose,
    escalate,
)
from docfleet.ledger import NewSlice
from docfleet.ledger.service_values import ReadingOptions
from docfleet.pipeline.recognise import ReadPage
from docfleet.runtime import escalation_policy
from docfleet.sandbox import PageFault, Sandbox
from docfleet.settings import CascadeSettings
from docfleet.worker.cloud.orders import CloudOrder, cloud_slices


class ThirdStep(msgspec.Struct, frozen=True):
    """How one claim's pages go on."""

    policy: EscalationPolicy
    languages: tuple[str, ...]
    reads_pixels: bool
    """The cloud engine was asked for: pages that need an engine go to it at once, and none is loaded here."""

    @classmethod
    def of(cls, engine: str, options: ReadingOptions, languages: Sequence[str], cascade: CascadeSettings) -> ThirdStep:
        """`engine`: the one in force for the document."""
        asked_for = engine in CLOUD_ENGINES
        cloud = engine if asked_for else cascade.cloud_engine
        # who named a local engine wants that one
        named = bool(options.engine) and not asked_for
        policy = escalation_policy(cascade, "" if named else cloud)
        return cls(policy, tuple(languages), asked_for)

    def before(self, sandbox: Sandbox, numbers: Sequence[int], cascade: CascadePolicy) -> list[Escalation]:
        """Pages (of the open document) that no local engine is to look at."""
        if not self.reads_pixels:
            return []
        found = []
        for bundle in sandbox.pages(numbers):
            if isinstance(bundle, PageFault):
                continue
            choice = choose(bundle.facts, cascade)
            if choice.route in (Route.OCR, Route.BOTH):
                found.append(Escalation(bundle.number, choice.reason, choice.detail))
        return found

    def after(self, pages: Iterable[ReadPage]) -> list[Escalation]:
        """Pages that were read here, and not well enough."""
        judged = [escalate(page.reading, page.characters, self.policy) for page in pages]
        return [one for one in judged if one is not None]

    def keeps(self, page: ReadPage, escalated: frozenset[int]) -> bool:
        """Whether what was read here is an outcome of its own, whatever the cloud engine says."""
        return page.reading.page not in escalated or self.policy.on_refusal is not OnRefusal.FAIL

    def slices(self, escalations: Sequence[Escalation]) -> list[NewSlice]:
        order = CloudOrder(self.policy.cloud_engine, self.policy.on_refusal, tuple(escalations), self.languages)
        return cloud_slices(order) if escalations else []
