"""Reserving money before a call and settling it after, so that no budget is passed however many call at once.

    open ──settle──▶ settled        with the slice's end, in its transaction
      ├────release─▶ released       never sent, or failed in a way that is known to cost nothing
      └────write_off, repair─▶ lost  unknown: counts as spent; settle and release may still tell better

Whoever reserves takes the row of all spending of the month first, so reservations come one after the other (they are
few: a call takes seconds and its quota is some hundreds a minute). Closing one touches nothing but its own row, since
it happens while a document ends; `fold` adds the closed ones up a moment later. What is not folded yet counts as it
was reserved, which errs on the safe side.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import bindparam, insert, select, tuple_, update
from sqlalchemy.orm import Session

from docfleet.domain.access import SYSTEM_TENANT
from docfleet.domain.budgeting import ALL, Budget, Refused, Scope, is_warning, judge, scopes_of
from docfleet.domain.delivery import BUDGET_EXHAUSTED, BUDGET_WARNING
from docfleet.domain.months import month_of
from docfleet.domain.pricing import Call, PriceBook, cost_of, share, usd_of
from docfleet.errors import LedgerError
from docfleet.ledger.limits import budgets_of
from docfleet.ledger.money_rows import RESERVATION, SPEND
from docfleet.ledger.money_sums import OF_KEY, Key, at_key, keys_of, lock_month, rows_of
from docfleet.ledger.money_values import Ask, Reservation, ReservationState
from docfleet.ledger.outbox import enqueue_notice
from docfleet.ledger.settling import fold

_TAKE = (
    update(SPEND)
    .where(
        *OF_KEY,
        # the lock has seen to it already; here it holds even against a row that changed by other hands
        SPEND.c.reserved_micros + SPEND.c.settled_micros + bindparam("more_micros") <= bindparam("at_most"),
    )
    .values(
        reserved_micros=SPEND.c.reserved_micros + bindparam("more_micros"),
        pages=SPEND.c.pages + bindparam("more_pages"),
    )
)
_UNLIMITED = 2**62
_KNOWN = select(RESERVATION).where(
    tuple_(RESERVATION.c.slice_id, RESERVATION.c.token, RESERVATION.c.call).in_(bindparam("claims", expanding=True))
)
_MAKE = insert(RESERVATION).returning(RESERVATION.c.id, sort_by_parameter_order=True)


class _Weighed(msgspec.Struct, frozen=True):
    """What a look at the sums, under the lock, says to each ask."""

    rows: dict[Key, Any]
    budgets: dict[Scope, Budget]
    taken: dict[Scope, int]
    """With what is to be reserved now."""
    verdicts: list[tuple[int, ...] | Refused]
    """For each ask the prices of its pages, or why not."""

    @property
    def refusals(self) -> list[Refused]:
        return [verdict for verdict in self.verdicts if isinstance(verdict, Refused)]


def reserve(session: Session, asks: Sequence[Ask], book: PriceBook, now: float) -> list[Reservation | Refused]:
    """For each ask, in their order, leave to pay for it or why not; each by itself. `now`: the database's time.

    Repeatable: the same claim and call get what they got. Raises UsageError for a processor without a price.
    """
    month = month_of(now)
    lock_month(session, month)
    known = {
        (row.slice_id, row.token, row.call): _reservation(row)
        for row in session.execute(_KNOWN, {"claims": [_claim_of(ask) for ask in asks]})
    }
    fresh = list({_claim_of(ask): ask for ask in asks if _claim_of(ask) not in known}.values())
    weighed = _weigh(session, month, fresh, book)
    if weighed.refusals and fold(session, month):
        weighed = _weigh(session, month, fresh, book)
    made = [
        (ask, verdict) for ask, verdict in zip(fresh, weighed.verdicts, strict=True) if not isinstance(verdict, Refused)
    ]
    _take(session, month, made, weighed.budgets)
    _tell(session, month, weighed, now)
    answers: dict[tuple[int, int, int], Reservation | Refused] = {**known}
    answers |= zip(map(_claim_of, fresh), weighed.verdicts, strict=True)  # type: ignore[arg-type]
    for (ask, pages), id_ in zip(made, _insert(session, month, made, now), strict=True):
        answers[_claim_of(ask)] = Reservation(id_, ask.slice_id, ask.token, month, pages)
    return [answers[_claim_of(ask)] for ask in asks]


def _claim_of(ask: Ask) -> tuple[int, int, int]:
    return ask.slice_id, ask.token, ask.call


def _reservation(row: Any) -> Reservation:
    return Reservation(row.id, row.slice_id, row.token, row.month, tuple(share(row.amount_micros, row.pages)))


def _weigh(session: Session, month: str, asks: Sequence[Ask], book: PriceBook) -> _Weighed:
    keys = sorted({key for ask in asks for key in keys_of(ask.tenant, ask.engine, ask.processor)})
    rows = rows_of(session, month, keys)
    budgets = budgets_of(session, {Scope(key[0], key[1]) for key in keys}, month)
    taken = {
        Scope(tenant, engine): row.reserved_micros + row.settled_micros
        for (tenant, engine, processor), row in rows.items()
        if processor == ALL
    }
    used = {key: row.pages for key, row in rows.items()}
    verdicts: list[tuple[int, ...] | Refused] = []
    for ask in asks:
        processor = (ALL, ask.engine, ask.processor)
        [pages] = cost_of(Call(ask.processor, (ask.pages,), ask.addons), book, used[processor]).documents
        scopes = scopes_of(ask.tenant, ask.engine)
        refusal = judge(sum(pages), [budgets[scope] for scope in scopes if scope in budgets], taken, month)
        verdicts.append(refusal or pages)
        if refusal is None:
            used[processor] += ask.pages
            for scope in scopes:
                taken[scope] += sum(pages)
    return _Weighed(rows, budgets, taken, verdicts)


def _take(
    session: Session, month: str, made: Sequence[tuple[Ask, tuple[int, ...]]], budgets: dict[Scope, Budget]
) -> None:
    more: defaultdict[Key, tuple[int, int]] = defaultdict(lambda: (0, 0))
    for ask, pages in made:
        for key in keys_of(ask.tenant, ask.engine, ask.processor):
            micros, count = more[key]
            more[key] = (micros + sum(pages), count + ask.pages)
    for key in sorted(more):
        micros, count = more[key]
        budget = budgets.get(Scope(key[0], key[1])) if key[2] == ALL and micros else None
        done = session.connection().execute(
            _TAKE,
            {
                **at_key(key, month), "more_micros": micros, "more_pages": count,
                "at_most": budget.limit_micros if budget else _UNLIMITED,
            },
        )  # fmt: skip
        if done.rowcount != 1:
            raise LedgerError(f"the sums of {month} changed while they were locked")


def _insert(session: Session, month: str, made: Sequence[tuple[Ask, tuple[int, ...]]], now: float) -> list[int]:
    if not made:
        return []
    rows = [
        {
            "slice_id": ask.slice_id, "token": ask.token, "call": ask.call,
            "call_id": ask.call_id or f"{ask.slice_id}-{ask.token}-{ask.call}", "document_id": ask.document_id,
            "tenant_id": ask.tenant, "engine": ask.engine, "processor": ask.processor, "month": month,
            "pages": ask.pages, "amount_micros": sum(pages), "to_fold": False,
            "state": ReservationState.OPEN.value, "made_at": now,
        }
        for ask, pages in made
    ]  # fmt: skip
    return list(session.execute(_MAKE, rows).scalars())


# --- telling


_NOTE = {
    column: update(SPEND).where(*OF_KEY, SPEND.c[column].is_(None)).values({column: bindparam("noted_at")})
    for column in ("warned_at", "exhausted_at")
}


def _tell(session: Session, month: str, weighed: _Weighed, now: float) -> None:
    """Webhooks learn once a month of a budget that is nearly used up, and once that it is."""
    full = {one.scope for one in weighed.refusals}
    for scope, budget in sorted(weighed.budgets.items()):
        key = (scope.tenant, scope.engine, ALL)
        taken = weighed.taken[scope]
        for column, event_type, happened in (
            ("warned_at", BUDGET_WARNING, is_warning(budget, taken)),
            ("exhausted_at", BUDGET_EXHAUSTED, scope in full),
        ):
            if not happened or getattr(weighed.rows[key], column) is not None:
                continue
            session.execute(_NOTE[column], at_key(key, month) | {"noted_at": now})
            said = {
                "tenant": scope.tenant, "engine": scope.engine, "month": month, "policy": budget.policy.value,
                "limit_usd": usd_of(budget.limit_micros), "taken_usd": usd_of(taken),
            }  # fmt: skip
            # with the limit, so that one that was raised and is reached again is told again
            dedupe_key = f"{event_type}:{scope.tenant}:{scope.engine}:{month}:{budget.limit_micros}"
            tenant = SYSTEM_TENANT if scope.tenant == ALL else scope.tenant
            enqueue_notice(session, tenant, event_type, dedupe_key, {"budget": said})
