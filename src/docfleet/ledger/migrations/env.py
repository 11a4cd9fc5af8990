"""Alembic's entry: migrates over the connection, and in the transaction, it is handed."""

from __future__ import annotations

from alembic import context

from docfleet.ledger.report_rows import ALL_TABLES

context.configure(connection=context.config.attributes["connection"], target_metadata=ALL_TABLES)
context.run_migrations()
