"""The tables of the fleet: what arrived and was done, how long work takes, what was decided and forecast."""

from __future__ import annotations

from typing import cast

from sqlalchemy import BigInteger, Index, Table
from sqlalchemy.orm import Mapped, mapped_column

from docfleet.ledger import batch_rows
from docfleet.ledger.rows import Base, BigId


class HistoryRow(Base):
    """What one pool of a region got and did in one step of time."""

    __tablename__ = "fleet_history"

    region: Mapped[str] = mapped_column(primary_key=True)
    pool: Mapped[str] = mapped_column(primary_key=True)
    resolution: Mapped[int] = mapped_column(primary_key=True)
    """Seconds of a step: the same counts are kept by the minute, by five minutes and by the hour."""
    bucket: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    """When the step begins; a multiple of `resolution`."""
    urgency: Mapped[str] = mapped_column(primary_key=True)
    """Told apart by the minute only; else empty."""
    arrived: Mapped[int] = mapped_column(BigInteger)
    """Documents; in the pool `cloud`: pages."""
    done: Mapped[int] = mapped_column(BigInteger)
    """The same, of what ended."""
    slices_done: Mapped[int] = mapped_column(BigInteger)
    pages_done: Mapped[int] = mapped_column(BigInteger)
    seconds_done: Mapped[float]
    """Slot-seconds of the slices that ended."""


class ServiceTimeRow(Base):
    """How long work takes, from what was done lately: sums in which what is older counts less."""

    __tablename__ = "service_time"

    pool: Mapped[str] = mapped_column(primary_key=True)
    step: Mapped[str] = mapped_column(primary_key=True)
    """A step of slices ("plan", "local", …), or "page": how long single pages took."""
    engine: Mapped[str] = mapped_column(primary_key=True)
    """Of pages; empty for slices."""
    amount: Mapped[float]
    """Slices (those of the cloud step that travel in one call count as one), or pages."""
    pages: Mapped[float]
    seconds: Mapped[float]
    squares: Mapped[float]
    """Sum of squared seconds, for the spread."""
    updated_at: Mapped[float]


class FleetMarkRow(Base):
    """Up to which event the history of a region was counted."""

    __tablename__ = "fleet_mark"

    region: Mapped[str] = mapped_column(primary_key=True)
    last_event: Mapped[int] = mapped_column(BigInteger)
    next_event: Mapped[int] = mapped_column(BigInteger)
    """The newest that was seen: counted at the next look, when nobody can be writing before it any more."""
    at: Mapped[float]
    since: Mapped[float]
    """When counting began. Steps without a row are unknown from here on, and empty before."""


class DemandRow(Base):
    """How many workers a pool is to have now."""

    __tablename__ = "fleet_demand"

    region: Mapped[str] = mapped_column(primary_key=True)
    pool: Mapped[str] = mapped_column(primary_key=True)
    workers: Mapped[int]
    before: Mapped[int]
    reason: Mapped[str]
    changed_at: Mapped[float]
    decided_at: Mapped[float]
    """Renewed with every decision, changed or not."""
    detail_json: Mapped[str]
    """`DemandDetail`."""


class FleetDecisionRow(Base):
    """A change of the size of a pool, with its reason."""

    __tablename__ = "fleet_decision"
    __table_args__ = (Index(None, "region", "id"), Index(None, "at"))

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    at: Mapped[float]
    region: Mapped[str]
    pool: Mapped[str]
    before: Mapped[int]
    workers: Mapped[int]
    reason: Mapped[str]
    needs_json: Mapped[str]
    """`list[Need]`: what each rule asked for, and what limited it."""


class FleetForecastRow(Base):
    """What is forecast for a pool."""

    __tablename__ = "fleet_forecast"

    region: Mapped[str] = mapped_column(primary_key=True)
    pool: Mapped[str] = mapped_column(primary_key=True)
    resolution: Mapped[int] = mapped_column(primary_key=True)
    made_at: Mapped[float]
    forecast_json: Mapped[str]


HISTORY = cast(Table, HistoryRow.__table__)
SERVICE_TIME = cast(Table, ServiceTimeRow.__table__)
FLEET_MARK = cast(Table, FleetMarkRow.__table__)
DEMAND = cast(Table, DemandRow.__table__)
FLEET_DECISION = cast(Table, FleetDecisionRow.__table__)
FLEET_FORECAST = cast(Table, FleetForecastRow.__table__)
ALL_TABLES = batch_rows.ALL_TABLES
"""With the tables of this module, which exist once it is imported."""
