"""The third step on one machine: pages that the local engine read too poorly are read again by a cloud engine."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from docfleet.domain.cascade import Escalation, EscalationPolicy, OnRefusal, escalate
from docfleet.errors import BudgetExhausted, EngineBusy, EngineUnavailable
from docfleet.pipeline.recognise import ReadingPlan, ReadPage, failed_page, read_pages
from docfleet.sandbox import Sandbox

_MAY_CHANGE = frozenset({EngineBusy.code, BudgetExhausted.code})
"""Why a page is not read now, and may be later."""


def read_again(
    sandbox: Sandbox, plan: ReadingPlan, policy: EscalationPolicy, pages: Sequence[ReadPage], *, repaired: bool = False
) -> list[ReadPage]:
    """`pages` of the open document as they stand after the third step. `plan`: with the cloud engine, forced to pixels.

    Raises EngineUnavailable when the engine cannot start. What happens to it later is told page by page.
    """
    chosen = {one.page: one for page in pages if (one := escalate(page.reading, page.characters, policy)) is not None}
    if not chosen:
        return list(pages)
    plan.engine()
    try:
        found = list(read_pages(sandbox, plan, sorted(chosen), repaired=repaired))
    except EngineUnavailable as error:
        found = [failed_page(number, EngineBusy.code, error.message) for number in sorted(chosen)]
    again = {page.page.number: page for page in found}
    return [
        weigh(page, again[number], chosen[number], policy) if (number := page.page.number) in chosen else page
        for page in pages
    ]


def weigh(local: ReadPage, cloud: ReadPage, escalation: Escalation, policy: EscalationPolicy) -> ReadPage:
    """What stands of a page that was read twice, with the reason and both confidences. Pure.

    On one machine nothing waits for another day: with `OnRefusal.WAIT` a page that cannot be read now fails, and the
    next run tries it again.
    """
    told = cloud.reading
    seconds = round(local.reading.seconds + told.seconds, 4)
    if told.outcome == "read":
        detail = f"{escalation.detail} {told.engine} was {told.confidence:.2f} sure of it."
        reading = msgspec.structs.replace(told, reason=str(escalation.reason), detail=detail, seconds=seconds)
        return msgspec.structs.replace(cloud, reading=reading)
    waits = policy.on_refusal is OnRefusal.WAIT and told.outcome in _MAY_CHANGE
    if policy.on_refusal is OnRefusal.FAIL or waits:
        return msgspec.structs.replace(cloud, reading=msgspec.structs.replace(told, seconds=seconds))
    detail = f"The local result stands: {told.detail} {escalation.detail}"
    return msgspec.structs.replace(
        local, reading=msgspec.structs.replace(local.reading, detail=detail, seconds=seconds)
    )
