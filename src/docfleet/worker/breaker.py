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
    """Since when a slot idles although hints wait; seconds of any steady clock."""

    since: float | None = None

    def after(self, now: float, waiting: int, idle_slots: int) -> Stall:
        """One more look. Hints that wait while a slot idles are normal for a moment, and only for that."""
        if waiting == 0 or idle_slots == 0:
            return Stall()
        return self if self.since is not None else Stall(now)

    def lasts(self, now: float, seconds: float) -> bool:
        return self.since is not None and now - self.since >= seconds
