"""What the monthly report says in numbers: objectives, costs, comparisons, incidents, derived from the facts. Pure.

A figure is a number, or nothing with the reason why it cannot be known. Formulae, all for one month:

* availability = 1 - broken / ended; the error budget is (1 - objective) x ended documents, and what is left of it
  1 - broken / budget, below 0 where it is overspent;
* cost of a document = whole cost / documents with results;
* by hand = documents with results x price of one, or pages x minutes / 60 x price of an hour;
* saved = by hand - whole cost; return on what was spent = saved / whole cost;
* break-even = standing cost of a whole month / (price of one by hand - what one more document costs), in documents, by
  `domain.returns`, as the console does;
* paid back after = investment / saved, in months.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from docfleet.domain.pricing import usd_of
from docfleet.domain.returns import REFERENCE_BY_HAND_USD, REFERENCE_DOCUMENTS, break_even
from docfleet.domain.tallying import Sums
from docfleet.reports.incidents import Incident, incidents, misses, steps_of
from docfleet.reports.month_facts import MonthFacts, PoolOutlook

DAY = 86_400.0
HOUR = 3_600.0
BEHIND_SECONDS = 900.0
"""Counting is some seconds behind at all times: that is no part of a month that is not counted."""


class Figure(msgspec.Struct, frozen=True):
    """A number, or why there is none."""

    value: float | None = None
    why: str = ""

    @property
    def known(self) -> float:
        """The number; to be asked only where there is one."""
        assert self.value is not None
        return self.value


def known(value: float) -> Figure:
    return Figure(value) if math.isfinite(value) else Figure(None, "there is no such number")


class Day(msgspec.Struct, frozen=True):
    at: float
    read: int
    failed: int
    """Through their own fault."""
    broken: int
    counted: bool
    """Whether any of it was."""


class Service(msgspec.Struct, frozen=True):
    ended: int
    """Without the cancelled."""
    availability: Figure
    budget_documents: float
    """How many may fail through the service's fault."""
    budget_left: Figure
    """Share of them that is left; below 0: overspent."""
    in_time: Figure
    steps_used: int
    """Hours in which documents ended; days where the hours are forgotten."""
    steps_missed: int
    """Of those, in which an objective was missed."""
    step: str
    """"hour" or "day"."""


class Economy(msgspec.Struct, frozen=True):
    """In US dollars."""

    whole: float
    per_document: Figure
    per_page: Figure
    target: Figure
    standing: float
    """Of what was spent: base and hosting, whatever is read."""
    standing_month: Figure
    """The same for a whole month."""
    marginal: Figure
    """What one more document costs: all but what stands, for each document with results."""
    hand_document: Figure
    """What one document costs by hand."""
    by_hand: Figure
    saved: Figure
    return_on_cost: Figure
    break_even: Figure
    """Documents a month."""
    paid_back: Figure
    """Months."""
    reference_cost: Figure
    """What `REFERENCE_DOCUMENTS` would cost here, in a month like this."""
    reference_by_hand: float
    all_cloud: Figure
    cascade: Figure
    deduplication: float


class PoolNeed(msgspec.Struct, frozen=True):
    outlook: PoolOutlook
    busy_slots: Figure
    """In the fullest hour."""
    slots: Figure
    """With what is to be spare."""
    nodes: Figure


class MonthReport(msgspec.Struct, frozen=True):
    facts: MonthFacts
    coverage: float
    """Share of the month so far, or of what followed when the service began in it, that is counted, 0..1."""
    days: tuple[Day, ...]
    service: Service
    economy: Economy
    change_documents: Figure
    """Against the month before: 0.1 is a tenth more."""
    change_pages: Figure
    needs: tuple[PoolNeed, ...]
    nodes: Figure
    """Of the pools that are forecast, together."""
    incidents: tuple[Incident, ...]


