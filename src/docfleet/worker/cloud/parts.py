"""What a cloud worker works with, handed in by whoever starts it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from docfleet.domain.packing import MAX_WAIT_SECONDS, PackLimits
from docfleet.domain.urgency import Urgency
from docfleet.engines.documentai.calls import Asks
from docfleet.engines.documentai.facts import Facts
from docfleet.engines.documentai.options import DocumentAIOptions
from docfleet.engines.documentai.prices import PREMIUM
from docfleet.ledger import Ledger
from docfleet.ledger.budgets import Budgets
from docfleet.ledger.escalating import Escalating
from docfleet.settings import CascadeSettings
from docfleet.store import Store
from docfleet.store.encryption import MasterKey

if TYPE_CHECKING:
    from docfleet.worker.cloud.batch_parts import BatchParts
    from docfleet.worker.cloud.noting import Noting

ENGINE = "documentai"
PAGES_IN_HAND = 2
"""Requests' worth of pages that are claimed ahead of those under way: more would be kept from other workers."""


class CloudOptions(msgspec.Struct, frozen=True):
    """How requests are made up. Times in seconds."""

    limits: PackLimits
    kind: str
    """Processor type."""
    addons: frozenset[str] = frozenset()
    calls_in_flight: int = 16
    patience_seconds: float = 6.0
    """A full request waits here for its turn of the quota; one that still has room collects company instead."""
    hand_back_seconds: float = 10.0
    """What cannot be sent within this goes back to the ledger, and burns no attempt."""
    setup_seconds: float = 30.0
    """Pause when the engine is not set up."""
    approval_seconds: float = 60.0
    """How often a page that waits for a budget asks again."""
    local_after_seconds: float = 900.0
    """With `OnRefusal.LOCAL`: what was read locally stands once it has waited so long for its turn."""

    @classmethod
    def of(cls, cascade: CascadeSettings, options: DocumentAIOptions, facts: Facts) -> CloudOptions:
        known = facts.processor(options.processor_type)
        waits = {
            urgency: cascade.max_wait_ms.get(urgency, MAX_WAIT_SECONDS[urgency] * 1000) / 1000 for urgency in Urgency
        }
        limits = PackLimits(
            pages=known.imageless_pages if options.imageless else known.online_pages,
            size_bytes=facts.sizes.online_bytes,
            max_wait_seconds=waits,
            share_between_tenants=cascade.share_requests_between_tenants,
            together=known.packable,
        )
        return cls(
            limits,
            options.processor_type,
            frozenset({PREMIUM} if options.premium else ()),
            cascade.calls_in_flight,
            local_after_seconds=cascade.local_after_seconds,
        )


class CloudParts(msgspec.Struct, frozen=True):
    options: CloudOptions
    documentai: DocumentAIOptions
    ledger: Ledger
    escalating: Escalating
    budgets: Budgets
    store: Store
    master_key: MasterKey
    caller: Asks
    batches: BatchParts | None = None
    """None: everything is read by requests."""
    noting: Noting | None = None
    """None: nobody is told how it does."""
