"""What a simulation costs is what `docfleet costs` would say of it: one function, one kind of price book."""

from __future__ import annotations

import pytest

from docfleet.domain.costing import Usage, whole_cost
from docfleet.domain.pricing import usd_of
from docfleet.fleet.simulate.arrivals import draw
from docfleet.fleet.simulate.demand import Demand
from docfleet.fleet.simulate.run import MONTH_HOURS, Run
from docfleet.fleet.simulate.scalers import Fixed
from docfleet.fleet.simulate.world import NODE, Machines, Prices, Work, World

HOURS = 2.0
DEMAND = Demand("steady", 1_800_000_000.0, 300.0, (0.5,) * round(HOURS * 12))


def test_a_simulation_costs_what_the_account_would_say() -> None:
    prices = Prices(node_usd_per_hour=0.4, base_usd_per_month=73.0, engine_usd_per_page=0.0015)
    world = World(work=Work(pages=2.0), machines=Machines(slots_per_worker=1, workers_per_node=4), prices=prices)
    outcome = Run(world, draw(DEMAND, world.work, 5.0, 1), Fixed(4), 0.0, first_workers=4).run()
    cost = outcome.cost
    assert outcome.documents > 3000
    assert (cost.documents, cost.pages) == (outcome.documents, 2 * outcome.documents)
    assert cost.engine_micros == 2 * outcome.documents * 1_500
    assert cost.base_micros == 200_000
    assert cost.worker_micros == pytest.approx(outcome.node_hours * 400_000, abs=2)
    assert cost.busy_micros == pytest.approx(outcome.work_hours / 4 * 400_000, abs=2)
    assert 0 < cost.idle_micros < cost.worker_micros
    assert outcome.cost_usd == usd_of(cost.micros)
    usage = Usage(
        documents=cost.documents,
        pages=cost.pages,
        engine_micros=cost.engine_micros,
        busy_seconds={NODE: outcome.work_hours * 3600 / 4},
        paid_seconds={NODE: outcome.node_hours * 3600},
        months=HOURS / MONTH_HOURS,
    )
    assert whole_cost(usage, prices.book).micros == pytest.approx(cost.micros, abs=2)
