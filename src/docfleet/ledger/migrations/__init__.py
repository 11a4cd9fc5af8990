"""The ledger's tables, step by step (Alembic). A step never changes once it is released.

Steps are numbered 0001, 0002 … and only add: tables, indexes, columns that may be empty or have a default in the
database. So whoever knows an earlier step works on, beside the newer ones. A step that does more, and before which the
whole fleet has to stop, is named otherwise (`b0001`): earlier docfleets then refuse the ledger.
"""

from __future__ import annotations

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection

from docfleet.errors import LedgerError


def configuration() -> Config:
    config = Config()
    config.set_main_option("script_location", "docfleet.ledger:migrations")
    config.set_main_option("path_separator", "os")
    return config


def head() -> str | None:
    return ScriptDirectory.from_config(configuration()).get_current_head()


def upgrade(connection: Connection) -> None:
    """Runs what is missing inside the caller's transaction.

    Raises `LedgerError` when the ledger was made by a newer docfleet.
    """
    config = configuration()
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise LedgerError(f"this ledger was made by a newer docfleet; upgrade docfleet ({error})") from error
