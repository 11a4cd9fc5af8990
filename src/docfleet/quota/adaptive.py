"""How fast to call when the service refuses earlier than its quota says: halve, climb back, remember where it was.

Plain halving and climbing would spend its time between half the limit and the limit. So the rate at which a refusal
came is remembered as the ceiling. The way back up to just below it is short; above that each call adds a little, so
that the limit is felt for about once in 350 calls, and the longer no refusal comes the faster it climbs: a limit that
was raised is found in some hundred calls.

A refusal after refusals with no success in between (an outage, somebody else's burst) lowers the rate but hardly the
ceiling: it says that nothing passes now, not where the limit is.
"""

from __future__ import annotations

import msgspec

LOWEST = 0.02
"""Share of the configured rate below which nothing slows down further, unless that is less than one call a minute."""
NEAR = 0.97
"""Share of the ceiling that is climbed to quickly."""
BACK_STEP = 1 / 20
"""Of the ceiling, with each success below `NEAR`."""
PROBE_STEP = 5.7e-5
"""Of the ceiling, with the first success above `NEAR`: its own height is reached after 300."""
PROBE_GROWTH = 1 / 200
"""How much larger each further step is, as a share of the first."""
FORGET_STORM = 0.95
FORGET_EARLY = 0.7


class Pace(msgspec.Struct, frozen=True):
    """Shares of the configured rate."""

    factor: float = 1.0
    """What is used of it now."""
    ceiling: float = 1.0
    """Where the service was last seen to refuse; 1.0: never."""
    generation: int = 0
    """Slowdowns so far."""
    successes: int = 0
    """Since the last slowdown."""
    probes: int = 0
    """Successes above `NEAR` since then."""

    def throttled(self, generation: int, lowest: float = LOWEST) -> Pace:
        """After a refusal of a call that was granted in `generation`: of those under way together only one counts."""
        if generation < self.generation:
            return self
        if self.successes == 0:
            ceiling = self.ceiling * FORGET_STORM
        elif self.factor >= 0.9 * self.ceiling:
            ceiling = self.factor
        else:
            ceiling = max(self.factor, self.ceiling * FORGET_EARLY)
        return Pace(max(lowest, self.factor / 2), max(lowest, ceiling), self.generation + 1)

    def succeeded(self, generation: int, pressed: bool) -> Pace:
        """After a success. `pressed`: somebody had to wait lately; if not, the rate was not tried and proves little."""
        if generation < self.generation:
            return self
        successes = self.successes + 1
        if self.factor >= 1.0:
            return msgspec.structs.replace(self, successes=successes)
        if self.factor < NEAR * self.ceiling:
            factor = min(NEAR * self.ceiling, self.factor + BACK_STEP * self.ceiling)
            return msgspec.structs.replace(self, factor=factor, successes=successes)
        if not pressed:
            return msgspec.structs.replace(self, successes=successes)
        step = PROBE_STEP * self.ceiling * (1 + self.probes * PROBE_GROWTH)
        factor = min(1.0, self.factor + step)
        return Pace(factor, self.ceiling, self.generation, successes, self.probes + 1)


def lowest_factor(requests_per_minute: float | None) -> float:
    """At least a call a minute is always tried."""
    if not requests_per_minute:
        return LOWEST
    return min(1.0, max(LOWEST, 1.0 / requests_per_minute))
