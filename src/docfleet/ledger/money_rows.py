"""The tables of money: budgets, what is spent and reserved, every reservation, and what else was used.

Amounts are whole micro-dollars where nothing else is said. Months are those of UTC, written "2026-11". "*" stands for
all (see `domain.budgeting.ALL`).
"""

from __future__ import annotations

from typing import cast

from sqlalchemy import BigInteger, CheckConstraint, Index, Table, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from docfleet.ledger import service_rows
from docfleet.ledger.rows import Base, BigId


class BudgetRow(Base):
    """A limit for one month, or for every month without a limit of its own."""

    __tablename__ = "budget"
    __table_args__ = (CheckConstraint("limit_micros >= 0", name="limit"),)

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    engine: Mapped[str] = mapped_column(primary_key=True)
    month: Mapped[str] = mapped_column(primary_key=True)
    limit_micros: Mapped[int] = mapped_column(BigInteger)
    policy: Mapped[str]
    warn_percent: Mapped[int]
    set_by: Mapped[str]
    """Id of the API key; empty: at the command line."""
    set_at: Mapped[float]


class SpendRow(Base):
    """Sums of a month: of a tenant and engine, of all of either ("*"), and of single processor types.

    They run behind: a reservation that was closed is moved from reserved to settled a moment later (`reserving.fold`),
    so that the end of a slice waits for no other. Until then it counts with what was reserved.
    """

    __tablename__ = "spend"
    __table_args__ = (CheckConstraint("reserved_micros >= 0 AND settled_micros >= 0 AND pages >= 0", name="sums"),)

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    engine: Mapped[str] = mapped_column(primary_key=True)
    processor: Mapped[str] = mapped_column(primary_key=True)
    month: Mapped[str] = mapped_column(primary_key=True)
    reserved_micros: Mapped[int] = mapped_column(BigInteger)
    settled_micros: Mapped[int] = mapped_column(BigInteger)
    pages: Mapped[int] = mapped_column(BigInteger)
    """Reserved and settled; of all tenants, this decides the tier of the price."""
    warned_at: Mapped[float | None]
    exhausted_at: Mapped[float | None]


class ReservationRow(Base):
    """Money for one slice in one call. Kept for ever: the account of what was paid for what."""

    __tablename__ = "reservation"
    __table_args__ = (
        UniqueConstraint("slice_id", "token", "call"),
        CheckConstraint("amount_micros >= 0 AND pages >= 0", name="amount"),
        Index(None, "month", "tenant_id"),
        Index(
            "ix_reservation_open",
            "made_at",
            sqlite_where=text("state = 'open'"),
            postgresql_where=text("state = 'open'"),
        ),
        Index("ix_reservation_fold", "id", sqlite_where=text("to_fold"), postgresql_where=text("to_fold")),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    slice_id: Mapped[int] = mapped_column(BigInteger)
    token: Mapped[int] = mapped_column(BigInteger)
    """Of the claim that pays."""
    call: Mapped[int]
    """Counts the calls that one claim makes (a second try elsewhere, a hedge), from 1."""
    call_id: Mapped[str]
    """The same for all slices that travel in one request."""
    document_id: Mapped[str]
    tenant_id: Mapped[str]
    engine: Mapped[str]
    processor: Mapped[str]
    month: Mapped[str]
    pages: Mapped[int]
    amount_micros: Mapped[int] = mapped_column(BigInteger)
    settled_micros: Mapped[int | None] = mapped_column(BigInteger)
    """What it cost; null while it is open."""
    folded_micros: Mapped[int | None] = mapped_column(BigInteger)
    """What of it is in the settled sums; null: the sums still hold the amount as reserved."""
    to_fold: Mapped[bool]
    state: Mapped[str]
    """`ReservationState`."""
    made_at: Mapped[float]
    closed_at: Mapped[float | None]


class UseRow(Base):
    """What a tenant used in a month, up to where the fleet's row of the month is counted to; see `ledger.use`."""

    __tablename__ = "tenant_use"

    month: Mapped[str] = mapped_column(primary_key=True)
    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    documents: Mapped[int] = mapped_column(BigInteger)
    """That ended with results, those that took an earlier one's among them."""
    failed: Mapped[int] = mapped_column(BigInteger)
    """That ended without."""
    pages: Mapped[int] = mapped_column(BigInteger)
    """That were read, or taken from an earlier document."""
    engines_json: Mapped[str]
    """Engine -> pages that it read in the month."""
    work_seconds: Mapped[float]
    work_micros: Mapped[float]
    """Amounts of this table and the next are not rounded: a step of some minutes may cost less than a micro-dollar."""
    stored_bytes: Mapped[int] = mapped_column(BigInteger)
    """Submitted bytes that are stored where the counting stands."""
    byte_seconds: Mapped[float]
    storage_micros: Mapped[float]
    duplicate_documents: Mapped[int] = mapped_column(BigInteger)
    duplicate_pages: Mapped[int] = mapped_column(BigInteger)
    duplicate_micros: Mapped[int] = mapped_column(BigInteger)
    """What the engines took for the pages that duplicates have."""


class FleetUseRow(Base):
    """What the fleet as a whole used in a month, and how far the month is counted; months before the last are whole."""

    __tablename__ = "fleet_use"

    month: Mapped[str] = mapped_column(primary_key=True)
    counted_to: Mapped[float]
    paid_json: Mapped[str]
    """Pool -> slot-seconds that workers were there."""
    paid_micros: Mapped[float]
    hosting_micros: Mapped[float]
    base_micros: Mapped[float]


BUDGET = cast(Table, BudgetRow.__table__)
SPEND = cast(Table, SpendRow.__table__)
RESERVATION = cast(Table, ReservationRow.__table__)
TENANT_USE = cast(Table, UseRow.__table__)
FLEET_USE = cast(Table, FleetUseRow.__table__)
ALL_TABLES = service_rows.ALL_TABLES
"""With the tables of this module, which exist once it is imported."""
