"""What is known of Document AI: limits, quotas and prices, from one file of data, each with its source and its date.

They change; `[documentai.overrides]` replaces any of them, by the same names and nesting as in the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import msgspec

from docfleet.domain.quota import QuotaKey, QuotaLimits
from docfleet.errors import UsageError

FILE = "facts-2026-08.json"
OCR = "OCR_PROCESSOR"
BATCH = "batch"
"""`QuotaKey.kind` of batches under way."""
OTHERS = "*"
CALL_SECONDS_AT_MOST = 300.0


class _Fact(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    source: str
    """Key of `Facts.sources`."""


class Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    page: str
    read: str
    """Year and month."""
    note: str = ""


class Location(_Fact, frozen=True):
    multi_region: bool = False


class Sizes(_Fact, frozen=True):
    online_bytes: int
    """Largest file of one request."""
    image_pixels: int
    """Of one page of an image file; PDF pages have no such limit."""
    batch_file_bytes: int
    batch_files: int
    batch_hours: int
    """A batch that has not ended by then is cancelled by the service."""


class Quotas(_Fact, frozen=True):
    """By location, or `location/TYPE`, or `*` for every other."""

    online_requests_per_minute: dict[str, float]
    concurrent_batches: dict[str, int]
    all_requests_per_minute: float
    """Of every method together, polling included."""
    online_pages_per_minute: dict[str, float] = {}


class Generative(_Fact, frozen=True):
    """Versions whose names begin so are metered by pages, too."""

    pages_per_minute: float | None = None
    leaves_region: bool = False
    """Pages are sent to a model outside the chosen location."""


class ProcessorFacts(_Fact, frozen=True):
    """What a type of processor takes."""

    online_pages: int
    """Most pages selected by one request."""
    imageless_pages: int
    """The same in imageless mode, for pages from the first on without a gap."""
    batch_pages: int
    price: str
    """Key of `Facts.prices`."""
    packable: bool = False
    """Pages of several documents may travel in one request: each is read by itself."""
    ocr_config: bool = False
    layout_config: bool = False
    hosted: bool = False
    """Every deployed custom version costs by the hour."""


class Tier(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    from_page: int
    """Pages of the month before this tier."""
    usd_per_1000_pages: float

    @property
    def micro_usd_per_page(self) -> int:
        return round(self.usd_per_1000_pages * 1000)


class PriceFacts(_Fact, frozen=True):
    """USD, list. Exactly one of tiers, block and document is set."""

    tiers: tuple[Tier, ...] = ()
    """In order; the first from page 0."""
    free_pages: int = 0
    """Pages of each month that cost nothing."""
    block_pages: int = 0
    """Started blocks of so many pages of one document …"""
    usd_per_block: float = 0.0
    usd_per_document: float = 0.0


class Extras(_Fact, frozen=True):
    premium_feature_usd_per_1000_pages: float
    """Math, selection marks, font style: once, however many of them."""
    rechunking_usd_per_1000_pages: float
    hosting_usd_per_hour: float
    failed_calls_are_free: bool


class Facts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: str
    sources: dict[str, Source]
    endpoint: str
    locations: dict[str, Location]
    sizes: Sizes
    quotas: Quotas
    generative: dict[str, Generative]
    processors: dict[str, ProcessorFacts]
    prices: dict[str, PriceFacts]
    extras: Extras

    def processor(self, kind: str) -> ProcessorFacts:
        """Raises `UsageError` for a type nobody has told of."""
        found = self.processors.get(kind)
        if found is None:
            raise UsageError(
                f"Nothing is known of the processor type {kind!r}; describe it in [documentai.overrides.processors]."
            )
        return found

    def host(self, location: str) -> str:
        return self.endpoint.format(location=location)

    def price(self, kind: str) -> PriceFacts:
        return self.prices[self.processor(kind).price]

    def micro_usd_per_page(self, kind: str, premium: bool = False) -> int:
        """List price of one page in the first paid tier; a share of the block or a whole document where it is sold so.

        An estimate for choosing; what is booked is counted by the price book.
        """
        price = self.price(kind)
        if price.tiers:
            page = price.tiers[0].micro_usd_per_page
        else:
            page = round((price.usd_per_block if price.block_pages else price.usd_per_document) * 1_000_000)
        extra = round(self.extras.premium_feature_usd_per_1000_pages * 1000) if premium else 0
        return page + extra

    def generative_of(self, version: str) -> Generative | None:
        """What is known of a version metered by pages: the longest name that its own begins with."""
        names = [name for name in self.generative if version.startswith(name)]
        return self.generative[max(names, key=len)] if names else None

    def leaves_region(self, version: str) -> bool:
        found = self.generative_of(version)
        return found is not None and found.leaves_region

    def quota_key(self, project: str, location: str, kind: str, version: str = "") -> QuotaKey:
        """What calls of a processor are counted by: its type, and its version where that is metered by pages."""
        return QuotaKey(project, location, f"{kind}@{version}" if self._pages_of_version(version) else kind)

    def quota_limits(self, key: QuotaKey) -> QuotaLimits:
        """The quota of a key that `quota_key` made, or of the batches of a location (`kind` is `BATCH`)."""
        if key.kind == BATCH:
            return QuotaLimits(
                concurrent=_at(self.quotas.concurrent_batches, key.location, BATCH),
                place_seconds=self.sizes.batch_hours * 3600.0,
            )
        kind, _, version = key.kind.partition("@")
        pages = self._pages_of_version(version)
        return QuotaLimits(
            requests_per_minute=_at(self.quotas.online_requests_per_minute, key.location, kind),
            pages_per_minute=pages
            if pages is not None
            else _at(self.quotas.online_pages_per_minute, key.location, kind),
            place_seconds=CALL_SECONDS_AT_MOST + 30.0,
        )

    def _pages_of_version(self, version: str) -> float | None:
        found = self.generative_of(version) if version else None
        return found.pages_per_minute if found is not None else None


def read_facts(overrides: Mapping[str, Any] | None = None) -> Facts:
    """The facts, with what `overrides` says in their place. Raises `UsageError` where that is no fact."""
    if not overrides:
        return _shipped()
    merged = _over(msgspec.json.decode(_text()), overrides)
    try:
        facts = msgspec.convert(merged, Facts)
    except msgspec.ValidationError as error:
        raise UsageError(f"[documentai.overrides]: {error}.") from error
    _check(facts)
    return facts


@cache
def _shipped() -> Facts:
    return msgspec.json.decode(_text(), type=Facts)


def _text() -> bytes:
    return files(__package__).joinpath(FILE).read_bytes()


def _over(below: Any, above: Any) -> Any:
    """`above` over `below`: tables are merged, everything else is replaced. New entries of a table are known from the
    settings, unless they say otherwise."""
    if not isinstance(above, Mapping):
        return above
    if not isinstance(below, Mapping):
        # an entry nobody knew; its source is whoever set it
        return {"source": "settings", **above} if _is_entry(above) else dict(above)
    return {**below, **{key: _over(below.get(key), value) for key, value in above.items()}}


def _is_entry(value: Mapping[str, Any]) -> bool:
    return not all(isinstance(one, Mapping) for one in value.values()) and "page" not in value


def _check(facts: Facts) -> None:
    for kind, one in facts.processors.items():
        if one.price not in facts.prices:
            raise UsageError(f"[documentai.overrides.processors.{kind}]: there is no price {one.price!r}.")
        if min(one.online_pages, one.imageless_pages, one.batch_pages) < 1:
            raise UsageError(f"[documentai.overrides.processors.{kind}]: a request takes one page at least.")
    for name, price in facts.prices.items():
        if bool(price.tiers) + bool(price.block_pages) + bool(price.usd_per_document) != 1:
            raise UsageError(f"[documentai.overrides.prices.{name}]: give tiers, a block or a price a document.")
        if price.tiers and [t.from_page for t in price.tiers] != sorted({0, *(t.from_page for t in price.tiers)}):
            raise UsageError(f"[documentai.overrides.prices.{name}]: tiers begin at page 0 and rise.")
    if "{location}" not in facts.endpoint and len(facts.locations) > 1:
        raise UsageError("[documentai.overrides]: the endpoint must hold {location}; see also documentai.endpoint.")
    rates = [*facts.quotas.online_requests_per_minute.values(), *facts.quotas.online_pages_per_minute.values()]
    if min([*rates, *facts.quotas.concurrent_batches.values()]) <= 0:
        raise UsageError("[documentai.overrides.quotas]: every quota is above 0.")


def _at(table: Mapping[str, Any], location: str, kind: str) -> Any:
    """The most particular entry; None where there is none."""
    for name in (f"{location}/{kind}", location, OTHERS):
        if name in table:
            return table[name]
    return None
