"""The fleet in the ledger, as its users see it: every call is one transaction."""

from __future__ import annotations

import msgspec
from sqlalchemy import bindparam, delete, insert, select
from sqlalchemy.orm import Session

from docfleet.domain.load import PoolLoad
from docfleet.domain.scaling import Decision, Need
from docfleet.ledger import fleet_history
from docfleet.ledger.dialect import database_now, upserts
from docfleet.ledger.fleet_load import load_sums
from docfleet.ledger.fleet_rows import DEMAND, FLEET_DECISION, FLEET_FORECAST
from docfleet.ledger.fleet_values import (
    Demand,
    DemandDetail,
    FleetDecision,
    HistoryStep,
    LoadSums,
    ServiceTime,
    detail_of,
)
from docfleet.ledger.ledger import Ledger

LOG_DAYS = 90
"""How long decisions are kept."""
_DEMAND_COLUMNS = ("region", "pool", "workers", "before", "reason", "changed_at", "decided_at")
_DEMANDS = select(
    *(DEMAND.c[name] for name in _DEMAND_COLUMNS),
    (database_now() - DEMAND.c.decided_at).label("age"),
    DEMAND.c.detail_json,
).where(DEMAND.c.region == bindparam("of_region"))
_SET_DEMAND = {
    name: insert_into.values(
        **{key: bindparam(f"new_{key}") for key in ("region", "pool", "workers", "before", "reason", "detail_json")},
        changed_at=database_now(),
        decided_at=database_now(),
    )
    for name, insert_into in upserts(DEMAND).items()
}
_LOG = insert(FLEET_DECISION).values(
    at=database_now(),
    **{key: bindparam(f"new_{key}") for key in ("region", "pool", "before", "workers", "reason", "needs_json")},
)
_LOGGED_COLUMNS = ("id", "at", "region", "pool", "before", "workers", "reason", "needs_json")
_LOGGED = select(*(FLEET_DECISION.c[name] for name in _LOGGED_COLUMNS)).order_by(FLEET_DECISION.c.id.desc())
_SET_FORECAST = {
    name: insert_into.values(
        **{key: bindparam(f"new_{key}") for key in ("region", "pool", "resolution", "forecast_json")},
        made_at=database_now(),
    )
    for name, insert_into in upserts(FLEET_FORECAST).items()
}


