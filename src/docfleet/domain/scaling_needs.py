"""What each rule asks for: slots that the targets, the arrivals and the forecast take. Pure.

How the targets are met. Work of a class and of all that goes before it, W slot-seconds, is to be done within the
horizon h: a share of the target latency, or what is left of it for the oldest. More urgent work that arrives meanwhile,
A slots of it, is done first. So W / h + A slots are enough; and as long as those at work are that many, no more are
asked for. Otherwise help is needed, and help comes one start-up S later: by then

    B = W - (slots at work until then - arrivals) * S

is left, which the size asked for does in the time that remains, and not in less than the catch-up time: what is late
already is no reason to ask for ever more.

How steady arrivals are met. Work that arrives at a slots on average takes more than a slots to be served in time. What
arrives within the horizon has the mean a h and, for documents of d slot-seconds that come one by one (Poisson, sizes as
uneven as exponential ones), the standard deviation sqrt(2 a d h): a + beta * sqrt(2 a d / h) slots. With d = h this is
the square-root staffing rule (Halfin and Whitt 1981, https://doi.org/10.1287/opre.29.3.567); a longer target evens out.
"""

from __future__ import annotations

from math import ceil, isfinite, isnan, sqrt

import msgspec

from docfleet.domain.load import ClassLoad, Outlook, PoolLoad
from docfleet.domain.urgency import RANK

MOST_SLOTS = 1e9
"""A figure that is no size of any fleet; keeps arithmetic finite."""

DEFAULT_TARGET_SECONDS = 60.0
"""Of a pool in which nothing waits or runs that could tell its target."""

LATE_SHARE = 0.1
"""Late work of a class is caught up with in this share of its target, at the earliest."""

NEGLIGIBLE_SLOTS = 0.1
"""A forecast of less does not keep a pool awake that may sleep."""


class Sizing(msgspec.Struct, frozen=True):
    """By what the rules measure."""

    start_seconds: float = 60.0
    """From asking for a worker to its first slice."""
    aim: float = 0.5
    """The share of a target latency that waiting work is to be done in."""
    catch_up_seconds: float = 30.0
    """What is late is to be done in this time once help is there."""
    headroom: float = 1.0
    """Standard deviations of what arrives within the horizon that there is room for."""
    documents_per_worker: int = 100
    """More documents waiting than this add a worker for each so many, however quick they are; 0: never."""


class Need(msgspec.Struct, frozen=True):
    """What one rule asks for."""

    rule: str
    workers: int
    why: str
    """With all its figures, for `explain`."""
    brief: str = ""
    """The same in a few words, for the line that tells a decision."""


def sound(value: float | None) -> float:
    """The value as a figure to count with: nothing, nan and what is below zero are 0, and nothing is endless."""
    if value is None or isnan(value) or value < 0:
        return 0.0
    return min(value, MOST_SLOTS)


def workers_for(slots: float, load: PoolLoad) -> int:
    """Whole workers for so many slots; a thousandth of a worker is not worth one."""
    return ceil(sound(slots) / slots_of(load) - 1e-3)


def slots_of(load: PoolLoad) -> float:
    """Slots of one worker."""
    found = load.slots_per_worker
    return found if isfinite(found) and found > 0 else 1.0


def horizon(one: ClassLoad, load: PoolLoad, sizing: Sizing) -> float:
    """Seconds in which the work of a class, and of those before it, is to be done.

    A share of the target, less where the oldest has waited for most of it or a deadline is nearer, but not less than
    it takes at all: what has missed its target or deadline gets the catch-up time.
    """
    target = sound(one.target_seconds) or DEFAULT_TARGET_SECONDS
    wanted = min(sizing.aim * target, target - sound(one.oldest_seconds))
    if one.deadline_seconds is not None and one.deadline_seconds > 0:
        wanted = min(wanted, one.deadline_seconds)
    return max(wanted, sizing.catch_up_seconds, LATE_SHARE * target, sound(load.slice_seconds), 1.0)


def can_wait(one: ClassLoad, sizing: Sizing) -> bool:
    """Whether its target is so far off that what arrives need not be kept up with from minute to minute."""
    return sizing.aim * sound(one.target_seconds) >= 10 * sizing.start_seconds + sizing.catch_up_seconds


def target_need(load: PoolLoad, sizing: Sizing, asked_before: int) -> Need:
    """Slots with which all that waits meets its target; the class that asks for most decides.

    `asked_before`: workers decided last, of which some may be starting still.
    """
    at_work = sound(load.workers) * slots_of(load)
    until_help = (at_work + max(at_work, sound(asked_before) * slots_of(load))) / 2
    best, why, brief = 0.0, "nothing waits", "nothing waits"
    work = arrivals_before = 0.0
    for one in sorted(load.classes, key=lambda each: RANK[each.urgency]):
        work += sound(one.waiting_seconds) + sound(one.running_seconds)
        arrivals = arrivals_before + sound(one.arriving_seconds)
        within = horizon(one, load, sizing)
        slots = work / within + arrivals_before
        if slots > at_work:
            left = max(0.0, work - (until_help - arrivals) * sizing.start_seconds)
            remaining = max(within - sizing.start_seconds, min(within, sizing.catch_up_seconds), 1.0)
            slots = max(at_work, arrivals_before + left / remaining)
        if slots > best and one.waiting_slices + one.running_slices > 0:
            best, why, brief = slots, _in_words(one, work, within), _in_brief(one, load)
        arrivals_before = arrivals
    return Need("target", workers_for(best, load), why, brief)


