"""What may be dispatched, what has been, and who is next.

A slice that waits is a candidate while it is due and has no hint (`dispatched_at` is null). The candidates of a queue
(pool, urgency, tenant) lie side by side in the index `ix_slice_window`, in the order in which they are to be worked. So
a look at the heads of all queues jumps from queue to queue and reads a few rows of each: it takes the same time
whether a thousand slices wait or a million.

The statements are text with literal states: a partial index is used only where the statement itself says its condition.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

import msgspec
from sqlalchemy import TextClause, bindparam, func, literal_column, select, text, update
from sqlalchemy.orm import Session

from docfleet.domain.dispatching import Head, Outstanding, choose
from docfleet.domain.urgency import Urgency
from docfleet.ledger.dialect import database_now
from docfleet.ledger.rows import SLICE
from docfleet.ledger.service_values import Waiting
from docfleet.ledger.straight import Straight
from docfleet.ledger.values import BOTH_LANES, Lane

MOST_TENANTS = 1000
"""Tenants of one pool and urgency that are looked at in one go; of more, the next look sees the next ones."""
HEADS_PER_CHOICE = 4
"""Heads read for each slice that is to be chosen, over all queues; at least two of each queue."""

_WORDS: Mapping[str, Mapping[str, str]] = {
    "sqlite": {
        "now": "((julianday('now') - 2440587.5) * 86400.0)",
        "isolated": "s.isolated IS 1",
        "max": "max",
        # it would rather look through all that waits
        "by": "INDEXED BY ix_slice_isolated",
    },
    "postgresql": {
        "now": "EXTRACT(EPOCH FROM clock_timestamp())::double precision",
        "isolated": "s.isolated IS true",
        "max": "greatest",
        "by": "",
    },
}
_COLUMNS = ("id", "document_id", "tenant_id", "urgency", "priority", "deadline_at", "created_at", "pool", "isolated")
_SHOWN = ", ".join(f"s.{name}" for name in _COLUMNS)
_HINTED = "s.state = 'queued' AND s.dispatched_at IS NOT NULL"
_CANDIDATE = "s.state = 'queued' AND s.dispatched_at IS NULL"


def _queues(select_from_queue: str) -> str:
    """The recursion that finds the tenants behind the `after` of each urgency, one jump in the index for each."""
    tenant = f"SELECT s.tenant_id FROM slice s WHERE {_CANDIDATE} AND s.pool = :pool AND s.urgency = "
    next_one = "ORDER BY s.tenant_id LIMIT 1"
    urgencies = ", ".join(f"('{urgency}', CAST(:after_{urgency} AS TEXT))" for urgency in Urgency)
    return (
        f"WITH RECURSIVE wanted(urgency, after) AS (VALUES {urgencies}), queue(urgency, tenant, n) AS ("
        f"SELECT wanted.urgency, ({tenant} wanted.urgency AND s.tenant_id > wanted.after {next_one}), 1 FROM wanted "
        f"UNION ALL SELECT queue.urgency, ({tenant} queue.urgency AND s.tenant_id > queue.tenant {next_one}), n + 1 "
        f"FROM queue WHERE queue.tenant IS NOT NULL AND n < :most) {select_from_queue}"
    )


def _heads(dialect: str) -> TextClause:
    """The first slices of every queue of a pool."""
    words = _WORDS[dialect]
    some = f"(SELECT {words['max']}(2, {HEADS_PER_CHOICE} * :limit / {words['max']}(1, count(*))) FROM queue)"
    first = (
        f"FROM slice s WHERE {_CANDIDATE} AND s.pool = :pool AND s.urgency = queue.urgency "
        f"AND s.tenant_id = queue.tenant AND s.available_at <= {words['now']} AND NOT s.isolated "
        f"ORDER BY s.priority, s.id LIMIT {some}"
    )
    join = f"CROSS JOIN LATERAL (SELECT {_SHOWN} {first}) s"
    if dialect == "sqlite":
        join = f"CROSS JOIN slice s ON s.id IN (SELECT s.id {first})"
    return text(_queues(f"SELECT {_SHOWN} FROM queue {join}"))


_REACHED = text(_queues("SELECT urgency, tenant FROM queue WHERE n = :most AND tenant IS NOT NULL"))
_HEADS = {dialect: Straight(_heads(dialect)) for dialect in _WORDS}
# one hint of each pool: another pool may have no worker that takes its own
_OTHER = "r.state = 'running' OR (r.state = 'queued' AND r.dispatched_at IS NOT NULL AND r.pool = :pool)"
_ISOLATED_HEADS = {
    dialect: Straight(
        text(
            f"SELECT {_SHOWN} FROM slice s {words['by']} WHERE {words['isolated']} AND {_CANDIDATE} AND s.pool = :pool "
            f"AND s.available_at <= {words['now']} AND NOT EXISTS "
            f"(SELECT 1 FROM slice r WHERE {words['isolated'].replace('s.', 'r.')} AND ({_OTHER})) "
            "ORDER BY s.priority, s.id LIMIT 1"
        )
    )
    for dialect, words in _WORDS.items()
}
_HINTED_HEADS = Straight(
    text(f"SELECT {_SHOWN} FROM slice s WHERE {_HINTED} AND s.pool = :pool ORDER BY s.dispatched_at LIMIT 64")
)
_COUNTED = "s.tenant_id, s.urgency, s.document_id, count(*) AS n FROM slice s"
_RUNNING_NOW = f"SELECT 0 AS hinted, {_COUNTED} WHERE s.state = 'running' AND s.pool = :pool GROUP BY 2, 3, 4"
_HINTED_NOW = f"SELECT 1, {_COUNTED} WHERE {_HINTED} AND s.pool = :pool GROUP BY 2, 3, 4"
_UNDER_WAY = {
    False: Straight(text(_RUNNING_NOW)),
    True: Straight(text(f"{_RUNNING_NOW} UNION ALL {_HINTED_NOW}")),
}
_ANY_CANDIDATE = Straight(text(f"SELECT 1 FROM slice s WHERE {_CANDIDATE} AND s.pool = :pool LIMIT 1"))
_NOW = Straight(select(database_now().label("now")))


def window(session: Session, pool: str, limit: int) -> list[Waiting]:
    """Up to `limit` slices of the pool that are to be hinted next, in this order. Changes nothing."""
    heads = _heads_of(session, pool, limit, BOTH_LANES)
    return _as_waiting(_choose(session, heads, [pool], True, limit))


def look(session: Session, pool: str, size: int) -> tuple[int, list[Waiting]]:
    """How many slices of the pool are hinted, and which are to be hinted next to make it `size`. Changes nothing."""
    under_way = _count(session, [pool], True)
    room = size - under_way.hinted
    if room <= 0 or not _ANY_CANDIDATE.rows(session, {"pool": pool}):
        return under_way.hinted, []
    heads = _heads_of(session, pool, room, BOTH_LANES)
    return under_way.hinted, _as_waiting(_choose_among(session, heads, under_way, room))


def _as_waiting(chosen: Sequence[tuple[Head, str]]) -> list[Waiting]:
    return [
        Waiting(
            head.slice_id, head.document_id, head.tenant, head.urgency, head.priority, head.deadline_at,
            head.waiting_since, reason,
        )
        for head, reason in chosen
    ]  # fmt: skip


def next_heads(session: Session, pools: Collection[str], limit: int, lanes: Collection[Lane]) -> list[Head]:
    """What a worker that takes its work from the ledger itself is to take: hinted or not, by the same rules."""
    heads: list[Head] = []
    for pool in sorted(pools):
        heads += _heads_of(session, pool, limit, lanes)
        told = _ask_heads(session, _HINTED_HEADS, {"pool": pool})
        heads += [head for head in told if (Lane.ISOLATED if head.isolated else Lane.SHARED) in lanes]
    return [head for head, _ in _choose(session, heads, pools, False, limit)]


def _heads_of(session: Session, pool: str, limit: int, lanes: Collection[Lane]) -> list[Head]:
    dialect = session.get_bind().dialect.name
    heads: list[Head] = []
    if Lane.SHARED in lanes:
        heads += _shared_heads(session, pool, limit)
    if Lane.ISOLATED in lanes:
        heads += _ask_heads(session, _ISOLATED_HEADS[dialect], {"pool": pool})
    return heads


def _shared_heads(session: Session, pool: str, limit: int) -> list[Head]:
    """Of the tenants whose turn it is: of all, unless there are more than are looked at in one go.

    Where the last look ended is kept in memory. What is left at the end of the round is looked at together with its
    beginning, so that a few are not alone in a look of their own.
    """
    turns: dict[tuple[str, Urgency], str] = session.info.get("turns", {})
    after = {urgency: turns.get((pool, urgency), "") for urgency in Urgency}
    statement = _HEADS[session.get_bind().dialect.name]
    asked = _turn(pool, limit, after)
    heads = _ask_heads(session, statement, asked)
    crowds = Counter(urgency for urgency, _ in {(head.urgency, head.tenant) for head in heads})
    if not any(after.values()) and max(crowds.values(), default=0) * 2 < MOST_TENANTS:
        return heads
    reached = {Urgency(urgency): tenant for urgency, tenant in session.execute(_REACHED, asked)}
    ended = {urgency for urgency in Urgency if after[urgency] and urgency not in reached}
    if ended:
        # those that go on are looked at once only
        again = _turn(pool, limit, {urgency: "" if urgency in ended else None for urgency in Urgency})
        heads = list({head.slice_id: head for head in [*heads, *_ask_heads(session, statement, again)]}.values())
        reached |= {Urgency(urgency): tenant for urgency, tenant in session.execute(_REACHED, again)}
    turns.update({(pool, urgency): reached.get(urgency, "") for urgency in Urgency})
    return heads


def _turn(pool: str, limit: int, after: Mapping[Urgency, str | None]) -> dict[str, object]:
    """Values for one look; an urgency without a place to start from is not looked at."""
    starts = {f"after_{urgency}": tenant for urgency, tenant in after.items()}
    return {"pool": pool, "limit": limit, "most": MOST_TENANTS, **starts}


def _ask_heads(session: Session, statement: Straight, values: Mapping[str, object]) -> list[Head]:
    return [
        Head(
            row.id, row.document_id, row.tenant_id, Urgency(row.urgency), row.priority, row.deadline_at,
            row.created_at, row.pool, bool(row.isolated),
        )
        for row in statement.rows(session, values)
    ]  # fmt: skip


class _UnderWay(msgspec.Struct, frozen=True):
    outstanding: Outstanding
    hinted: int


def _count(session: Session, pools: Collection[str], with_hinted: bool) -> _UnderWay:
    """What runs, and what is hinted if that counts as well."""
    tenants, documents = Counter[str](), Counter[str]()
    queues = Counter[tuple[str, Urgency]]()
    all_hinted = 0
    for pool in pools:
        for is_hinted, tenant, urgency, document, count in _UNDER_WAY[with_hinted].rows(session, {"pool": pool}):
            tenants[tenant] += count
            documents[document] += count
            queues[tenant, Urgency(urgency)] += count
            all_hinted += count * is_hinted
    return _UnderWay(Outstanding(tenants, documents, queues), all_hinted)


def _choose(
    session: Session, heads: Sequence[Head], pools: Collection[str], with_hinted: bool, limit: int
) -> list[tuple[Head, str]]:
    if not heads or limit <= 0:
        return []
    return _choose_among(session, heads, _count(session, pools, with_hinted), limit)


def _choose_among(session: Session, heads: Sequence[Head], under_way: _UnderWay, limit: int) -> list[tuple[Head, str]]:
    if not heads:
        return []
    now = _NOW.rows(session, {})[0].now
    by_id = {head.slice_id: head for head in heads}
    chosen = choose(list(by_id.values()), under_way.outstanding, limit, now)
    return [(by_id[one.slice_id], one.reason) for one in chosen]


_WAITS = SLICE.c.state == literal_column("'queued'")
_IS_HINTED = _WAITS & SLICE.c.dispatched_at.is_not(None)
_MARK = (
    update(SLICE)
    .where(SLICE.c.id.in_(bindparam("slice_ids", expanding=True)), _WAITS)
    .values(dispatched_at=database_now())
)
_COUNT = select(func.count()).where(_IS_HINTED, SLICE.c.pool == bindparam("pool"))
_HINTS = (
    select(SLICE.c.id, SLICE.c.urgency)
    .where(_IS_HINTED, SLICE.c.pool == bindparam("pool"))
    .order_by(SLICE.c.dispatched_at)
    .limit(bindparam("limit"))
)
_FORGET = update(SLICE).where(_IS_HINTED).values(dispatched_at=None)


def mark_dispatched(session: Session, slice_ids: Collection[int]) -> None:
    """Their hints were published; those claimed meanwhile stay as they are."""
    if slice_ids:
        session.execute(_MARK, {"slice_ids": list(slice_ids)})


def count_hinted(session: Session, pool: str) -> int:
    return session.execute(_COUNT, {"pool": pool}).scalar_one()


def hinted(session: Session, pool: str, limit: int) -> list[tuple[int, Urgency]]:
    """(slice, urgency) of what was hinted and still waits, the oldest hint first."""
    rows = session.execute(_HINTS, {"pool": pool, "limit": limit})
    return [(row.id, Urgency(row.urgency)) for row in rows]


def forget_hints(session: Session, pool: str | None) -> int:
    """All that was hinted (in this pool) and still waits is a candidate again; returns how many."""
    statement = _FORGET if pool is None else _FORGET.where(SLICE.c.pool == pool)
    return len(session.execute(statement.returning(SLICE.c.id)).all())


def oldest_waiting(session: Session, pool: str) -> float | None:
    """Seconds since the oldest at the head of a queue was made, hinted or not; None when nothing is due."""
    heads = [*_heads_of(session, pool, 1, BOTH_LANES), *_ask_heads(session, _HINTED_HEADS, {"pool": pool})]
    if not heads:
        return None
    return max(0.0, float(_NOW.rows(session, {})[0].now) - min(head.waiting_since for head in heads))
