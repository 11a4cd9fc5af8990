"""A past and a forecast for a pool, written into the ledger as the dispatcher would have, to be shown."""

from __future__ import annotations

import math

import msgspec
from sqlalchemy import insert

from docfleet.fleet.forecast.base import Forecast, Score, Trust
from docfleet.fleet.outlook import Kept
from docfleet.ledger import Ledger
from docfleet.ledger.dialect import upserts
from docfleet.ledger.fleet_book import FleetBook
from docfleet.ledger.fleet_history import HOUR
from docfleet.ledger.fleet_rows import FLEET_MARK, HISTORY

REASON = "error 9% in the backtest, 21% by same_hour_last_week"


def usual(at: float) -> float:
    """Documents of an hour: few at night, many in the afternoon."""
    return 200.0 + 160.0 * math.sin((at / 3600.0 - 9.0) / 24.0 * 2 * math.pi)


def forecast_at(start: float, steps: int = 168, trusted: bool = True) -> Forecast:
    likely = [usual(start + number * 3600.0) for number in range(steps)]
    rows = tuple(tuple(value * share for value in likely) for share in (0.7, 1.0, 1.35))
    scores = (Score("seasonal", 0.09), Score("same_hour_last_week", 0.21))
    return Forecast("seasonal", start, 3600.0, (0.05, 0.5, 0.95), rows, scores, Trust(trusted, REASON))


def write_history(ledger: Ledger, pool: str, hours: int, region: str = "local", outlier: float = 1.0) -> float:
    """Fills the whole hours before now, and keeps forecasts that were made in the last twelve of them; the beginning of
    the present hour. `outlier`: by how much the last hour was another than usual."""
    book = FleetBook(ledger, region)
    hour = book.now() // HOUR * HOUR
    rows = []
    for back in range(1, hours + 1):
        at = hour - back * HOUR
        arrived = round(usual(at) * (1.0 + 0.1 * math.sin(back)) * (outlier if back == 1 else 1.0))
        rows.append(
            {
                "region": region, "pool": pool, "resolution": HOUR, "bucket": int(at), "urgency": "",
                "arrived": arrived, "done": arrived, "slices_done": arrived, "pages_done": 3 * arrived,
                "seconds_done": 2.0 * arrived,
            }
        )  # fmt: skip
    mark = {"region": region, "last_event": 0, "next_event": 0, "at": hour, "since": hour - hours * HOUR}
    with ledger.unit_of_work() as session:
        session.execute(HISTORY.delete().where(HISTORY.c.pool == pool, HISTORY.c.resolution == HOUR))
        session.execute(insert(HISTORY), rows)
        session.execute(upserts(FLEET_MARK)["sqlite"].values(**mark).on_conflict_do_nothing())
    past = tuple(forecast_at(hour - back * HOUR) for back in range(12, 0, -1))
    book.keep_forecast(pool, HOUR, msgspec.json.encode(Kept(forecast_at(hour), past)).decode())
    return hour
