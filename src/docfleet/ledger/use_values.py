"""What was used in a time, by the fleet and by each tenant: plain values that add up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import msgspec

from docfleet.domain.costing import Amounts


class TenantUse(msgspec.Struct, frozen=True):
    """See `money_rows.UseRow`."""

    documents: int = 0
    failed: int = 0
    pages: int = 0
    engines: Mapping[str, int] = {}
    work_seconds: float = 0.0
    work_micros: float = 0.0
    stored_bytes: int = 0
    """At its end; nothing that adds up."""
    byte_seconds: float = 0.0
    storage_micros: float = 0.0
    duplicate_documents: int = 0
    duplicate_pages: int = 0
    duplicate_micros: int = 0

    @property
    def standing(self) -> float:
        """Weight in what stands whatever is read: every document counts one, and every page of it."""
        return float(self.documents + self.failed + self.pages)

    def then(self, later: TenantUse) -> TenantUse:
        """This and what came after it."""
        engines = Counter(self.engines)
        engines.update(later.engines)
        sums = {
            name: getattr(self, name) + getattr(later, name)
            for name in self.__struct_fields__
            if name not in ("engines", "stored_bytes")
        }
        return TenantUse(engines=dict(engines), stored_bytes=later.stored_bytes, **sums)


class FleetUse(msgspec.Struct, frozen=True):
    """See `money_rows.FleetUseRow`."""

    paid_seconds: Mapping[str, float] = {}
    paid_micros: float = 0.0
    hosting_micros: float = 0.0
    base_micros: float = 0.0

    def then(self, later: FleetUse) -> FleetUse:
        pools = sorted({*self.paid_seconds, *later.paid_seconds})
        return FleetUse(
            {pool: self.paid_seconds.get(pool, 0.0) + later.paid_seconds.get(pool, 0.0) for pool in pools},
            self.paid_micros + later.paid_micros,
            self.hosting_micros + later.hosting_micros,
            self.base_micros + later.base_micros,
        )


class Use(msgspec.Struct, frozen=True):
    """Of a time within one calendar month."""

    fleet: FleetUse = FleetUse()
    tenants: Mapping[str, TenantUse] = {}

    def then(self, later: Use) -> Use:
        names = sorted({*self.tenants, *later.tenants})
        nothing = TenantUse()
        return Use(
            self.fleet.then(later.fleet),
            {name: self.tenants.get(name, nothing).then(later.tenants.get(name, nothing)) for name in names},
        )

    @property
    def stored_bytes(self) -> dict[str, int]:
        """Of each tenant that has any, at the end."""
        return {name: use.stored_bytes for name, use in self.tenants.items() if use.stored_bytes}

    @property
    def amounts(self) -> Amounts:
        """Without what the engines took, which the reservations know."""
        return Amounts(
            busy=sum(use.work_micros for use in self.tenants.values()),
            paid=self.fleet.paid_micros,
            storage=sum(use.storage_micros for use in self.tenants.values()),
            hosting=self.fleet.hosting_micros,
            base=self.fleet.base_micros,
        )
