"""A Postgres connection of the dispatcher's own: its lock and its ear hang on it, so none of a pool will do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import psycopg

_PATIENCE: dict[str, Any] = {
    "connect_timeout": 3,
    "keepalives": 1,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 5000,
    # The server's side too: a leader that vanished without a word must not keep its lock. A pooler refuses these.
    "options": "-c tcp_keepalives_idle=5 -c tcp_keepalives_interval=2 -c tcp_keepalives_count=3"
    " -c tcp_user_timeout=10000 -c statement_timeout=5000",
}


def connect(url: str) -> psycopg.Connection[Any]:
    """A connection outside any transaction. Raises psycopg.OperationalError within seconds."""
    import psycopg  # only a service on Postgres has it

    scheme, _, rest = url.partition("://")
    return psycopg.connect(f"{scheme.split('+')[0]}://{rest}", autocommit=True, **_PATIENCE)
