"""The alarm: the oldest waiting slice of a pool is old, and nothing drains."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from sqlalchemy import text

from docfleet.domain.urgency import Pool
from docfleet.ledger import Ledger
from docfleet.telemetry import catalog, logger, metrics

_log = logger(__name__)
OLDEST_WAITING = "docfleet_oldest_waiting_seconds"
STUCK = "docfleet_pool_stuck"
"""1 while the alarm of a pool is on, else 0."""

_DONE = text(
    "SELECT DISTINCT s.pool FROM event e JOIN slice s ON s.id = e.slice_id "
    "WHERE e.id > :last AND e.to_state IN ('done', 'dead')"
)
_LAST_EVENT = text("SELECT max(id) FROM event")


class Look(msgspec.Struct, frozen=True):
    """How one pool stands."""

    oldest_seconds: float = 0.0
    drained_at: float = 0.0
    """When something of the pool was last seen to end, or when looking began; seconds of a steady clock."""
    is_stuck: bool = False


def judge(before: Look | None, oldest: float | None, drained: bool, stuck_seconds: float, now: float) -> Look:
    """How the pool stands now. Pure. `oldest`: seconds its oldest due slice has waited; None: nothing waits."""
    drained_at = now if drained or before is None or oldest is None else before.drained_at
    is_stuck = oldest is not None and oldest > stuck_seconds and now - drained_at > stuck_seconds
    return Look(oldest or 0.0, drained_at, is_stuck)


def gauges(looks: Mapping[str, Look]) -> dict[str, float]:
    """Metric, with its label as Prometheus writes it, to value."""
    shown: dict[str, float] = {}
    for pool, look in looks.items():
        shown[f'{OLDEST_WAITING}{{pool="{pool}"}}'] = round(look.oldest_seconds, 3)
        shown[f'{STUCK}{{pool="{pool}"}}'] = float(look.is_stuck)
    return shown


class Alarm:
    """Remembers how the pools stood; call `look` every few seconds."""

    def __init__(self, ledger: Ledger, stuck_seconds: float) -> None:
        self._ledger = ledger
        self._stuck_seconds = stuck_seconds
        self._last_event: int | None = None
        self.looks: dict[str, Look] = {}

    def look(self, now: float) -> dict[str, float]:
        """The gauges. Logs `pool_stuck` when the alarm of a pool goes on, `pool_drains` when it goes off."""
        drained = self._drained()
        for pool in Pool:
            before = self.looks.get(pool)
            look = judge(before, self._ledger.oldest_waiting(pool), pool in drained, self._stuck_seconds, now)
            self.looks[pool] = look
            metrics.gauge(catalog.POOL_STUCK, look.is_stuck, pool)
            if look.is_stuck and not (before and before.is_stuck):
                _log.error("pool_stuck", pool=str(pool), oldest_waiting_seconds=round(look.oldest_seconds))
            if before and before.is_stuck and not look.is_stuck:
                _log.warning("pool_drains", pool=str(pool))
        return gauges(self.looks)

    def _drained(self) -> set[str]:
        with self._ledger.reading() as session:
            last = session.execute(_LAST_EVENT).scalar() or 0
            since, self._last_event = self._last_event, last
            if since is None or since == last:
                return set()
            return set(session.execute(_DONE, {"last": since}).scalars())
