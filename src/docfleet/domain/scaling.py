"""How many workers a pool needs, and why: a function from values to values. Pure.

Each rule says what it needs (`scaling_needs`, `business_hours`); the most demanding one decides, then

1. caps: what the quota keeps busy, what the budget pays, never under the minimum; and the maximum, whatever asks;
2. way up: at once, at most doubled (or a few more) with each decision;
3. way down: not before every decision of the last minutes asked for less, then a tenth a minute, one at least, and
   never below what is at work;
4. near the size there is: a difference of a few percent is not worth a start, nor a stop.
"""

from __future__ import annotations

from math import isfinite

import msgspec

from docfleet.domain import scaling_needs as needs
from docfleet.domain.business_hours import ClockFloor, floor_at
from docfleet.domain.load import Caps, Outlook, PoolLoad
from docfleet.domain.scaling_needs import Need, Sizing

__all__ = ["ClockFloor", "Decision", "Need", "ScalingMemory", "ScalingPolicy", "Sizing"]


class ScalingMemory(msgspec.Struct, frozen=True):
    """What a decision has to know of those before it; forgetting it costs only smoothness."""

    workers: int = 0
    """Decided last."""
    asked: tuple[tuple[float, int], ...] = ()
    """(when, workers that the rules asked for), within the window that slows the way down. Only those that no later one
    exceeds: more workers earlier, fewer later."""
    idle_since: float | None = None
    lowered_at: float | None = None
    """When workers were taken away last."""


class Decision(msgspec.Struct, frozen=True):
    pool: str
    at: float
    workers: int
    before: int
    reason: str
    """One line: "12 → 19 pdf workers: 4,210 pages waiting, forecast +38 % in 20 min"."""
    needs: tuple[Need, ...]
    """What each rule asked for, the one that decided first."""
    limits: tuple[Need, ...]
    """What held it down or slowed it, if anything did."""
    memory: ScalingMemory


class ScalingPolicy(Sizing, frozen=True):
    """What is wanted of a pool; `decide` says what that takes."""

    min_workers: int = 1
    max_workers: int = 10
    scale_to_zero: bool = False
    idle_seconds: float = 300.0
    """Nothing waited or ran for so long: a pool that may sleep does."""
    floors: tuple[ClockFloor, ...] = ()
    timezone: str = "UTC"
    holidays: frozenset[str] = frozenset()
    """Dates, "2026-12-25"."""
    down_window_seconds: float = 300.0
    """Workers are taken away when nothing asked for them for so long."""
    down_share: float = 0.1
    """Of the workers there are, taken away once a minute; one at least."""
    up_step: int = 8
    """So many workers may be added by one decision, or as many as there are, if that is more."""
    dead_band: float = 0.05
    """A difference of less than this share is left as it is."""

    def decide(
        self, load: PoolLoad, outlook: Outlook | None, caps: Caps, memory: ScalingMemory, now: float
    ) -> Decision:
        """The size of the pool from `now` (seconds since 1970, UTC) on. Same values, same decision.

        Never above the caps except for what is at work and the minimum; never above the maximum except for what is at
        work. Raises UsageError for an unknown time zone.
        """
        before = _before(load, memory, now, self.down_window_seconds)
        idle_since = _idle_since(load, memory, now)
        asked = self._needs(load, outlook, before, idle_since, now)
        top = max(asked, key=lambda need: need.workers)
        cap, limits = self._caps(top.workers, load, caps)
        wanted = min(top.workers, cap)
        window = _window(memory, now, before, wanted, self.down_window_seconds)
        lowered_at = None if memory.lowered_at is None else min(memory.lowered_at, now)
        if wanted > before:
            floor = max(need.workers for need in asked if need.rule in ("clock", "minimum"))
            workers, slowed = self._raised(wanted, before, floor)
        else:
            workers, slowed = self._lowered(wanted, before, cap, window, _busy_workers(load), lowered_at, now)
        if workers < before:
            lowered_at = now
        ordered = tuple(sorted(asked, key=lambda need: -need.workers))
        return Decision(
            pool=load.pool,
            at=now,
            workers=workers,
            before=before,
            reason=_reason(load, before, workers, ordered, (*limits[:1], *slowed)),
            needs=ordered,
            limits=(*limits, *slowed),
            memory=ScalingMemory(workers, window, idle_since, lowered_at),
        )

    def _needs(
        self, load: PoolLoad, outlook: Outlook | None, before: int, idle_since: float | None, now: float
    ) -> list[Need]:
        """What every rule asks for, the plainest last, so that the telling ones win a draw."""
        is_asleep = self.scale_to_zero and idle_since is not None and now - idle_since >= self.idle_seconds
        least = 0 if is_asleep else max(0, self.min_workers)
        if least == 0 and not load.is_idle:
            least = 1
        clock = self._clock_need(now)
        return [
            needs.target_need(load, self, before),
            needs.arrivals_need(load, self),
            needs.forecast_need(load, self, outlook, self.scale_to_zero),
            needs.documents_need(load, self, max(least, clock.workers)),
            clock,
            _minimum_need(least, load),
        ]

    def _clock_need(self, now: float) -> Need:
        """The floor of these hours; one that begins within a start-up holds already."""
        moments = (now, now + self.start_seconds)
        found = [floor_at(self.floors, self.timezone, self.holidays, moment) for moment in moments]
        floor = max((one for one in found if one is not None), key=lambda one: one.workers, default=None)
        if floor is None:
            return Need("clock", 0, "no floor at this hour")
        hours = f"{_clock(floor.from_minute)} to {_clock(floor.to_minute)} {self.timezone}"
        why = f"at least {floor.workers:,} from {hours}"
        return Need("clock", max(0, floor.workers), why, why)

    def _caps(self, wanted: int, load: PoolLoad, caps: Caps) -> tuple[int, tuple[Need, ...]]:
        """(the lowest cap, those caps that are below what is wanted, the lowest first)"""
        least = max(0, self.min_workers)
        found = []
        for rule, slots, why, verb in (
            ("quota", caps.quota_slots, caps.quota_reason, "the quota keeps busy"),
            ("budget", caps.budget_slots, caps.budget_reason, "the budget pays"),
        ):
            if slots is not None and isfinite(slots):
                cap = max(least, needs.workers_for(slots, load))
                brief = f"{verb} {cap:,}"
                found.append(Need(rule, cap, f"{brief}: {why}" if why else brief, brief))
        most = max(0, self.max_workers)
        found.append(Need("maximum", most, f"at most {most:,} are allowed", f"at most {most:,}"))
        limits = sorted((cap for cap in found if cap.workers < wanted), key=lambda cap: cap.workers)
        return min(cap.workers for cap in found), tuple(limits)

    def _lowered(
        self,
        wanted: int,
        before: int,
        cap: int,
        window: tuple[tuple[float, int], ...],
        busy: int,
        lowered_at: float | None,
        now: float,
    ) -> tuple[int, tuple[Need, ...]]:
        """(workers, what slowed the way down to what is wanted)"""
        busy = min(busy, before)
        highest = min(before, max(cap, busy))
        asked = min(highest, max(workers for _, workers in window))
        target = max(busy, asked, wanted)
        is_due = lowered_at is None or now - lowered_at >= 60.0
        if not is_due or highest - target < max(1, int(self.dead_band * before)):
            workers = highest
        else:
            workers = max(target, highest - max(1, int(self.down_share * before)))
        return workers, self._slowed(wanted, workers, target, busy)

    def _slowed(self, wanted: int, workers: int, target: int, busy: int) -> tuple[Need, ...]:
        """Why there are more workers than the rules ask for now."""
        if workers <= wanted:
            return ()
        if workers > target:
            why = f"{target:,} would do: fewer step by step"
            return (Need("pace", workers, why, f"down to {target:,} step by step"),)
        if target == busy:
            why = f"{needs.counted(busy, 'worker')} at work are not taken away"
            return (Need("running", busy, why, f"{busy:,} at work"),)
        window = needs.say_seconds(self.down_window_seconds)
        why = f"{target:,} were asked for in the last {window}"
        return (Need("window", target, why, why),)

    def _raised(self, wanted: int, before: int, floor: int) -> tuple[int, tuple[Need, ...]]:
        """One step up towards what is wanted; the floor is kept to the worker."""
        allowed = before + max(before, self.up_step, 1)
        if before >= floor and wanted - before < max(1, int(self.dead_band * before)):
            why = f"{wanted:,} is too near to {before:,} to start anything for"
            return before, (Need("near", before, why, why),)
        if wanted <= allowed:
            return wanted, ()
        why = f"at most {allowed - before:,} more at a time"
        return allowed, (Need("step", allowed, why, why),)


