"""How a reservation is closed, and how what was closed is added up."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import bindparam, exists, select, update
from sqlalchemy.orm import Session

from docfleet.domain.work import SliceState
from docfleet.ledger.dialect import database_now
from docfleet.ledger.money_rows import RESERVATION, SPEND
from docfleet.ledger.money_sums import OF_KEY, Key, at_key, keys_of, lock_month
from docfleet.ledger.money_values import ReservationState
from docfleet.ledger.rows import SLICE

_S = ReservationState


def _closing(state: ReservationState, *before: ReservationState) -> Any:
    return (
        update(RESERVATION)
        .where(
            RESERVATION.c.id.in_(bindparam("ids", expanding=True)),
            RESERVATION.c.state.in_([one.value for one in before]),
        )
        .values(state=state.value, to_fold=True, closed_at=database_now())
    )


_SETTLE = _closing(_S.SETTLED, _S.OPEN, _S.PARKED, _S.LOST).values(settled_micros=bindparam("cost_micros"))
_RELEASE = _closing(_S.RELEASED, _S.OPEN, _S.PARKED, _S.LOST).values(settled_micros=0)
_WRITE_OFF = _closing(_S.LOST, _S.OPEN, _S.PARKED).values(settled_micros=RESERVATION.c.amount_micros)
_PARK = (
    update(RESERVATION)
    .where(RESERVATION.c.id == bindparam("parked_id"), RESERVATION.c.state == _S.OPEN.value)
    .values(state=_S.PARKED.value)
)


_AMOUNTS = select(RESERVATION.c.id, RESERVATION.c.amount_micros).where(
    RESERVATION.c.id.in_(bindparam("ids", expanding=True))
)


def settle(session: Session, reservation_id: int, micros: int) -> bool:
    """The call was paid for: `micros` is what its pages are told to have cost (the sum of their prices).

    In the transaction in which the slice ends. False: it was settled or released before, and nothing changes.
    """
    return _changed(session, _SETTLE, {"ids": [reservation_id], "cost_micros": micros}) == 1


def settle_together(session: Session, reservation_ids: Sequence[int], micros: int) -> None:
    """Several calls for the same pages (a hedge), of which some were paid for; `micros`: what the pages cost in all.

    The first in the order given are settled at what was reserved for them, the last of those at the rest, and the
    others released; so that at no moment less is taken than will be spent. As `settle` it may be repeated.
    """
    found = session.execute(_AMOUNTS, {"ids": list(reservation_ids)}).all()
    amounts = {row.id: row.amount_micros for row in found}
    left = micros
    for place, id_ in enumerate(reservation_ids):
        cost = min(amounts[id_], left) if place < len(reservation_ids) - 1 else left
        left -= cost
        if cost or not place:
            settle(session, id_, cost)
        else:
            release(session, [id_])


def release(session: Session, reservation_ids: Collection[int]) -> int:
    """Nothing was charged: never sent, or a failure that is not billed (4xx, 5xx). Returns how many were open or lost.

    Before, or in the same transaction as, the hand-back of the slice.
    """
    return _changed(session, _RELEASE, {"ids": list(reservation_ids)})


def write_off(session: Session, reservation_ids: Collection[int]) -> int:
    """Nobody knows whether it was charged (timed out, cut off), or the result came too late: counts as spent."""
    return _changed(session, _WRITE_OFF, {"ids": list(reservation_ids)})


def park(session: Session, reservation_id: int) -> None:
    """Its call waits in a batch: it outlives the claim, and whoever ends the batch's file closes it."""
    session.execute(_PARK, {"parked_id": reservation_id})


def _changed(session: Session, statement: Any, values: dict[str, Any]) -> int:
    return len(session.execute(statement.returning(RESERVATION.c.id), values).all())


_HELD = exists().where(
    SLICE.c.id == RESERVATION.c.slice_id, SLICE.c.token == RESERVATION.c.token, SLICE.c.state == SliceState.RUNNING
)
_REPAIR = (
    update(RESERVATION)
    .where(
        RESERVATION.c.state == _S.OPEN.value,
        RESERVATION.c.made_at < database_now() - bindparam("grace_seconds"),
        ~_HELD,
    )
    .values(state=_S.LOST.value, settled_micros=RESERVATION.c.amount_micros, to_fold=True, closed_at=database_now())
    .returning(RESERVATION.c.id)
)


def repair(session: Session, grace_seconds: float) -> list[int]:
    """Writes off the open reservations whose claim is gone: their worker died, and nobody knows how the call ended."""
    return list(session.execute(_REPAIR, {"grace_seconds": grace_seconds}).scalars())


# --- adding up

_CLOSED = select(RESERVATION).where(RESERVATION.c.to_fold)
_TO_FOLD = {
    of_month: (_CLOSED.where(RESERVATION.c.month == bindparam("of_month")) if of_month else _CLOSED)
    .order_by(RESERVATION.c.id)
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True)
    for of_month in (False, True)
}
_FOLDED = (
    update(RESERVATION)
    .where(RESERVATION.c.id.in_(bindparam("ids", expanding=True)))
    .values(to_fold=False, folded_micros=RESERVATION.c.settled_micros)
)
_ADD_UP = (
    update(SPEND)
    .where(*OF_KEY)
    .values(
        reserved_micros=SPEND.c.reserved_micros - bindparam("fewer_reserved"),
        settled_micros=SPEND.c.settled_micros + bindparam("more_settled"),
        pages=SPEND.c.pages - bindparam("fewer_pages"),
    )
)


def fold(session: Session, month: str | None = None, most: int = 1000) -> int:
    """Moves what was closed from the reserved to the settled sums; returns how many reservations that were.

    `month`: of this one only, for whoever has it locked.
    """
    rows = session.execute(_TO_FOLD[month is not None], {"most": most, "of_month": month}).all()
    moved: defaultdict[tuple[str, Key], list[int]] = defaultdict(lambda: [0, 0, 0])
    for row in rows:
        reserved = row.amount_micros if row.folded_micros is None else 0
        settled = row.settled_micros - (row.folded_micros or 0)
        pages = row.pages if row.state == _S.RELEASED else 0
        for key in keys_of(row.tenant_id, row.engine, row.processor):
            sums = moved[row.month, key]
            sums[:] = sums[0] + reserved, sums[1] + settled, sums[2] + pages
    for month in sorted({month for month, _ in moved}):
        lock_month(session, month)
    for (month, key), (reserved, settled, pages) in sorted(moved.items()):
        session.execute(
            _ADD_UP,
            at_key(key, month) | {"fewer_reserved": reserved, "more_settled": settled, "fewer_pages": pages},
        )
    if rows:
        session.execute(_FOLDED, {"ids": [row.id for row in rows]})
    return len(rows)


_ANY_CLOSED = select(exists().where(RESERVATION.c.to_fold))
_ANY_OPEN = select(
    exists().where(
        RESERVATION.c.state == _S.OPEN.value, RESERVATION.c.made_at < database_now() - bindparam("older_seconds")
    )
)


def is_anything_closed(session: Session) -> bool:
    """Whether `fold` has something to do."""
    return bool(session.execute(_ANY_CLOSED).scalar())


def is_anything_open(session: Session, older_seconds: float) -> bool:
    """Whether `repair` might have something to do."""
    return bool(session.execute(_ANY_OPEN, {"older_seconds": older_seconds}).scalar())
