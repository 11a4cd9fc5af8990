"""How many workers there are to be."""

from __future__ import annotations

from pydantic import Field

from docfleet.settings.section import Names, Section


class PoolScalingSettings(Section):
    """What differs in one pool from the rest of `[scaling]`; unset: as there."""

    min_workers: int | None = Field(None, ge=0, description="Never fewer workers of this pool.")
    max_workers: int | None = Field(None, ge=0, description="Never more workers of this pool.")
    slots: int | None = Field(None, ge=1, description="Slots of one worker of this pool, while none lives that tells.")
    start_seconds: float | None = Field(None, gt=0, description="From asking for a worker to its first slice.")
    scale_to_zero: bool | None = Field(None, description="No worker of this pool while nothing is to be done.")
    floors: Names | None = Field(None, description="Floors by the clock of this pool, instead of those of all.")


class ScalingSettings(Section):
    """The size of the fleet, pool by pool. The dispatcher decides it and says why; Kubernetes with KEDA, or
    `docfleet up --autoscale`, makes it so."""

    min_workers: int = Field(1, ge=0, description="Never fewer workers of a pool.")
    max_workers: int = Field(10, ge=0, description="Never more workers of a pool.")
    scale_to_zero: bool = Field(False, description="No worker of a pool while nothing is to be done.")
    idle_seconds: float = Field(300.0, ge=0, description="With `scale_to_zero`: after so long with nothing to do.")
    start_seconds: float = Field(
        60.0, gt=0, description="From asking for a worker to its first slice; on new machines, with their start."
    )
    floors: Names = Field(
        (),
        description="At least so many workers by the clock: `mon-fri 08:00-18:00 6 workdays, * 22:00-06:00 2`; with "
        "`workdays` not on holidays.",
    )
    timezone: str = Field(
        "UTC", description="Whose days and hours the floors and the forecast follow: `Europe/Berlin`."
    )
    holiday_country: str = Field(
        "", description="Whose public holidays count: `DE`, or with its part `DE-BY`; empty: of none."
    )
    holidays: Names = Field((), description="Further holidays: `2026-12-24,2026-12-31`.")
    special_days: Names = Field((), description="Days that will be fuller than others, for the forecast: `2026-11-27`.")
    target_share: float = Field(
        0.5, gt=0, le=1, description="Share of a target latency in which waiting work is to be done."
    )
    headroom: float = Field(
        1.0, ge=0, description="Room for uneven arrivals, in standard deviations of what arrives within a target."
    )
    documents_per_worker: int = Field(
        100, ge=0, description="More waiting documents than this add a worker for each so many; 0: they do not."
    )
    down_window_seconds: float = Field(
        300.0, ge=0, description="Workers are taken away when nothing asked for them for so long."
    )
    down_share: float = Field(0.1, gt=0, le=1, description="Share of the workers taken away in a minute; one at least.")
    up_step: int = Field(8, ge=1, description="Workers added by one decision, or as many as there are, if more.")
    forecast: bool = Field(True, description="Provide for what is forecast, while it can be trusted.")
    forecast_level: float = Field(
        0.9, gt=0.5, lt=1, description="Quantile of the forecast that is provided for: 0.9 is too low one time in ten."
    )
    decide_seconds: float = Field(5.0, gt=0, le=60, description="How often a size is decided, at most.")
    pools: dict[str, PoolScalingSettings] = Field(
        {}, description="What differs in a pool: `[scaling.pools.pdf] max_workers = 50`."
    )
