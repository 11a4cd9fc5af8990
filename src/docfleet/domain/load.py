"""What waits and runs in a pool, as the ledger tells it: what a size is decided from. Values only."""

from __future__ import annotations

import msgspec

from docfleet.domain.urgency import Urgency


class ClassLoad(msgspec.Struct, frozen=True):
    """The work of one urgency in one pool. Work is counted in slot-seconds: how long one slot needs for it."""

    urgency: Urgency
    target_seconds: float
    """From upload to result; see `urgency.TARGET_SECONDS`."""
    waiting_documents: int = 0
    waiting_slices: int = 0
    waiting_pages: int = 0
    waiting_seconds: float = 0.0
    """Slot-seconds of what may run now, with what is expected to follow from it (pages after a plan)."""
    running_slices: int = 0
    running_seconds: float = 0.0
    """Slot-seconds that are left of what runs."""
    reserved_slices: int = 0
    """Of those that wait: hinted to workers already."""
    oldest_seconds: float = 0.0
    """How long the oldest that may run has waited."""
    deadline_seconds: float | None = None
    """Until the nearest deadline of what waits; negative when it has passed; None: nothing has one."""
    arriving_seconds: float = 0.0
    """Slot-seconds of this urgency that arrive each second: its part of `PoolLoad.arriving_seconds`. 0 where that is
    not told apart: then all that arrives counts as if it could not wait."""


class PoolLoad(msgspec.Struct, frozen=True):
    """One pool in one region at one moment of the database's clock."""

    pool: str
    at: float
    classes: tuple[ClassLoad, ...] = ()
    """Those with any work, the most urgent first."""
    workers: int = 0
    """That live."""
    slots_per_worker: float = 1.0
    """Mean of those that live; the setting where none does."""
    arriving_documents: float = 0.0
    """Documents a second, over the last minutes."""
    arriving_seconds: float = 0.0
    """Slot-seconds of work that arrive each second, over the last minutes: the slots they keep busy."""
    slice_seconds: float = 1.0
    """Mean slot-seconds of one slice."""

    @property
    def running_slices(self) -> int:
        return sum(one.running_slices for one in self.classes)

    @property
    def waiting_documents(self) -> int:
        return sum(one.waiting_documents for one in self.classes)

    @property
    def waiting_pages(self) -> int:
        return sum(one.waiting_pages for one in self.classes)

    @property
    def waiting_seconds(self) -> float:
        return sum(one.waiting_seconds for one in self.classes)

    @property
    def is_idle(self) -> bool:
        return not any(one.waiting_slices or one.running_slices for one in self.classes)


class Outlook(msgspec.Struct, frozen=True):
    """What is forecast for the time a new worker needs to start, and the decision after it."""

    expected: float
    """Slot-seconds of work arriving each second, median of the fullest moment until then."""
    upper: float
    """The same at the upper quantile that is provided for."""
    trusted: bool
    reason: str = ""
    """Why it is trusted or not, and which model it comes from."""


class Caps(msgspec.Struct, frozen=True):
    """More slots than these could do nothing: None where there is no such limit."""

    quota_slots: float | None = None
    """Slots the quota of the engine can keep busy."""
    budget_slots: float | None = None
    """Slots that what is left of the budgets can pay until they are filled again."""
    quota_reason: str = ""
    budget_reason: str = ""