def _before(load: PoolLoad, memory: ScalingMemory, now: float, window: float) -> int:
    """The size decided last; that of the workers which live, where it was long ago or is not known."""
    last = max((when for when, _ in memory.asked), default=None)
    if last is None or now - last > max(window, 60.0):
        return max(0, load.workers)
    return max(0, memory.workers)


def _idle_since(load: PoolLoad, memory: ScalingMemory, now: float) -> float | None:
    if not load.is_idle:
        return None
    return now if memory.idle_since is None else min(memory.idle_since, now)


def _window(
    memory: ScalingMemory, now: float, before: int, wanted: int, seconds: float
) -> tuple[tuple[float, int], ...]:
    """What was asked for in the window, with this moment: falling from entry to entry, the first is the most.

    Where nothing is remembered, the size there is counts as asked for now. A clock that jumped back makes what is
    remembered recent.
    """
    kept = [(min(when, now), workers) for when, workers in memory.asked if now - when <= seconds]
    if not kept:
        kept = [(now, before)]
    kept = [(when, workers) for when, workers in kept if workers > wanted]
    return (*kept, (now, wanted))


def _busy_workers(load: PoolLoad) -> int:
    """At least so many have something to do."""
    return needs.workers_for(sum(max(0, one.running_slices) for one in load.classes), load)


def _minimum_need(least: int, load: PoolLoad) -> Need:
    nothing = "nothing waits or runs, " if load.is_idle else ""
    why = f"{nothing}at least {least:,}" if least else f"{nothing}nothing need be there"
    return Need("minimum", least, why, why)


def _reason(load: PoolLoad, before: int, workers: int, asked: tuple[Need, ...], limits: tuple[Need, ...]) -> str:
    """One line that tells the size and what made it."""
    size = f"{before:,} → {workers:,}" if before != workers else f"{workers:,}"
    parts = [asked[0].brief]
    forecast = next((need for need in asked[1:] if need.rule == "forecast" and need.workers > 0), None)
    if forecast is not None and forecast.workers >= before:
        parts.append(forecast.brief)
    parts += [limit.brief for limit in limits]
    return f"{size} {load.pool} workers: {', '.join(part for part in parts if part)}"


def _clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"
