"""Batches, inputs, documents, slices, pages, events.

The lists of legal moves are copied here on purpose: a migration says what the database was told on its day. A test
compares them with `domain.work`.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

BIG_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
DOCUMENT_STATES = ("received", "running", "assembling", "succeeded", "partial", "failed", "cancelled")
SLICE_STATES = ("queued", "running", "done", "dead", "cancelled")
STEPS = ("plan", "local", "cloud", "assemble")

DOCUMENT_MOVES = (
    "received>running", "received>failed", "received>cancelled",
    "running>assembling", "running>failed", "running>cancelled",
    "assembling>succeeded", "assembling>partial", "assembling>failed", "assembling>cancelled",
    "partial>running", "partial>assembling",
    "failed>received", "failed>running", "failed>assembling",
    "cancelled>received",
)  # fmt: skip
SLICE_MOVES = (
    "queued>running", "queued>cancelled",
    "running>done", "running>queued", "running>dead", "running>cancelled",
)  # fmt: skip


def upgrade() -> None:
    _make_batch_and_document()
    _make_input()
    _make_slice()
    _make_page()
    _make_event()
    if op.get_context().dialect.name == "postgresql":
        _guard_in_postgres()
    else:
        _guard_in_sqlite()


def _state(name: str, values: tuple[str, ...]) -> sa.Column[str]:
    allowed = ", ".join(f"'{value}'" for value in values)
    return sa.Column(name, sa.String(16), sa.CheckConstraint(f"{name} IN ({allowed})", name=name), nullable=False)


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.String, nullable=False)


def _whole(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer, nullable=False)


def _real(name: str, nullable: bool = False) -> sa.Column[float]:
    return sa.Column(name, sa.Double, nullable=nullable)


def _make_batch_and_document() -> None:
    op.create_table(
        "batch",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("key", sa.String, nullable=False, unique=True),
        _text("label"),
        _text("options_json"),
        _real("created_at"),
    )
    op.create_table(
        "document",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("batch_id", sa.String, sa.ForeignKey("batch.id"), nullable=False),
        _text("sha256"),
        _text("options_digest"),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        _text("media_type"),
        _state("state", DOCUMENT_STATES),
        _whole("priority"),
        _whole("round"),
        sa.Column("pages", sa.Integer),
        _text("plan_json"),
        sa.Column("folder", sa.String),
        sa.Column("folder_key", sa.String, unique=True),
        _text("code"),
        _text("message"),
        _text("detail"),
        _text("result_key"),
        _whole("pages_read"),
        _whole("pages_failed"),
        _text("engines_json"),
        _real("confidence", nullable=True),
        _real("cost_usd"),
        _real("work_seconds"),
        _real("created_at"),
        _real("started_at", nullable=True),
        _real("finished_at", nullable=True),
        sa.UniqueConstraint("batch_id", "sha256", "options_digest"),
        sa.CheckConstraint("pages IS NULL OR pages >= 0", name="pages"),
    )
    op.create_index("ix_document_batch_id_state", "document", ["batch_id", "state"])


def _make_input() -> None:
    op.create_table(
        "input",
        sa.Column("id", BIG_ID, primary_key=True, autoincrement=True),
        sa.Column("batch_id", sa.String, sa.ForeignKey("batch.id"), nullable=False),
        sa.Column("document_id", sa.String, sa.ForeignKey("document.id")),
        _text("name"),
        _text("path"),
        _text("member"),
        _text("sha256"),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        _text("code"),
        _text("message"),
        _text("detail"),
        _real("created_at"),
        sa.UniqueConstraint("batch_id", "path", "member"),
    )
    op.create_index("ix_input_document_id", "input", ["document_id"])


def _make_slice() -> None:
    op.create_table(
        "slice",
        sa.Column("id", BIG_ID, primary_key=True, autoincrement=True),
        sa.Column("document_id", sa.String, sa.ForeignKey("document.id"), nullable=False),
        sa.Column("batch_id", sa.String, sa.ForeignKey("batch.id"), nullable=False),
        _whole("round"),
        _state("step", STEPS),
        _whole("first_page"),
        _whole("last_page"),
        _state("state", SLICE_STATES),
        _whole("priority"),
        _whole("attempt"),
        _whole("crash_count"),
        _whole("error_count"),
        _whole("wait_count"),
        _whole("loss_count"),
        sa.Column("token", sa.BigInteger, nullable=False),
        _real("lease_until", nullable=True),
        _text("worker"),
        _real("available_at"),
        sa.Column("isolated", sa.Boolean, nullable=False),
        _text("payload_json"),
        _text("result_key"),
        _text("code"),
        _text("message"),
        _text("detail"),
        _real("created_at"),
        _real("started_at", nullable=True),
        _real("finished_at", nullable=True),
        sa.UniqueConstraint("document_id", "round", "step", "first_page", "last_page"),
        sa.CheckConstraint("first_page >= 0 AND last_page >= first_page", name="range"),
        sa.CheckConstraint("(state = 'running') = (lease_until IS NOT NULL)", name="lease"),
    )
    op.create_index("ix_slice_claim", "slice", ["state", "priority", "id"])
    op.create_index("ix_slice_lease", "slice", ["state", "lease_until"])
    op.create_index("ix_slice_worker_state", "slice", ["worker", "state"])
    op.create_index("ix_slice_batch_claim", "slice", ["batch_id", "state", "priority", "id"])
    op.create_index(
        "ix_slice_isolated",
        "slice",
        ["state"],
        sqlite_where=sa.text("isolated IS 1"),
        postgresql_where=sa.text("isolated IS true"),
    )


def _make_page() -> None:
    op.create_table(
        "page",
        sa.Column("document_id", sa.String, sa.ForeignKey("document.id"), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("slice_id", sa.BigInteger, sa.ForeignKey("slice.id"), nullable=False),
        _text("outcome"),
        _text("engine"),
        _text("reason"),
        _text("detail"),
        _real("confidence"),
        _real("cost_usd"),
        _real("seconds"),
        _real("quality", nullable=True),
    )


def _make_event() -> None:
    op.create_table(
        "event",
        sa.Column("id", BIG_ID, primary_key=True, autoincrement=True),
        _real("at"),
        _text("entity"),
        _text("document_id"),
        sa.Column("slice_id", sa.BigInteger),
        _text("from_state"),
        _text("to_state"),
        sa.Column("token", sa.BigInteger, nullable=False),
        _text("worker"),
        _text("cause"),
    )
    op.create_index("ix_event_document_id_id", "event", ["document_id", "id"])


def _quoted(moves: tuple[str, ...]) -> str:
    return ", ".join(f"'{move}'" for move in moves)


def _guard_in_sqlite() -> None:
    for table, moves in (("document", DOCUMENT_MOVES), ("slice", SLICE_MOVES)):
        op.execute(
            f"CREATE TRIGGER {table}_moves BEFORE UPDATE OF state ON {table} WHEN OLD.state <> NEW.state "
            f"AND (OLD.state || '>' || NEW.state) NOT IN ({_quoted(moves)}) "
            f"BEGIN SELECT RAISE(ABORT, 'illegal move of a {table}'); END"
        )
    op.execute(
        "CREATE TRIGGER slice_token BEFORE UPDATE OF token, state ON slice WHEN NEW.token < OLD.token "
        "OR (OLD.state = 'queued' AND NEW.state = 'running' AND NEW.token <= OLD.token) "
        "BEGIN SELECT RAISE(ABORT, 'a token only grows'); END"
    )
    for verb in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER event_no_{verb.lower()} BEFORE {verb} ON event "
            "BEGIN SELECT RAISE(ABORT, 'events are never changed'); END"
        )


def _guard_in_postgres() -> None:
    for table, moves in (("document", DOCUMENT_MOVES), ("slice", SLICE_MOVES)):
        _raise_in_postgres(
            f"{table}_moves",
            f"BEFORE UPDATE OF state ON {table}",
            f"OLD.state <> NEW.state AND (OLD.state || '>' || NEW.state) NOT IN ({_quoted(moves)})",
            f"illegal move of a {table}",
        )
    _raise_in_postgres(
        "slice_token",
        "BEFORE UPDATE OF token, state ON slice",
        "NEW.token < OLD.token OR (OLD.state = 'queued' AND NEW.state = 'running' AND NEW.token <= OLD.token)",
        "a token only grows",
    )
    for verb in ("UPDATE", "DELETE"):
        _raise_in_postgres(f"event_no_{verb.lower()}", f"BEFORE {verb} ON event", "true", "events are never changed")


def _raise_in_postgres(name: str, moment: str, condition: str, message: str) -> None:
    op.execute(
        f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        f"RAISE EXCEPTION '{message}' USING ERRCODE = 'check_violation'; END $$"
    )
    op.execute(f"CREATE TRIGGER {name} {moment} FOR EACH ROW WHEN ({condition}) EXECUTE FUNCTION {name}()")


def downgrade() -> None:
    for table in ("event", "page", "slice", "input", "document", "batch"):
        op.drop_table(table)
