"""The two tables of the file of operations."""

from __future__ import annotations

import sqlalchemy as sa

metadata = sa.MetaData()

operation = sa.Table(
    "operation",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("project", sa.Text, nullable=False),
    sa.Column("location", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("made_at", sa.Float, nullable=False),
    sa.Column("updated_at", sa.Float, nullable=False),
    sa.Column("request", sa.LargeBinary, nullable=False),
    sa.Column("code", sa.Integer, nullable=False),
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("metadata", sa.LargeBinary, nullable=False),
    sa.Column("response", sa.LargeBinary, nullable=False),
    sa.Index("operation_newest", "project", "location", "made_at"),
    sa.Index("operation_by_state", "state", "made_at"),
)

item = sa.Table(
    "item",
    metadata,
    sa.Column("operation", sa.Text, sa.ForeignKey("operation.id"), primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("mime_type", sa.Text, nullable=False),
    sa.Column("tries", sa.Integer, nullable=False, default=0, server_default="0"),
    sa.Column("ended", sa.Boolean, nullable=False, default=False, server_default=sa.false()),
    sa.Column("code", sa.Integer, nullable=False, default=0, server_default="0"),
    sa.Column("message", sa.Text, nullable=False, default="", server_default=""),
    sa.Column("destination", sa.Text, nullable=False, default="", server_default=""),
    sa.Index("item_waiting", "position", "operation", sqlite_where=sa.text("NOT ended")),
)