def month_report(facts: MonthFacts) -> MonthReport:
    """Everything that the facts come to."""
    needs = tuple(_need(one, facts) for one in facts.outlook)
    return MonthReport(
        facts=facts,
        coverage=_coverage(facts),
        days=_days(facts),
        service=_service(facts),
        economy=_economy(facts),
        change_documents=_change(facts, "accepted"),
        change_pages=_change(facts, "pages"),
        needs=needs,
        nodes=_nodes(needs, facts),
        incidents=incidents(facts),
    )


def counted_from(facts: MonthFacts) -> float | None:
    """From when on the month is counted; None: no part of it is."""
    if facts.counted_since is None:
        return None
    begin = max(facts.begin, facts.counted_since, facts.kept_since)
    return begin if begin < min(facts.until, facts.counted_until) else None


def _coverage(facts: MonthFacts) -> float:
    begin = counted_from(facts)
    if begin is None or facts.counted_since is None:
        return 0.0
    # before the first thing that ever happened there was nothing to count
    passed = facts.until - max(facts.begin, facts.counted_since)
    counted = facts.until if facts.until - facts.counted_until < BEHIND_SECONDS else facts.counted_until
    return min(1.0, (counted - begin) / passed)


def is_before(facts: MonthFacts) -> bool:
    """The month was over when the service began."""
    return facts.counted_since is not None and facts.end <= facts.counted_since


def _days(facts: MonthFacts) -> tuple[Day, ...]:
    told = {step.at: step.sums for step in facts.days}
    nothing = Sums()
    days = []
    for number in range(round((facts.end - facts.begin) / DAY)):
        at = facts.begin + number * DAY
        sums = told.get(at, nothing)
        days.append(Day(at, sums.succeeded + sums.partial, sums.failed, sums.broken, at in told))
    return tuple(days)


def _service(facts: MonthFacts) -> Service:
    total, goal = facts.total, facts.objectives
    nothing = Figure(None, "no document ended in this month")
    ended, budget = total.ended, (1 - goal.availability) * total.ended
    availability = known(1 - total.broken / ended) if ended else nothing
    left = known(1 - total.broken / budget) if budget else nothing
    in_time = known(total.in_time / total.timed) if total.timed else nothing
    steps, seconds = steps_of(facts)
    used = [step.sums for step in steps if step.sums.ended]
    missed = sum(misses(sums, goal) for sums in used)
    return Service(ended, availability, budget, left, in_time, len(used), missed, "hour" if seconds == HOUR else "day")


def _economy(facts: MonthFacts) -> Economy:
    money, terms = facts.money, facts.assumptions
    whole = money.whole
    standing = usd_of(whole.base_micros + whole.hosting_micros)
    spent, documents = usd_of(whole.micros), whole.documents
    none = Figure(None, "no document has results")
    per_document = known(spent / documents) if documents else none
    marginal = known((spent - standing) / documents) if documents else none
    standing_month = _whole_month(money.standing_month_micros)
    by_hand, hand_document = _by_hand(facts)
    saved = known(by_hand.known - spent) if by_hand.value is not None else by_hand
    target = facts.objectives.usd_per_document
    return Economy(
        whole=spent,
        per_document=per_document,
        per_page=known(spent / whole.pages) if whole.pages else Figure(None, "no page was read"),
        target=known(target) if target else Figure(None, "no target is set (money.target_usd_per_document)"),
        standing=standing,
        standing_month=standing_month,
        marginal=marginal,
        hand_document=hand_document,
        by_hand=by_hand,
        saved=saved,
        return_on_cost=_return(saved, spent),
        break_even=_break_even(standing_month, marginal, hand_document),
        paid_back=_paid_back(terms.investment_usd, saved, facts.is_over),
        reference_cost=_reference(standing_month, marginal),
        reference_by_hand=REFERENCE_BY_HAND_USD,
        all_cloud=_priced(money.all_cloud_micros),
        cascade=_priced(money.cascade_micros),
        deduplication=usd_of(money.deduplication_micros),
    )


def _priced(micros: int | None) -> Figure:
    return Figure(None, "no cloud engine has a price here") if micros is None else known(usd_of(micros))


