"""What reading costs as a whole: engines, workers (at work or idle), storage, hosting and the base. Pure.

`docfleet costs` and the simulator use the same functions. Amounts are whole micro-dollars, rounded once for each kind
of cost; what is shared out adds up to what it was shared from, to the micro-dollar.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

import msgspec
from msgspec.structs import astuple

from docfleet.domain.pricing import PriceBook, price_of_pages

GIB = 1024**3
HOUR_SECONDS = 3600.0
MEAN_MONTH_SECONDS = 365.2425 / 12 * 86_400
"""Of a Gregorian year's months: for times that lie in no calendar month, as those of a simulation."""


class CostTerms(msgspec.Struct, frozen=True):
    """What is needed to know a cost beside prices and use, and what to compare it with."""

    stored_bytes_per_byte: float = 1.0
    """Bytes in the store, results included, for each byte that was submitted."""
    hosted_versions: int = 0
    """Versions of one's own processors that are deployed."""
    target_micros_per_document: int = 0
    """What a document may cost with everything; 0: not told."""
    by_hand_minutes_per_page: float = 0.0
    by_hand_micros_per_hour: int = 0


class Usage(msgspec.Struct, frozen=True):
    """What a fleet used in some time. Raises ValueError for what is negative or no number."""

    documents: int = 0
    """With results."""
    pages: int = 0
    """That were read, by whichever engine."""
    engine_pages: Mapping[str, int] = {}
    """Processor type -> pages sent to it, at the prices of the book."""
    engine_pages_before: Mapping[str, int] = {}
    """Processor type -> pages sent in the same month before: they decide the tier."""
    engine_micros: int = 0
    """What is known to have been charged, beside `engine_pages`."""
    busy_seconds: Mapping[str, float] = {}
    """Pool -> slot-seconds at work on pages."""
    paid_seconds: Mapping[str, float] = {}
    """Pool -> slot-seconds that were there and are paid for; taken to be as many as were busy at least."""
    gib_months: float = 0.0
    """GiB in the store times months."""
    hosted_hours: float = 0.0
    """Versions of one's own processors that are deployed, times hours."""
    months: float = 0.0
    """How long, as a part of a month: what the base is paid for."""

    def __post_init__(self) -> None:
        counts = (self.documents, self.pages, self.engine_micros)
        sums = (self.gib_months, self.hosted_hours, self.months)
        tables = (self.engine_pages, self.engine_pages_before, self.busy_seconds, self.paid_seconds)
        numbers = [*counts, *sums, *(value for table in tables for value in table.values())]
        if not all(math.isfinite(number) and number >= 0 for number in numbers):
            raise ValueError("what is used is 0 or more")


class WholeCost(msgspec.Struct, frozen=True):
    """The whole cost of some use, by kind, in micro-dollars."""

    documents: int = 0
    pages: int = 0
    engine_micros: int = 0
    busy_micros: int = 0
    """Workers' time at work on pages."""
    idle_micros: int = 0
    """Workers' time that is paid for beside that: waiting, starting, planning, stopping."""
    storage_micros: int = 0
    hosting_micros: int = 0
    """Of one's own processors, deployed whether they are used or not."""
    base_micros: int = 0
    """Databases, broker, API: what stands whatever is read."""

    @property
    def worker_micros(self) -> int:
        return self.busy_micros + self.idle_micros

    @property
    def micros(self) -> int:
        """All of it."""
        return self.engine_micros + self.worker_micros + self.storage_micros + self.hosting_micros + self.base_micros

    @property
    def per_document_micros(self) -> float | None:
        """None: there was no document with results."""
        return self.micros / self.documents if self.documents else None

    @property
    def per_page_micros(self) -> float | None:
        return self.micros / self.pages if self.pages else None


class Amounts(msgspec.Struct, frozen=True):
    """Micro-dollars by kind, not rounded: what is added up over many short times is rounded once, at the end."""

    engine: int = 0
    busy: float = 0.0
    paid: float = 0.0
    """Of all workers, at work or not."""
    storage: float = 0.0
    hosting: float = 0.0
    base: float = 0.0

    def __add__(self, other: Amounts) -> Amounts:
        return Amounts(*(mine + theirs for mine, theirs in zip(astuple(self), astuple(other), strict=True)))

    def rounded(self, documents: int, pages: int) -> WholeCost:
        """Who was at work was there: less is not paid for than was busy."""
        busy = round(self.busy)
        return WholeCost(
            documents=documents,
            pages=pages,
            engine_micros=self.engine,
            busy_micros=busy,
            idle_micros=max(0, round(self.paid) - busy),
            storage_micros=round(self.storage),
            hosting_micros=round(self.hosting),
            base_micros=round(self.base),
        )


