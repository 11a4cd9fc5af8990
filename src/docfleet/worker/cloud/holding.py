"""The slices a cloud worker holds, and where each stands on its way through it."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from docfleet.domain.packing import Item
from docfleet.ledger import Claim
from docfleet.ledger.money_values import Reservation
from docfleet.telemetry.traces import Place, place_of_attempt
from docfleet.worker.cloud.orders import CloudOrder


class Stage(StrEnum):
    PREPARING = "preparing"
    """Its pages are being taken out of their document."""
    WAITING = "waiting"
    """For company, quota or an endpoint."""
    IN_FLIGHT = "in_flight"
    """A request with it is being made, or its end is being written."""


@dataclass(eq=False)
class Held:
    """One claimed slice. The main thread moves it until it is in flight, then the thread of its request alone."""

    claim: Claim
    order: CloudOrder
    stage: Stage = Stage.PREPARING
    item: Item | None = None
    """Once prepared."""
    file: Path | None = None
    """Its pages as a PDF."""
    for_batch: bool = False
    """It is prepared for a batch, not for a request."""
    calls: int = 0
    """Calls made for this claim: each is paid for by itself."""
    reservations: list[Reservation] = field(default_factory=list)
    """Of the call to come or under way: the first pays for it, a second one for its hedge."""
    is_lost: bool = False
    since: float = field(default_factory=time.monotonic)
    place: Place | None = field(init=False)
    """Where its attempt is told; None when it is not."""

    def __post_init__(self) -> None:
        claim, document = self.claim, self.claim.document
        self.place = place_of_attempt(
            document.id, document.trace, claim.slice_id, claim.token, claim.started_at, self.since, len(self.pages)
        )

    @property
    def pages(self) -> list[int]:
        return list(range(self.claim.first_page, self.claim.last_page + 1))

    @property
    def tenant(self) -> str:
        return self.claim.document.tenant


class Holding:
    """All of them; threads share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[int, Held] = {}

    def add(self, held: Held) -> None:
        with self._lock:
            self._held[held.claim.slice_id] = held

    def drop(self, held: Held) -> None:
        """Its end is written, or it belongs to somebody else; its pages are no longer needed here."""
        with self._lock:
            if self._held.get(held.claim.slice_id) is held:
                del self._held[held.claim.slice_id]
        if held.file is not None:
            held.file.unlink(missing_ok=True)

    def all(self, stage: Stage | None = None) -> list[Held]:
        with self._lock:
            return [held for held in self._held.values() if stage is None or held.stage is stage]

    def pages(self, *stages: Stage) -> int:
        with self._lock:
            return sum(len(held.pages) for held in self._held.values() if held.stage in stages)

    def claims(self) -> dict[str, list[Claim]]:
        """What is to be beaten for, by the name it was claimed under."""
        found: dict[str, list[Claim]] = defaultdict(list)
        with self._lock:
            for held in self._held.values():
                if not held.is_lost:
                    found[held.claim.worker].append(held.claim)
        return found

    def lose(self, slice_ids: Collection[int]) -> list[Held]:
        """These belong to somebody else now, or to nobody."""
        with self._lock:
            lost = [self._held[one] for one in slice_ids if one in self._held]
            for held in lost:
                held.is_lost = True
            return lost
