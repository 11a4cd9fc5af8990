"""The fleet's brain as the dispatcher runs it: history, forecasts and decisions, built from a runtime."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from docfleet.dispatch.chores import Chore
from docfleet.domain.budgeting import ALL
from docfleet.domain.floor_text import read_floor
from docfleet.domain.load import Caps
from docfleet.domain.scaling import ScalingPolicy
from docfleet.domain.urgency import HINTED_POOLS, Pool
from docfleet.fleet.caps import NO_CAPS, cloud_caps
from docfleet.fleet.deciding import Decider, Deciding, PoolPlan
from docfleet.fleet.holidays import public_holidays
from docfleet.fleet.outlook import Forecasts
from docfleet.fleet.probe import PoolTimes
from docfleet.fleet.training import Trainer, TrainingOptions
from docfleet.runtime import DOCUMENTAI, Runtime, engine_options
from docfleet.settings import PoolScalingSettings, ScalingSettings, Settings

T = TypeVar("T")
LOOK_SECONDS = 1.0
HISTORY_SECONDS = 15.0
TALLY_SECONDS = 5.0
FORGET_SECONDS = 3600.0
TRAIN_SECONDS = 2.0


def pools_of(settings: Settings) -> tuple[Pool, ...]:
    """The pools that are sized: that of the cloud only where there is something to call."""
    return (*HINTED_POOLS, *((Pool.CLOUD,) if settings.documentai.processors else ()))


def plan_of(settings: Settings, pool: Pool, now: float) -> PoolPlan:
    """What `[scaling]` says of a pool. Raises `UsageError` for floors that are none, or an unknown country."""
    scaling = settings.scaling
    own = scaling.pools.get(pool, PoolScalingSettings())
    least, most = _or(own.min_workers, scaling.min_workers), _or(own.max_workers, scaling.max_workers)
    floors = _or(own.floors, scaling.floors)
    slots = settings.cascade.calls_in_flight if pool is Pool.CLOUD else settings.fleet.slots or 1
    policy = ScalingPolicy(
        min_workers=min(least, most),
        max_workers=most,
        scale_to_zero=_or(own.scale_to_zero, scaling.scale_to_zero),
        idle_seconds=scaling.idle_seconds,
        start_seconds=_or(own.start_seconds, scaling.start_seconds),
        aim=scaling.target_share,
        headroom=scaling.headroom,
        documents_per_worker=scaling.documents_per_worker,
        floors=tuple(read_floor(floor) for floor in floors),
        timezone=scaling.timezone,
        holidays=public_holidays(scaling.holiday_country, now) | frozenset(scaling.holidays),
        down_window_seconds=scaling.down_window_seconds,
        down_share=scaling.down_share,
        up_step=scaling.up_step,
    )
    return PoolPlan(policy, float(_or(own.slots, slots)))


def _or(value: T | None, default: T) -> T:
    return default if value is None else value


class Brain:
    """What the leading dispatcher does beside dispatching; `chores` come round in a thread of their own."""

    def __init__(self, runtime: Runtime) -> None:
        settings = runtime.settings
        self._book = runtime.fleet_book
        self._tallies = runtime.tallies
        pools = pools_of(settings)
        plans = {pool: plan_of(settings, pool, time.time()) for pool in pools}
        scaling = settings.scaling
        forecasts = Forecasts(self._book, scaling.forecast_level, scaling.forecast)
        self._decider = Decider(
            Deciding(
                book=self._book,
                workers=runtime.ledger.workers,
                plans=plans,
                caps=_caps(runtime),
                forecasts=forecasts,
                decide_seconds=scaling.decide_seconds,
            )
        )
        self.chores = [
            Chore("history", HISTORY_SECONDS, lambda: _count(self._book.count_events)),
            Chore("tally", TALLY_SECONDS, lambda: _count(self._tallies.count_events)),
            Chore("fleet", LOOK_SECONDS, lambda: self._decider.look(time.monotonic())),
            Chore("fleet_forget", FORGET_SECONDS, self._book.forget_old),
            Chore("tally_forget", FORGET_SECONDS, self._tallies.forget_old),
        ]
        if scaling.forecast:
            trainer = Trainer(self._book, pools, _training(scaling))
            self.chores.append(Chore("forecast", TRAIN_SECONDS, lambda: trainer.look(time.time())))

    def begin(self) -> None:
        """This process leads from now on; another may have, meanwhile."""
        self._decider.forget()

    def gauges(self) -> dict[str, float]:
        return dict(self._decider.gauges)


def _count(count_events: Callable[[], bool]) -> None:
    """A long history is counted in parts, so that decisions come in between."""
    begun = time.monotonic()
    while count_events() and time.monotonic() - begun < LOOK_SECONDS:
        pass


def _training(scaling: ScalingSettings) -> TrainingOptions:
    return TrainingOptions(
        timezone=scaling.timezone, country=scaling.holiday_country, holidays=frozenset(scaling.holidays),
        special=frozenset(scaling.special_days),
    )  # fmt: skip


def _caps(runtime: Runtime) -> Callable[[Pool, PoolTimes], Caps]:
    """Of the cloud pool: its quotas as listed, and the budgets of all tenants."""
    settings = runtime.settings
    if not settings.documentai.processors:
        return lambda pool, times: NO_CAPS
    from docfleet.engines.documentai.options import read_options

    options = read_options(engine_options(settings)[DOCUMENTAI])
    facts = options.facts()
    keys = {
        facts.quota_key(one.project or options.project, one.location, one.type, one.version)
        for one in options.processors
        if one.type == options.processor_type
    }
    limits = [facts.quota_limits(key) for key in sorted(keys, key=str)]
    price = facts.micro_usd_per_page(options.processor_type, bool(options.premium))

    def caps(pool: Pool, times: PoolTimes) -> Caps:
        return cloud_caps(limits, times, runtime.budgets.budgets(ALL), price) if pool is Pool.CLOUD else NO_CAPS

    return caps