def _in_brief(one: ClassLoad, load: PoolLoad) -> str:
    if not one.waiting_slices:
        return f"{counted(load.running_slices, 'slice')} running"
    return f"{_amount(one)} waiting"


def _amount(one: ClassLoad) -> str:
    return counted(one.waiting_pages, "page") if one.waiting_pages else counted(one.waiting_documents, "document")


def _in_words(one: ClassLoad, work: float, within: float) -> str:
    """What a class asks for, with its figures."""
    if not one.waiting_slices:
        return f"{counted(one.running_slices, 'slice')} running"
    age = f", the oldest for {say_seconds(one.oldest_seconds)}" if one.oldest_seconds >= 1 else ""
    if one.deadline_seconds is not None and 0 < one.deadline_seconds <= within:
        age += f", a deadline in {say_seconds(one.deadline_seconds)}"
    return (
        f"{_amount(one)} waiting ({one.urgency}{age}): {say_seconds(work)} of work, to be done in {say_seconds(within)}"
        f" of the target of {say_seconds(one.target_seconds)}"
    )


def arrivals_need(load: PoolLoad, sizing: Sizing) -> Need:
    """Slots that keep up with what arrives, with room for its unevenness."""
    deferred = sum(sound(one.arriving_seconds) for one in load.classes if can_wait(one, sizing))
    slots = max(0.0, sound(load.arriving_seconds) - deferred)
    if slots <= 0:
        return Need("arrivals", 0, "nothing arrives that cannot wait", "nothing arrives")
    needed = slots + spare_slots(slots, load, sizing)
    why = f"arrivals keep {slots:,.1f} slots busy, {needed:,.1f} with room for uneven ones"
    return Need("arrivals", workers_for(needed, load), why, f"arrivals keep {slots:,.1f} slots busy")


def spare_slots(slots: float, load: PoolLoad, sizing: Sizing) -> float:
    """Slots beside those that arrivals keep busy on average; see the head of this file."""
    documents = sound(load.arriving_documents)
    size = max(sound(load.slice_seconds), sound(load.arriving_seconds) / documents if documents > 0 else 0.0)
    targets = [sound(one.target_seconds) for one in load.classes if not can_wait(one, sizing)]
    within = max(sizing.aim * min(targets, default=DEFAULT_TARGET_SECONDS), 1.0)
    return sizing.headroom * sqrt(2 * slots * min(size, within) / within)


def documents_need(load: PoolLoad, sizing: Sizing, floor: int) -> Need:
    """The plain rule: more than so many documents waiting add workers to the floor. One, where all of them can wait."""
    each = sizing.documents_per_worker
    waiting = load.waiting_documents
    if each <= 0 or waiting <= each:
        limit = f", not more than {each:,}" if each > 0 else ""
        return Need("documents", 0, f"{counted(waiting, 'document')} waiting{limit}")
    urgent = sum(one.waiting_documents for one in load.classes if not can_wait(one, sizing))
    added = max(1, urgent // each)
    why = f"{counted(waiting, 'document')} waiting, more than {each}: {added:,} more than the floor of {floor:,}"
    return Need("documents", min(floor + added, int(MOST_SLOTS)), why, f"{waiting:,} documents waiting")


def forecast_need(load: PoolLoad, sizing: Sizing, outlook: Outlook | None, may_sleep: bool) -> Need:
    """Slots for the upper quantile of what is forecast for the time of a start-up, while the forecast is trusted."""
    if outlook is None:
        return Need("forecast", 0, "no forecast")
    if not outlook.trusted:
        return Need("forecast", 0, f"the forecast is not trusted: {outlook.reason or 'no reason given'}")
    upper = max(sound(outlook.upper), sound(outlook.expected))
    if may_sleep and upper < NEGLIGIBLE_SLOTS:
        return Need("forecast", 0, f"next to nothing forecast ({upper:.2f} slots)")
    now = sound(load.arriving_seconds)
    change = f"{(sound(outlook.expected) / now - 1) * 100:+,.0f} %" if now >= NEGLIGIBLE_SLOTS else "the first work"
    lead = say_seconds(sizing.start_seconds)
    brief = f"forecast {change} in {lead}"
    why = f"{brief} ({sound(outlook.expected):,.1f} slots, at most {upper:,.1f})"
    return Need("forecast", workers_for(upper, load), why, brief)


def counted(amount: int, noun: str) -> str:
    return f"{amount:,} {noun}{'' if amount == 1 else 's'}"


def say_seconds(seconds: float) -> str:
    """A duration for a person: 40 s, 20 min, 2.5 h."""
    value = sound(seconds)
    if value < 120:
        return f"{value:.0f} s"
    if value < 2 * 3600:
        return f"{value / 60:.0f} min"
    return f"{value / 3600:,.1f} h"
