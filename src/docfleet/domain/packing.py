"""Slices of many documents -> requests to an engine, under its limits.

A request costs the same share of the quota whether it holds one page or thirty, so small slices travel together. What
waits for company waits a bounded time, the shorter the more urgent it is. Pure: nothing here reads a clock.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import msgspec

from docfleet.domain.urgency import RANK, Urgency

MAX_WAIT_SECONDS: Mapping[Urgency, float] = {
    Urgency.CRITICAL: 0.0,
    Urgency.HIGH: 0.1,
    Urgency.NORMAL: 0.4,
    Urgency.BULK: 2.0,
}

CONTENDED_WAIT_SECONDS: Mapping[Urgency, float] = {
    Urgency.CRITICAL: 0.0,
    Urgency.HIGH: 2.0,
    Urgency.NORMAL: 60.0,
    Urgency.BULK: 120.0,
}
"""The same while full requests wait for quota: sent before one of those, a request that has room to spare would make
everything else wait for the sake of a few pages."""

COMING_FACTOR = 5
"""How many times longer an item waits while others of its kind are being taken out of their documents: on a busy
machine that takes longer than the wait for company, and each would travel alone."""


class Item(msgspec.Struct, frozen=True):
    """Pages that belong together: those of one slice."""

    slice_id: int
    pages: int
    size_bytes: int
    urgency: Urgency
    tenant: str
    key: str
    """What all of a request must have in common: engine, processor, options, where it may be read."""
    since: float
    """When it began to wait; seconds on the clock of `now`."""


class PackLimits(msgspec.Struct, frozen=True):
    """What one request may hold."""

    pages: int = 15
    size_bytes: int = 40_000_000
    overhead_bytes: int = 4_096
    """What each item adds to the file beyond its own bytes, at most."""
    max_wait_seconds: Mapping[Urgency, float] = msgspec.field(default_factory=lambda: MAX_WAIT_SECONDS)
    contended_wait_seconds: Mapping[Urgency, float] = msgspec.field(default_factory=lambda: CONTENDED_WAIT_SECONDS)
    """Longest wait for company while full requests wait for quota; of an urgency that waits for company at all."""
    share_between_tenants: bool = False
    """Pages of several tenants may travel in one request."""
    together: bool = True
    """Off: each item is a request of its own (parsers that take one document at a time)."""


class Request(msgspec.Struct, frozen=True):
    """Items that travel together, in this order."""

    items: tuple[Item, ...]
    reason: str
    """"full", "due" (somebody in it has waited long enough) or "alone"."""

    @property
    def pages(self) -> int:
        return sum(item.pages for item in self.items)

    @property
    def urgency(self) -> Urgency:
        return min((item.urgency for item in self.items), key=RANK.__getitem__)


class Packing(msgspec.Struct, frozen=True):
    """What is to be done with all that waits; each item stands in exactly one place."""

    requests: tuple[Request, ...]
    """To be sent now, the most urgent first."""
    waiting: tuple[Item, ...]
    """For company."""
    wait_until: float | None
    """When the first of `waiting` has waited long enough; None: nothing waits."""
    too_large: tuple[Item, ...]
    """No request can hold them: to be divided."""


def pack(
    waiting: Sequence[Item],
    limits: PackLimits,
    now: float,
    hurry: bool = False,
    contended: bool = False,
    coming: Collection[str] = (),
) -> Packing:
    """Divides what waits into requests that are sent now and items that wait for company.

    Most urgent first, then by age, each goes into the first request of its kind with room. A request is sent when it is
    full, or when an item in it has waited as long as it may; so no item ever waits longer than `max_wait_seconds` of
    its urgency. `hurry`: nothing is to wait (a worker that stops). `contended`: full requests wait for quota, so that
    others wait for `contended_wait_seconds`. `coming`: keys of which more is about to be ready.
    """
    open_ones: dict[tuple[str, str], list[_Open]] = {}
    too_large: list[Item] = []
    for item in sorted(waiting, key=lambda item: (RANK[item.urgency], item.since, item.slice_id)):
        if item.pages > limits.pages or item.size_bytes + limits.overhead_bytes > limits.size_bytes:
            too_large.append(item)
            continue
        kind = open_ones.setdefault((item.key, "" if limits.share_between_tenants else item.tenant), [])
        fitting = (one for one in kind if limits.together and one.has_room(item, limits))
        into = next(fitting, None)
        if into is None:
            into = _Open([], 0, 0)
            kind.append(into)
        into.add(item, limits)
    requests, left = [], []
    for one in (one for kind in open_ones.values() for one in kind):
        reason = one.why_now(limits, now, hurry, contended, coming)
        if reason:
            requests.append(Request(tuple(one.items), reason))
        else:
            left += one.items
    requests.sort(key=lambda request: (RANK[request.urgency], min(item.since for item in request.items)))
    until = min((due_at(item, limits, contended, coming) for item in left), default=None)
    return Packing(tuple(requests), tuple(left), until, tuple(too_large))


def due_at(item: Item, limits: PackLimits, contended: bool = False, coming: Collection[str] = ()) -> float:
    """When the item waits no longer."""
    longest = limits.max_wait_seconds.get(item.urgency, 0.0)
    if item.key in coming:
        longest *= COMING_FACTOR
    if contended and longest > 0:
        longest = max(longest, limits.contended_wait_seconds.get(item.urgency, 0.0))
    return item.since + longest


class _Open(msgspec.Struct):
    items: list[Item]
    pages: int
    size_bytes: int

    def has_room(self, item: Item, limits: PackLimits) -> bool:
        size = self.size_bytes + item.size_bytes + limits.overhead_bytes
        return self.pages + item.pages <= limits.pages and size <= limits.size_bytes

    def add(self, item: Item, limits: PackLimits) -> None:
        self.items.append(item)
        self.pages += item.pages
        self.size_bytes += item.size_bytes + limits.overhead_bytes

    def why_now(self, limits: PackLimits, now: float, hurry: bool, contended: bool, coming: Collection[str]) -> str:
        if not limits.together:
            return "alone"
        if self.pages == limits.pages:
            return "full"
        return "due" if hurry or any(due_at(item, limits, contended, coming) <= now for item in self.items) else ""


def halves(items: Sequence[Item]) -> tuple[tuple[Item, ...], tuple[Item, ...]]:
    """Two parts of about as many pages each, neither empty: how a refused request is searched for who is to blame.

    `items`: two or more.
    """
    total, so_far, at = sum(item.pages for item in items), 0, 1
    for position, item in enumerate(items[:-1], 1):
        so_far += item.pages
        at = position
        if so_far * 2 >= total:
            break
    return tuple(items[:at]), tuple(items[at:])
