"""The table of reports that are kept."""

from __future__ import annotations

from typing import cast

from sqlalchemy import BigInteger, ForeignKey, LargeBinary, Table, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from docfleet.ledger import tally_rows
from docfleet.ledger.rows import Base


class ReportRow(Base):
    """A report of one tenant on one period: one for each kind, made anew in its place."""

    __tablename__ = "report"
    __table_args__ = (UniqueConstraint("tenant_id", "kind", "period"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    tenant_id: Mapped[str] = mapped_column(ForeignKey("tenant.id"))
    kind: Mapped[str]
    """`ReportKind`."""
    period: Mapped[str]
    """"2026-10"."""
    complete: Mapped[bool]
    """The period was over when it was made."""
    made_at: Mapped[float | None]
    """Null: it could not be made yet."""
    made_by: Mapped[str]
    """Id of the API key; empty: by the schedule."""
    store_key: Mapped[str]
    """Where its bytes are, encrypted; empty: nowhere."""
    wrapped_key: Mapped[bytes | None] = mapped_column(LargeBinary)
    """Its data key, encrypted with the master key."""
    sha256: Mapped[str]
    """Of the plain bytes."""
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    failures: Mapped[int]
    """Tries that failed since it was last made."""
    next_try_at: Mapped[float | None]
    code: Mapped[str]
    """Why the last try failed; empty after one that did not."""
    message: Mapped[str]


REPORT = cast(Table, ReportRow.__table__)
ALL_TABLES = tally_rows.ALL_TABLES
"""With the tables of this module, which exist once it is imported."""
