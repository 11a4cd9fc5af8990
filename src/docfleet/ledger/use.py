"""What was used in a month beside the engines, counted up as time goes by.

Documents, workers and contents are rows with times; each step counts what ended, lived or was stored within some
minutes, by indices on those times, at the prices in force then, and adds it to the sums of the month. Whoever asks gets
the sums and, counted for him, the time since: that the counting runs behind, or never runs, changes no figure, but
makes asking slow. The last minutes are always left to that, since transactions may still be under way in them.

A document that is tried again after it was counted counts again with its second end.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

import msgspec
from sqlalchemy import Double, bindparam, case, func, select, update
from sqlalchemy.orm import Session

from docfleet.domain.costing import GIB, HOUR_SECONDS, CostTerms, Usage, amounts, slot_micros
from docfleet.domain.months import month_bounds, month_of
from docfleet.domain.pricing import PriceBook, micros_of
from docfleet.domain.work import DocumentState
from docfleet.ledger.dialect import upserts
from docfleet.ledger.money_rows import FLEET_USE, TENANT_USE
from docfleet.ledger.rows import BATCH, DOCUMENT
from docfleet.ledger.service_rows import CONTENT, WORKER, TenantRow
from docfleet.ledger.use_values import FleetUse, TenantUse, Use

LAG_SECONDS = 300.0
"""Longer than any transaction may take: what ended before is there to be seen."""
STEP_SECONDS = HOUR_SECONDS
LEAST_SECONDS = 60.0
ENDED_SECONDS = 60.0
"""A worker may end this long after it was last seen."""

_BEGIN: Any = bindparam("begin", type_=Double())
_END: Any = bindparam("end", type_=Double())
_READ = DOCUMENT.c.state.in_((DocumentState.SUCCEEDED, DocumentState.PARTIAL))
_kind = (
    DOCUMENT.c.tenant_id,
    DOCUMENT.c.pool,
    DOCUMENT.c.engines_json,
    case((_READ, 1), else_=0).label("is_read"),
    case((DOCUMENT.c.duplicate_of != "", 1), else_=0).label("is_duplicate"),
)
_ENDED = (
    select(
        *_kind,
        func.count().label("documents"),
        func.sum(DOCUMENT.c.pages_read).label("pages"),
        func.sum(DOCUMENT.c.work_seconds).label("seconds"),
    )
    .where(DOCUMENT.c.finished_at >= _BEGIN, DOCUMENT.c.finished_at < _END)
    .group_by(*_kind)
)
_payer = DOCUMENT.alias()
_SPARED = (
    select(DOCUMENT.c.tenant_id, func.sum(_payer.c.cost_usd).label("usd"))
    .join_from(DOCUMENT, _payer, _payer.c.content_id == DOCUMENT.c.content_id)
    .where(DOCUMENT.c.finished_at >= _BEGIN, DOCUMENT.c.finished_at < _END)
    .where(DOCUMENT.c.duplicate_of != "", _payer.c.duplicate_of == "")
    .group_by(DOCUMENT.c.tenant_id)
)
_LIVED = select(WORKER.c.pool, WORKER.c.slots, WORKER.c.started_at, WORKER.c.seen_at, WORKER.c.ended_at).where(
    WORKER.c.seen_at > bindparam("since")
)
_BEGAN = select(func.min(TenantRow.created_at))
_FIRST_BATCH = select(func.min(BATCH.c.created_at))


def _changes(at: Any) -> Any:
    """Bytes whose storage began (or ended) in the window, and those times the seconds from then to its end."""
    return (
        select(
            CONTENT.c.tenant_id,
            func.sum(CONTENT.c.size_bytes).label("size"),
            func.sum(CONTENT.c.size_bytes * (_END - at)).label("byte_seconds"),
        )
        .where(at >= _BEGIN, at < _END)
        .group_by(CONTENT.c.tenant_id)
    )


_STORED = _changes(CONTENT.c.created_at)
_PURGED = _changes(CONTENT.c.purged_at)
_LAST = select(FLEET_USE).order_by(FLEET_USE.c.month.desc()).limit(1)
# in one statement, so that it sees the sums and how far they are counted at one moment
_KEPT = (
    select(*(column.label(f"fleet_{column.name}") for column in FLEET_USE.c), *TENANT_USE.c)
    .join_from(FLEET_USE, TENANT_USE, TENANT_USE.c.month == FLEET_USE.c.month, isouter=True)
    .where(FLEET_USE.c.month == bindparam("of_month"))
)
_WRITE_TENANT = {
    name: insert_.values(
        {column.name: bindparam(f"new_{column.name}") for column in TENANT_USE.c}
    ).on_conflict_do_update(
        index_elements=["month", "tenant_id"],
        set_={column.name: insert_.excluded[column.name] for column in TENANT_USE.c if not column.primary_key},
    )
    for name, insert_ in upserts(TENANT_USE).items()
}
_BEGIN_MONTH = {
    name: insert_.values(
        month=bindparam("new_month"), counted_to=bindparam("new_counted_to"), paid_json="{}", paid_micros=0.0,
        hosting_micros=0.0, base_micros=0.0,
    )
    .on_conflict_do_nothing()
    .returning(FLEET_USE.c.month)
    for name, insert_ in upserts(FLEET_USE).items()
}  # fmt: skip


class Prices(msgspec.Struct, frozen=True):
    """At which a step is counted."""

    book: PriceBook = PriceBook()
    terms: CostTerms = CostTerms()


# --- counting


def count_window(session: Session, begin: float, end: float, stored: Mapping[str, int], prices: Prices) -> Use:
    """What was used from `begin` until `end`, within one month. `stored`: bytes of each tenant at its begin."""
    given = {"begin": begin, "end": end}
    tenants: defaultdict[str, dict[str, Any]] = defaultdict(dict)
    for tenant, counted in _documents(session, given, prices.book).items():
        tenants[tenant] |= counted
    for row in session.execute(_SPARED, given):
        tenants[row.tenant_id]["duplicate_micros"] = micros_of(row.usd or 0.0)
    first, after = month_bounds(month_of(begin))
    gib_month = GIB * (after - first)
    for tenant, (size, byte_seconds) in _storage(session, given, stored).items():
        usage = Usage(gib_months=byte_seconds / gib_month * prices.terms.stored_bytes_per_byte)
        tenants[tenant] |= {
            "stored_bytes": size, "byte_seconds": byte_seconds, "storage_micros": amounts(usage, prices.book).storage,
        }  # fmt: skip
    usage = Usage(
        paid_seconds=_paid(session, begin, end),
        hosted_hours=prices.terms.hosted_versions * (end - begin) / HOUR_SECONDS,
        months=(end - begin) / (after - first),
    )
    cost = amounts(usage, prices.book)
    fleet = FleetUse(usage.paid_seconds, cost.paid, cost.hosting, cost.base)
    return Use(fleet, {name: TenantUse(**counted) for name, counted in tenants.items()})


def _documents(session: Session, given: dict[str, float], book: PriceBook) -> dict[str, dict[str, Any]]:
    sums: defaultdict[str, Counter[str]] = defaultdict(Counter)
    engines: defaultdict[str, Counter[str]] = defaultdict(Counter)
    busy: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for row in session.execute(_ENDED, given):
        mine = sums[row.tenant_id]
        mine["documents" if row.is_read else "failed"] += row.documents
        mine["pages"] += int(row.pages)
        if row.is_duplicate:
            mine["duplicate_documents"] += row.documents
            mine["duplicate_pages"] += int(row.pages)
            continue
        busy[row.tenant_id][row.pool] += row.seconds
        for engine, count in msgspec.json.decode(row.engines_json, type=dict[str, int]).items():
            engines[row.tenant_id][engine] += count * row.documents
    return {
        tenant: {
            **counted, "engines": dict(engines[tenant]), "work_seconds": float(sum(busy[tenant].values())),
            "work_micros": slot_micros(busy[tenant], book),
        }
        for tenant, counted in sums.items()
    }  # fmt: skip


def _storage(session: Session, given: dict[str, float], stored: Mapping[str, int]) -> dict[str, tuple[int, float]]:
    """(bytes at the end, byte-seconds) of each tenant that has or had any."""
    length = given["end"] - given["begin"]
    found = {tenant: (size, size * length) for tenant, size in stored.items()}
    for statement, sign in ((_STORED, 1), (_PURGED, -1)):
        for row in session.execute(statement, given):
            size, byte_seconds = found.get(row.tenant_id, (0, 0.0))
            found[row.tenant_id] = (size + sign * int(row.size), byte_seconds + sign * float(row.byte_seconds))
    return {tenant: (max(0, size), max(0.0, byte_seconds)) for tenant, (size, byte_seconds) in found.items()}


def _paid(session: Session, begin: float, end: float) -> dict[str, float]:
    """Pool -> slot-seconds that workers were there. A host process of several pools counts under all their names."""
    pools: Counter[str] = Counter()
    for row in session.execute(_LIVED, {"since": begin - ENDED_SECONDS}):
        until = row.seen_at if row.ended_at is None else row.ended_at
        seconds = min(until, end) - max(row.started_at, begin)
        if seconds > 0:
            pools[row.pool] += row.slots * seconds
    return dict(pools)


# --- keeping


def add_up(session: Session, now: float, prices: Prices) -> bool:
    """Counts one step on, if there is one to count; whether there was. `now`: the database's time.

    Of several that do it at once one after the other gets the lock.
    """
    last = session.execute(_LAST.with_for_update()).one_or_none()
    at = _began(session) if last is None else last.counted_to
    if at is None:
        return False
    month = month_of(at)
    month_end = month_bounds(month)[1]
    stop = min(at + STEP_SECONDS, month_end, now - LAG_SECONDS)
    if stop < min(at + LEAST_SECONDS, month_end):
        return False
    if last is None or last.month != month:
        made = session.execute(
            _BEGIN_MONTH[session.get_bind().dialect.name], {"new_month": month, "new_counted_to": at}
        )
        if made.first() is None:
            return True  # nobody had counted anything yet, and another was faster
    before = Use() if last is None else _kept(session, last.month)[0]
    step = count_window(session, at, stop, before.stored_bytes, prices)
    _keep(session, month, stop, before.then(step) if last is not None and last.month == month else step)
    return True


def _keep(session: Session, month: str, counted_to: float, use: Use) -> None:
    session.execute(
        update(FLEET_USE)
        .where(FLEET_USE.c.month == month)
        .values(
            counted_to=counted_to, paid_json=msgspec.json.encode(use.fleet.paid_seconds).decode(),
            paid_micros=use.fleet.paid_micros, hosting_micros=use.fleet.hosting_micros,
            base_micros=use.fleet.base_micros,
        )
    )  # fmt: skip
    rows = []
    for tenant, used in use.tenants.items():
        values = msgspec.structs.asdict(used)
        values["engines_json"] = msgspec.json.encode(values.pop("engines"), order="sorted").decode()
        rows.append({f"new_{name}": value for name, value in {"month": month, "tenant_id": tenant, **values}.items()})
    if rows:
        session.execute(_WRITE_TENANT[session.get_bind().dialect.name], rows)


def _began(session: Session) -> float | None:
    """When the first tenant was made, or in a ledger without tenants the first batch; None: nobody used anything."""
    began: float | None = session.execute(_BEGAN).scalar()
    if began is None:
        began = session.execute(_FIRST_BATCH).scalar()
    return began


def _kept(session: Session, month: str) -> tuple[Use, float | None]:
    """The sums of a month, and how far it is counted; None: not at all."""
    rows = session.execute(_KEPT, {"of_month": month}).all()
    if not rows:
        return Use(), None
    told = rows[0]
    paid = msgspec.json.decode(told.fleet_paid_json, type=dict[str, float])
    fleet = FleetUse(paid, told.fleet_paid_micros, told.fleet_hosting_micros, told.fleet_base_micros)
    return Use(fleet, {row.tenant_id: _tenant_use(row) for row in rows if row.tenant_id is not None}), (
        told.fleet_counted_to
    )


def _tenant_use(row: Any) -> TenantUse:
    engines = msgspec.json.decode(row.engines_json, type=dict[str, int])
    names = [name for name in TenantUse.__struct_fields__ if name != "engines"]
    return TenantUse(engines=engines, **{name: getattr(row, name) for name in names})


# --- asking


def use_of(session: Session, month: str, now: float, prices: Prices) -> Use:
    """What was used in a month, until now where it is the present one. `now`: the database's time."""
    last = session.execute(_LAST).one_or_none()
    counted = None
    use, at = Use(), _began(session)
    if last is not None:
        counted = last.month
        use, at = _kept(session, last.month)
    if at is None:
        return Use()
    if month < month_of(at):
        return _kept(session, month)[0]
    until = min(now, month_bounds(month)[1])
    stored = use.stored_bytes
    if counted != month:
        use = Use()
    while at < until:
        stop = min(until, month_bounds(month_of(at))[1])
        step = count_window(session, at, stop, stored, prices)
        stored = step.stored_bytes
        if month_of(at) == month:
            use = use.then(step)
        at = stop
    return use