class FleetBook:
    """Load, history, demand and decisions of one region. Threads may share one. Raises `LedgerError` when the database
    fails; nothing has changed then."""

    def __init__(self, ledger: Ledger, region: str) -> None:
        self._ledger = ledger
        self.region = region

    # --- what is

    def load(self) -> LoadSums:
        """What waits and runs now. Reads every waiting slice: see `fleet_load`."""
        with self._ledger.reading() as session:
            return load_sums(session, self.region)

    def service_times(self) -> list[ServiceTime]:
        with self._ledger.reading() as session:
            return fleet_history.service_times(session)

    # --- what was

    def count_events(self) -> bool:
        """Brings the history up to date; whether more is left to count. Call it every ten seconds or more."""
        with self._ledger.unit_of_work() as session:
            return fleet_history.count_events(session, self.region)

    def history(self, pool: str, resolution: int, since: float, until: float) -> list[HistoryStep]:
        """Steps from `since` to before `until`, but those nobody counted, and empty ones before anybody did."""
        with self._ledger.reading() as session:
            return fleet_history.history(session, self.region, pool, resolution, since, until)

    def arrived(self, since: float) -> dict[tuple[str, str], int]:
        """(pool, urgency) -> what arrived in the minutes that began from `since` on."""
        with self._ledger.reading() as session:
            return fleet_history.arrived(session, self.region, since)

    def counted_since(self) -> float | None:
        """When somebody began to count events; None: nobody has."""
        with self._ledger.reading() as session:
            return fleet_history.counted_since(session, self.region)

    def first_step(self, pool: str, resolution: int) -> int | None:
        with self._ledger.reading() as session:
            return fleet_history.first_step(session, self.region, pool, resolution)

    def now(self) -> float:
        """Seconds since 1970 by the database's clock."""
        with self._ledger.reading() as session:
            return float(session.execute(select(database_now())).scalar_one())

    # --- what is wanted

    def decide(self, decision: Decision, load: PoolLoad, outlook: str) -> None:
        """Makes it the demand of its pool, and a line of the log when the number changed."""
        with self._ledger.unit_of_work() as session:
            self._set_demand(session, decision, load, outlook)

    def _set_demand(self, session: Session, decision: Decision, load: PoolLoad, outlook: str) -> None:
        dialect = session.get_bind().dialect.name
        was = session.execute(
            select(DEMAND.c.workers).where(DEMAND.c.region == self.region, DEMAND.c.pool == decision.pool)
        ).scalar()
        is_new = was is None or was != decision.workers
        statement = _SET_DEMAND[dialect]
        renewed = {"decided_at": database_now(), "detail_json": statement.excluded.detail_json}
        if is_new:
            renewed |= {name: statement.excluded[name] for name in ("workers", "before", "reason")}
            renewed["changed_at"] = database_now()
        before = decision.before if was is None else was
        values = {
            "new_region": self.region,
            "new_pool": decision.pool,
            "new_workers": decision.workers,
            "new_before": before,
            "new_reason": decision.reason,
        }
        detail = msgspec.json.encode(detail_of(decision, load, outlook)).decode()
        session.execute(
            statement.on_conflict_do_update(index_elements=["region", "pool"], set_=renewed),
            values | {"new_detail_json": detail},
        )
        if is_new:
            needs = msgspec.json.encode([*decision.needs, *decision.limits]).decode()
            session.execute(_LOG, values | {"new_needs_json": needs})

    def demands(self) -> list[Demand]:
        """Of every pool that was ever decided on, by name."""
        with self._ledger.reading() as session:
            rows = session.execute(_DEMANDS.order_by(DEMAND.c.pool), {"of_region": self.region})
            return [
                Demand(
                    row.region, row.pool, row.workers, row.before, row.reason, row.changed_at, row.decided_at, row.age,
                    msgspec.json.decode(row.detail_json, type=DemandDetail),
                )
                for row in rows
            ]  # fmt: skip

    def demand(self, pool: str) -> Demand | None:
        """None: nobody has decided yet."""
        return next((one for one in self.demands() if one.pool == pool), None)

    def decisions(self, pool: str | None = None, limit: int = 100, before_id: int | None = None) -> list[FleetDecision]:
        """The latest changes first; `before_id`: only those before this one."""
        asked = _LOGGED.where(FLEET_DECISION.c.region == self.region).limit(limit)
        if pool is not None:
            asked = asked.where(FLEET_DECISION.c.pool == pool)
        if before_id is not None:
            asked = asked.where(FLEET_DECISION.c.id < before_id)
        with self._ledger.reading() as session:
            return [
                FleetDecision(
                    row.id, row.at, row.region, row.pool, row.before, row.workers, row.reason,
                    msgspec.json.decode(row.needs_json, type=tuple[Need, ...]),
                )
                for row in session.execute(asked)
            ]  # fmt: skip

    def forget_old(self) -> None:
        """Of what is kept for a time, what is older."""
        with self._ledger.unit_of_work() as session:
            fleet_history.forget_old_steps(session)
            session.execute(delete(FLEET_DECISION).where(FLEET_DECISION.c.at < database_now() - LOG_DAYS * 86400.0))

    # --- what is to come

    def keep_forecast(self, pool: str, resolution: int, forecast_json: str) -> None:
        with self._ledger.unit_of_work() as session:
            statement = _SET_FORECAST[session.get_bind().dialect.name]
            session.execute(
                statement.on_conflict_do_update(
                    index_elements=["region", "pool", "resolution"],
                    set_={"made_at": database_now(), "forecast_json": statement.excluded.forecast_json},
                ),
                {
                    "new_region": self.region, "new_pool": pool, "new_resolution": resolution,
                    "new_forecast_json": forecast_json,
                },
            )  # fmt: skip

    def forecast(self, pool: str, resolution: int) -> tuple[float, str] | None:
        """(when it was made, its JSON)."""
        with self._ledger.reading() as session:
            row = session.execute(
                select(FLEET_FORECAST.c.made_at, FLEET_FORECAST.c.forecast_json).where(
                    FLEET_FORECAST.c.region == self.region,
                    FLEET_FORECAST.c.pool == pool,
                    FLEET_FORECAST.c.resolution == resolution,
                )
            ).one_or_none()
        return None if row is None else (row.made_at, row.forecast_json)
