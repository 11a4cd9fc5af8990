"""The dashboards by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from .dashboard_costs import COSTS
from .dashboard_engines import ENGINES
from .dashboard_fleet import FLEET
from .dashboard_objectives import OBJECTIVES
from .dashboard_overview import OVERVIEW
from .grafana import as_dashboard

ALL = (OVERVIEW, FLEET, ENGINES, COSTS, OBJECTIVES)
_NAMES = tuple((one.name, one.title) for one in ALL)
DASHBOARDS: dict[str, Callable[[], dict[str, Any]]] = {one.name: partial(as_dashboard, one, _NAMES) for one in ALL}
