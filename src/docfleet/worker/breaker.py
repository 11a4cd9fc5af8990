"""When workers turn away from the broker, and when they come back: slow enough not to flap."""

from __future__ import annotations

import msgspec

FAILURES_TO_OPEN = 3
GOODS_TO_CLOSE = 2


class Breaker(msgspec.Struct, frozen=True):
    """Closed: hints come from the broker. Open: slots take work straight from the ledger."""

    is_open: bool = False
    streak: int = 0
    """Looks in a row that spoke against the present state."""

    def after(self, is_good: bool) -> Breaker:
        """The breaker after one more look at the broker."""
        if is_good is not self.is_open:
            return Breaker(self.is_open, 0)
        enough = GOODS_TO_CLOSE if self.is_open else FAILURES_TO_OPEN
        if self.streak + 1 >= enough:
            return Breaker(not self.is_open, 0)
        return Breaker(self.is_open, self.streak + 1)


class Stall(msgspec.Struct, frozen=True):
    """Since when hints wait, a slot was free for them, and none was taken; seconds of any steady clock.

    A free slot finds work in the ledger by itself before long (see `direct_mode`), so being busy proves nothing: only
    a hint that is taken does.
    """

    since: float | None = None
    taken: int = 0
    """Hints taken up to then."""
    has_free_slot: bool = False

    def after(self, now: float, waiting: int, idle_slots: int, taken: int) -> Stall:
        """One more look. Hints that wait while a slot idles are normal for a moment, and only for that."""
        if waiting == 0 or (self.since is not None and taken != self.taken):
            return Stall()
        if self.since is None:
            return Stall(now, taken, True) if idle_slots else self
        return Stall(self.since, taken, idle_slots > 0)

    def lasts(self, now: float, seconds: float) -> bool:
        """Never while all slots are busy: their work would be broken off."""
        return self.since is not None and self.has_free_slot and now - self.since >= seconds
