"""How fast to call when the service refuses earlier than its quota says: halve, climb back, remember where it was.

Plain halving and climbing would spend its time between half the limit and the limit. So the rate at which a refusal
came is remembered as the ceiling. The way back up to just below it is short; above that each call adds a little, so
that the limit is felt for about once in 350 calls, and the longer no refusal comes the faster it climbs: a limit that
was raised is found in some hundred calls.

A refusal right after another (an outage, somebody else's burst) lowers the rate but hardly the
ceiling: it says that nothing passes now, not where the limit is. Such a ceiling is a guess, and is tried at sooner.
"""

from __future__ import annotations

import msgspec

LOWEST = 0.02
"""Share of the configured rate below which nothing slows down further, unless that is less than one call a minute."""
NEAR = 0.98
"""Share of the ceiling that is climbed to quickly."""
BACK_STEP = 1 / 10
"""Of the ceiling, with each call sent below `NEAR`: refusals come at once, successes after ten seconds or more."""
PROBE_STEP = 3.8e-5
"""Of the ceiling, with the first success above `NEAR`: its own height is reached after 300."""
PROBE_GROWTH = 200
"""After so many successes the steps are twice the first, after twice as many five times, after ten times 101 times."""
PROBES_A_MINUTE = 60.0
"""No more steps than this a minute: services count by the minute, and what was too much shows at its end."""
UNSURE_STEP = 20.0
"""How much larger they are while the ceiling is a guess."""
STORM_CALLS = 2
"""So few calls since the last slowdown, or fewer, and no success: nothing passes."""
LONG_STORM = 10
"""So many of them belong to the end of one minute of the service's; more show that something else is wrong."""
FORGET_STORM = 0.98
"""What is left of the ceiling after each refusal of a long storm."""
STORM_CEILING = 0.3
"""Below this it does not fall for those."""
FORGET_SOON = 0.07
"""What the ceiling loses besides after one near it that came at once; less the more calls had passed there."""
STEADY_CALLS = 50
STEADY_MINUTES = 5
"""After so many calls and so long since the last slowdown, one that is refused came too soon after another: the rate
itself holds, also where the service counts by the minute."""
FORGET_EARLY = 0.7
"""… and after one on the way back up, at the least."""


class Pace(msgspec.Struct, frozen=True):
    """Shares of the configured rate."""

    factor: float = 1.0
    """What is used of it now."""
    ceiling: float = 1.0
    """Where the service was last seen to refuse; 1.0: never."""
    generation: int = 0
    """Slowdowns so far."""
    calls: int = 0
    """Granted since the last slowdown."""
    probes: float = 0.0
    """Successes above `NEAR` since then; of those beyond `PROBES_A_MINUTE` each counts as less than one."""
    storms: int = 0
    """Refusals so far of which each came right after another."""
    passed: bool = False
    """Whether a call granted since then has succeeded, or in a storm one granted since the slowdown before."""
    unsure: bool = False
    """Whether the ceiling is a guess: nothing was refused close to it."""

    def throttled(self, generation: int, lowest: float = LOWEST, per_minute: float = 0.0) -> Pace:
        """After a refusal of a call that was granted in `generation`: of those under way together only one counts.
        `per_minute`: calls at this pace."""
        if generation < self.generation:
            return self
        factor, generation = max(lowest, self.factor / 2), self.generation + 1
        if self.calls <= STORM_CALLS and not self.passed:
            storms = self.storms + 1
            if storms < LONG_STORM:
                return Pace(factor, self.ceiling, generation, storms=storms, unsure=self.unsure)
            ceiling = max(min(self.ceiling, STORM_CEILING), self.ceiling * FORGET_STORM)
            return Pace(factor, max(lowest, ceiling), generation, storms=storms, unsure=True)
        if self.factor >= 0.9 * self.ceiling:
            trusted = max(self.probes / PROBE_GROWTH, self.calls / max(STEADY_CALLS, STEADY_MINUTES * per_minute))
            ceiling = self.factor * (1.0 - FORGET_SOON * max(0.0, 1.0 - trusted))
            return Pace(factor, max(lowest, ceiling), generation)
        return Pace(factor, max(lowest, self.factor, self.ceiling * FORGET_EARLY), generation, unsure=True)

    def granted(self) -> Pace:
        """After leave to send one more call."""
        near = NEAR * self.ceiling
        factor = self.factor if self.factor >= near else min(near, self.factor + BACK_STEP * self.ceiling)
        return msgspec.structs.replace(self, factor=factor, calls=self.calls + 1)

    def succeeded(self, generation: int, pressed: bool, per_minute: float = 0.0) -> Pace:
        """After a success. `pressed`: somebody had to wait lately; if not, the rate was not tried and proves little.
        `per_minute`: calls at this pace."""
        if generation < self.generation - (self.storms > 0):
            return self
        pace = self if self.passed else msgspec.structs.replace(self, passed=True)
        if generation < self.generation or not pressed or not NEAR * self.ceiling <= self.factor < 1.0:
            return pace
        step = PROBE_STEP * self.ceiling * (1 + (self.probes / PROBE_GROWTH) ** 2) * (UNSURE_STEP if self.unsure else 1)
        weight = PROBES_A_MINUTE / max(PROBES_A_MINUTE, per_minute)
        return msgspec.structs.replace(pace, factor=min(1.0, self.factor + step * weight), probes=self.probes + weight)


def lowest_factor(requests_per_minute: float | None) -> float:
    """At least a call a minute is always tried."""
    if not requests_per_minute:
        return LOWEST
    return min(1.0, max(LOWEST, 1.0 / requests_per_minute))
