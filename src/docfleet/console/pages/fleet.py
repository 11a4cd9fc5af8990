"""The fleet: pools and why they have the size they have, workers, decisions, and the forecast against what came."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from nicegui import ui

from docfleet.console.frame import console_page
from docfleet.console.pages.fleet_plot import SPANS, held_said, in_words, plot, trust_said
from docfleet.console.pages.fleet_pool import STALE_SECONDS, PoolPanel, draw_reasons
from docfleet.console.parts import ago, chart, count, empty_state, moment, panel, problem_banner, table, tag, when
from docfleet.console.problems import ApiProblem
from docfleet.console.redrawn import Redrawn, Words
from docfleet.console.session import Session
from docfleet.domain.access import Permission

SILENT_SECONDS = 20.0
"""A worker is seen every three seconds."""
DECISIONS = 25
SLOW_SECONDS = 15.0
"""How often history and forecast are looked at."""
NOBODY_DECIDES = (
    "No dispatcher decides on the sizes of the pools: autoscalers keep what there is, and nothing that was accepted is "
    "handed out but to workers in direct mode. Start one with `docfleet dispatcher`, or see why it does not run."
)
WORKERS = {
    "name": "Worker",
    "pool": "Pool",
    "state": "State",
    "slots": "Slots",
    "mode": "Mode",
    "host": "Host",
    "version": "Version",
    "started": "Started",
    "seen": "Seen",
}
Facts = Mapping[str, Any]


@console_page("/fleet", "Fleet", needs=Permission.READ_FLEET, icon="lan", order=60, shortcut="f")
async def fleet(session: Session) -> None:
    page = FleetPage(session)
    await page.refresh()
    await page.look_ahead()
    session.every(session.options.refresh_seconds, page.refresh)
    session.every(SLOW_SECONDS, page.look_ahead)


class FleetPage:
    def __init__(self, session: Session) -> None:
        self._session = session
        self._pools: dict[str, PoolPanel] = {}
        self._pool = ""
        self._hours = SPANS["24 hours"]
        self._nobody = problem_banner(NOBODY_DECIDES)
        self._columns = tag("div", classes="columns")
        self._no_pool = empty_state(
            "Nobody has decided on a size yet", "A dispatcher looks once a second as soon as it runs.", symbol="lan"
        )
        self._build_forecast()
        with panel("Workers"):
            self._workers = table(WORKERS, numbers=["slots"])
            self._no_worker = empty_state(
                "No worker was seen in the last ten minutes",
                "Nothing is read until one runs: `docfleet worker --pool all`.",
                symbol="memory",
            )
        with panel("Decisions"):
            tag("p", "Every change of the size of a pool, and what each rule asked for.", "hint")
            self._decisions = Redrawn(classes="decisions")
        with panel("What if"):
            tag(
                "p", "What another size, another load or a lost region would have done is a question for the simulator:"
            )
            tag("code", "docfleet fleet simulate --help", "break")

    def _build_forecast(self) -> None:
        with panel(classes="forecast") as self._forecast:
            with tag("div", classes="panel-head"):
                tag("h2", "Forecast against what came")
                with tag("div", classes="row-of"):
                    self._choice = ui.select([], on_change=self._choose).props("outlined dense options-dense")
                    self._choice.props["aria-label"] = "Pool"
                    ui.toggle(list(SPANS), value="24 hours", on_change=self._span).props("no-caps unelevated")
            self._trust = Words("p", "break")
            self._held = Words("p", "hint")
            self._chart = chart({"series": []}, label="Forecast against what came", height="16rem")
            self._uncounted = empty_state(
                "Nothing is counted here yet",
                "The dispatcher counts what arrives; an hour is shown once it is over.",
                symbol="show_chart",
            )

    # --- the quick ones

    async def refresh(self) -> None:
        api = self._session.api
        demands: Sequence[Facts] = (await api.get("/v1/fleet/demand"))["items"]
        workers: Sequence[Facts] = (await api.get("/v1/workers"))["items"]
        decisions: Sequence[Facts] = (await api.get("/v1/fleet/decisions", {"limit": DECISIONS}))["items"]
        self._show_pools(demands, workers)
        self._show_workers(workers)
        ids = [one["id"] for one in decisions]
        self._decisions.show(ids, lambda: draw_decisions(decisions))

    def _show_pools(self, demands: Sequence[Facts], workers: Sequence[Facts]) -> None:
        is_decided = any(one["age_seconds"] <= STALE_SECONDS for one in demands)
        self._nobody.set_visibility(not is_decided)
        self._no_pool.set_visibility(not demands)
        for demand in demands:
            name = str(demand["pool"])
            if name not in self._pools:
                with self._columns:
                    self._pools[name] = PoolPanel(name)
            here = [one for one in workers if name in str(one["pool"]).split(",") and one["ended_at"] is None]
            self._pools[name].show(demand, sum(one["mode"] == "direct" for one in here) if name != "cloud" else 0)
        names = list(self._pools)
        if names != self._choice.options:
            self._pool = self._pool or names[0]
            self._choice.set_options(names, value=self._pool)

    def _show_workers(self, workers: Sequence[Facts]) -> None:
        rows = [worker_row(one, datetime.now(UTC)) for one in workers]
        if rows != self._workers.rows:
            self._workers.rows = rows
        self._workers.set_visibility(bool(rows))
        self._no_worker.set_visibility(not rows)

    # --- the slow ones

    async def look_ahead(self) -> None:
        self._forecast.set_visibility(bool(self._pool))
        if not self._pool:
            return
        api, pool = self._session.api, self._pool
        days = self._hours / 24 + 0.1
        history: Facts = await api.get(f"/v1/fleet/history/{pool}", {"step": "hour", "days": days})
        try:
            forecast: Facts | None = await api.get(f"/v1/fleet/forecast/{pool}")
        except ApiProblem as problem:
            if problem.status != 404:
                raise
            forecast = None
        self._trust.show(trust_said(forecast, pool))
        self._held.show(held_said(history, forecast))
        unit = "pages" if pool == "cloud" else "documents"
        options = plot(history, forecast, self._hours, datetime.now(UTC))
        self._draw(options, in_words(history, forecast, unit))
        is_empty = not any(series["data"] for series in options["series"])
        self._chart.set_visibility(not is_empty)
        self._uncounted.set_visibility(is_empty)

    def _draw(self, options: dict[str, Any], words: str) -> None:
        self._chart.options.update(options)
        self._chart.props["aria-label"] = words
        self._chart.update()

    async def _choose(self, event: Any) -> None:
        if event.value and event.value != self._pool:
            self._pool = str(event.value)
            await self.look_ahead()

    async def _span(self, event: Any) -> None:
        self._hours = SPANS[str(event.value)]
        await self.look_ahead()


def worker_row(one: Facts, now: datetime) -> dict[str, Any]:
    return {
        "id": one["name"],
        "name": one["name"],
        "pool": str(one["pool"]).replace(",", ", "),
        "state": worker_state(one, now),
        "slots": count(one["slots"]),
        "mode": one["mode"] or "starting",
        "host": one["host"],
        "version": one["version"],
        "started": ago(one["started_at"], now),
        "seen": ago(one["seen_at"], now),
    }


def worker_state(one: Facts, now: datetime) -> str:
    """Whether it lives, in words."""
    if one["ended_at"] is not None:
        return f"ended {ago(one['ended_at'], now)}: {one['cause'] or 'no cause told'}"
    seen = when(one["seen_at"])
    if seen is None or (now - seen).total_seconds() > SILENT_SECONDS:
        return f"silent, last seen {ago(one['seen_at'], now)}"
    return "alive"


def draw_decisions(decisions: Sequence[Facts]) -> None:
    if not decisions:
        empty_state("No size was changed yet", "Decisions are kept for 90 days.", symbol="rule")
    for one in decisions:
        with tag("details", classes="why"):
            with tag("summary"):
                tag("span", moment(one["at"]), "quiet-text mono")
                tag("span", str(one["reason"]), "break")
            with tag("div", classes="needs"):
                draw_reasons(one["needs"], ())