def whole_cost(usage: Usage, book: PriceBook) -> WholeCost:
    """What some use costs by the prices of the book.

    Raises UsageError for a processor type without a price.
    """
    return amounts(usage, book).rounded(usage.documents, usage.pages)


def amounts(usage: Usage, book: PriceBook) -> Amounts:
    """As `whole_cost`, to be added up with that of other times, perhaps at other prices."""
    before = usage.engine_pages_before
    engines = sum(
        price_of_pages(book.rate(processor), before.get(processor, 0), pages)
        for processor, pages in usage.engine_pages.items()
    )
    return Amounts(
        engine=usage.engine_micros + engines,
        busy=slot_micros(usage.busy_seconds, book),
        paid=slot_micros(usage.paid_seconds, book),
        storage=usage.gib_months * book.storage_micros_per_gib_month,
        hosting=usage.hosted_hours * book.hosting_micros_per_hour,
        base=usage.months * book.base_micros_per_month,
    )


def slot_micros(seconds: Mapping[str, float], book: PriceBook) -> float:
    """Micro-dollars, not rounded, of so many slot-seconds of each pool."""
    return sum(count / HOUR_SECONDS * book.slot_micros_per_hour(pool) for pool, count in seconds.items())


class Part(msgspec.Struct, frozen=True):
    """What one of those who share a fleet used of it. Weights are in any unit, the same one for all."""

    documents: int = 0
    pages: int = 0
    engine_micros: int = 0
    """What its own calls cost."""
    busy: float = 0.0
    """Weight in the workers' time at work, and so in their idle time."""
    storage: float = 0.0
    """Weight in the storage."""
    standing: float = 0.0
    """Weight in what stands whatever is read: base and hosting."""


def share_out(fleet: WholeCost, parts: Mapping[str, Part]) -> dict[str, WholeCost]:
    """Each one's whole cost. The sums are the fleet's, but for kinds of cost in which nobody has any weight.

    `fleet.engine_micros` is not shared: everybody pays for their own calls.
    """
    used = list(parts.values())
    busy = apportion(fleet.busy_micros, [one.busy for one in used])
    idle = apportion(fleet.idle_micros, [one.busy for one in used])
    storage = apportion(fleet.storage_micros, [one.storage for one in used])
    hosting = apportion(fleet.hosting_micros, [one.standing for one in used])
    base = apportion(fleet.base_micros, [one.standing for one in used])
    return {
        name: WholeCost(
            one.documents, one.pages, one.engine_micros, busy[n], idle[n], storage[n], hosting[n], base[n]
        )
        for n, (name, one) in enumerate(parts.items())
    }  # fmt: skip


def apportion(micros: int, weights: Sequence[float]) -> list[int]:
    """An amount in whole parts by weight, which add up to it: (100, [1, 1, 1]) -> [33, 34, 33].

    Each part is less than one micro-dollar off its exact share (differences of the rounded running sum). Where there
    is no weight at all, nobody gets anything. Raises ValueError for a negative amount or weight.
    """
    if micros < 0 or not all(math.isfinite(weight) and weight >= 0 for weight in weights):
        raise ValueError("amounts and weights are 0 or more")
    running = [0.0]
    for weight in weights:
        running.append(running[-1] + weight)
    total = running[-1]
    if not total:
        return [0] * len(weights)
    ends = [min(micros, round(micros * (sum_ / total))) for sum_ in running]
    return [end - start for start, end in pairwise(ends)]


class Saving(msgspec.Struct, frozen=True):
    """What the same pages would have cost in another way, beside what they did."""

    reference_micros: int
    whole_micros: int

    @property
    def micros(self) -> int:
        """Negative where the other way would have been cheaper."""
        return self.reference_micros - self.whole_micros

    @property
    def return_on_cost(self) -> float | None:
        """What each dollar that was spent has saved: 0 breaks even, below it lost. None: nothing was spent."""
        return self.micros / self.whole_micros if self.whole_micros else None


def by_hand_micros(pages: int, minutes_per_page: float, micros_per_hour: int) -> int:
    """What it costs to have so many pages typed by people."""
    return round(pages * minutes_per_page / 60 * micros_per_hour)