def _by_hand(facts: MonthFacts) -> tuple[Figure, Figure]:
    """Of all documents with results, and of one."""
    whole, terms = facts.money.whole, facts.assumptions
    if terms.is_by_page:
        amount = whole.pages * terms.by_hand_minutes_per_page / 60 * terms.by_hand_usd_per_hour
        each = terms.usd_by_hand(whole.documents, whole.pages)
        return known(amount), Figure(None, "no document has results") if each is None else known(each)
    if not terms.by_hand_usd_per_document:
        told = Figure(None, "nobody has told what work by hand costs (reports.by_hand_usd_per_document)")
        return told, told
    if not whole.documents and not whole.micros:
        return Figure(None, "there was nothing to do"), known(terms.by_hand_usd_per_document)
    return known(whole.documents * terms.by_hand_usd_per_document), known(terms.by_hand_usd_per_document)


def _whole_month(standing: int | None) -> Figure:
    if standing is None:
        return Figure(None, "nobody used the service in this month, so that nobody has a part of what stands")
    return known(usd_of(standing))


def _return(saved: Figure, spent: float) -> Figure:
    if saved.value is None:
        return saved
    return known(saved.value / spent) if spent > 0 else Figure(None, "nothing was spent")


def _break_even(standing: Figure, marginal: Figure, hand: Figure) -> Figure:
    for one in (hand, marginal, standing):
        if one.value is None:
            return one
    even = break_even(standing.known, marginal.known, hand.known)
    if even is None:
        return Figure(None, "a further document costs as much here as by hand, or more: no volume breaks even")
    return known(even)


def _paid_back(investment: float, saved: Figure, is_over: bool) -> Figure:
    if not investment:
        return Figure(None, "no investment is told (reports.investment_usd)")
    if saved.value is None:
        return saved
    if not is_over:
        return Figure(None, "the month is not over")
    if saved.value <= 0:
        return Figure(None, "this month saved nothing")
    return known(investment / saved.value)


def _reference(standing: Figure, marginal: Figure) -> Figure:
    for one in (marginal, standing):
        if one.value is None:
            return one
    return known(standing.known + marginal.known * REFERENCE_DOCUMENTS)


def _change(facts: MonthFacts, name: str) -> Figure:
    if facts.before is None:
        return Figure(None, "the month before was not counted")
    if not facts.is_over:
        return Figure(None, "this month is not over")
    if not facts.before_is_whole or _coverage(facts) < 1:
        return Figure(None, "one of the two months is not known as a whole, or the service began in it")
    was, now = getattr(facts.before, name), getattr(facts.total, name)
    return known(now / was - 1) if was else Figure(None, "there was nothing in the month before")


def _need(one: PoolOutlook, facts: MonthFacts) -> PoolNeed:
    if one.missing:
        none = Figure(None, one.missing)
        return PoolNeed(one, none, none, none)
    if one.unit_seconds is None:
        none = Figure(None, f"nobody knows how long a {one.unit} takes: none was read lately")
        return PoolNeed(one, none, none, none)
    busy = one.fullest * one.unit_seconds / HOUR
    slots = math.ceil(busy / (1 - facts.assumptions.spare_share) - 1e-9)
    if one.unit == "page":
        # a slot of the cloud pool is a call under way, and costs no processor
        return PoolNeed(one, known(busy), known(slots), Figure(None, "calls under way need no nodes of their own"))
    return PoolNeed(one, known(busy), known(slots), known(slots / facts.assumptions.node_slots))


def _nodes(needs: Sequence[PoolNeed], facts: MonthFacts) -> Figure:
    """Whole nodes for all pools whose slots are processors of ours and that are forecast."""
    own = [need for need in needs if need.outlook.unit != "page"]
    told = [need.slots.value for need in own if need.slots.value is not None]
    if not told:
        return own[0].nodes if own else Figure(None, "there is no forecast")
    slots = sum(told)
    return known(math.ceil(slots / facts.assumptions.node_slots - 1e-9))
