"""How the batches at a cloud engine stand, place by place: for whoever looks. Reads only."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from sqlalchemy import func, select

from docfleet.ledger.batch_rows import CLOUD_BATCH, CLOUD_FILE, BatchState, FileState
from docfleet.ledger.batch_values import PlaceStanding
from docfleet.ledger.dialect import database_now
from docfleet.ledger.ledger import Ledger

_OPERATIONS = (
    select(
        CLOUD_BATCH.c.place, CLOUD_BATCH.c.state, func.count().label("count"),
        (database_now() - func.min(CLOUD_BATCH.c.made_at)).label("seconds"),
    )
    .where(CLOUD_BATCH.c.state.in_([BatchState.ASKING.value, BatchState.RUNNING.value]))
    .group_by(CLOUD_BATCH.c.place, CLOUD_BATCH.c.state)
)  # fmt: skip
_FILES = (
    select(
        CLOUD_FILE.c.place, CLOUD_FILE.c.state, func.count().label("count"),
        func.sum(CLOUD_FILE.c.pages).label("pages"),
        (database_now() - func.min(CLOUD_FILE.c.staged_at)).label("seconds"),
    )
    .where(CLOUD_FILE.c.state.in_([FileState.STAGED.value, FileState.SENT.value]))
    .group_by(CLOUD_FILE.c.place, CLOUD_FILE.c.state)
)  # fmt: skip


def batches_standing(ledger: Ledger) -> list[PlaceStanding]:
    """Of every place where something is under way or waits. Raises `LedgerError` when the database fails."""
    places: defaultdict[str, dict[str, Any]] = defaultdict(dict)
    with ledger.reading() as session:
        for row in session.execute(_OPERATIONS):
            one = places[row.place]
            one["asking" if row.state == BatchState.ASKING.value else "running"] = row.count
            one["oldest_seconds"] = max(one.get("oldest_seconds", 0.0), float(row.seconds or 0.0))
        for row in session.execute(_FILES):
            one = places[row.place]
            if row.state == FileState.SENT.value:
                one["sent_pages"] = int(row.pages)
            else:
                one |= {"waiting_files": row.count, "waiting_pages": int(row.pages)}
                one["waiting_seconds"] = float(row.seconds or 0.0)
    return [PlaceStanding(place, **told) for place, told in sorted(places.items())]
