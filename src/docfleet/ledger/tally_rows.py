"""The tables of the tallies: what happened to documents and pages, in steps of time."""

from __future__ import annotations

from typing import cast

from sqlalchemy import BigInteger, Index, Table
from sqlalchemy.orm import Mapped, mapped_column

from docfleet.ledger import fleet_rows
from docfleet.ledger.rows import Base


class TallyRow(Base):
    """One sum of one step of time."""

    __tablename__ = "tally"
    __table_args__ = (Index(None, "resolution", "bucket"),)

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    """Empty: of all tenants together."""
    resolution: Mapped[int] = mapped_column(primary_key=True)
    """Seconds of a step; 0: since ever, which is kept for all tenants together only."""
    bucket: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    """When the step begins; a multiple of `resolution`, 0 for that of since ever."""
    region: Mapped[str] = mapped_column(primary_key=True)
    pool: Mapped[str] = mapped_column(primary_key=True)
    urgency: Mapped[str] = mapped_column(primary_key=True)
    measure: Mapped[str] = mapped_column(primary_key=True)
    """See `domain.tallying.Measure`."""
    detail: Mapped[str] = mapped_column(primary_key=True)
    amount: Mapped[float]


class TallyMarkRow(Base):
    """Up to which event was counted. One row."""

    __tablename__ = "tally_mark"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    last_event: Mapped[int] = mapped_column(BigInteger)
    next_event: Mapped[int] = mapped_column(BigInteger)
    """The newest that the look before saw, to be counted once every transaction of that time has ended."""
    next_xact: Mapped[int] = mapped_column(BigInteger)
    """On Postgres: the transactions before this one are those of that time."""
    counted_at: Mapped[float]
    """Everything before this moment is counted, as far as transactions tell when they happened."""
    next_at: Mapped[float]
    """When the look before looked."""
    since: Mapped[float]
    """When the first event happened that was counted."""


TALLY = cast(Table, TallyRow.__table__)
TALLY_MARK = cast(Table, TallyMarkRow.__table__)
ALL_TABLES = fleet_rows.ALL_TABLES
"""With the tables of this module, which exist once it is imported."""
