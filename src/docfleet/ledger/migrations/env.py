"""Alembic's entry: migrates over the connection, and in the transaction, it is handed."""

from __future__ import annotations

from alembic import context

from docfleet.ledger.rows import Base

context.configure(connection=context.config.attributes["connection"], target_metadata=Base.metadata)
context.run_migrations()
