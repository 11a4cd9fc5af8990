"""Quotas of the cloud engine as they are used now, its breakers and refusals, batches under way, and budgets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from docfleet.console.frame import console_page
from docfleet.console.pages.budget_panel import BudgetPanel
from docfleet.console.pages.quota_card import EndpointCard, name_of
from docfleet.console.parts import count, duration, empty_state, panel, stat_tile, table, tag
from docfleet.console.redrawn import Words
from docfleet.console.session import Session
from docfleet.domain.access import Permission

Facts = Mapping[str, Any]
WORKERS = {
    "name": "Cloud worker",
    "in_flight": "Pages under way",
    "waiting": "Pages waiting",
    "preparing": "Being prepared",
    "calls": "Calls at most",
    "told": "Told",
}
BATCHES = {
    "location": "Location",
    "running": "Under way",
    "limit": "At most",
    "sent": "Pages sent",
    "oldest": "Oldest",
    "files": "Files waiting",
    "pages": "Pages waiting",
    "waited": "Waiting for",
}


@console_page("/quotas", "Quotas and budgets", needs=Permission.READ_FLEET, icon="speed", order=70, shortcut="q")
async def quotas(session: Session) -> None:
    page = QuotasPage(session)
    await page.refresh()
    session.every(session.options.refresh_seconds, page.refresh)


class QuotasPage:
    def __init__(self, session: Session) -> None:
        self._session = session
        self._cards: dict[str, EndpointCard] = {}
        with tag("div", classes="notice tone-info").props("role=status") as self._notice:
            self._why = Words()
        with tag("div", classes="tiles") as self._tiles:
            self._calls = stat_tile("Calls in the last minute")
            self._refused = stat_tile("429s in the last minute")
            self._under_way = stat_tile("Calls under way")
            self._away = stat_tile("Endpoints not called")
            self._waiting = stat_tile("Pages waiting for the cloud")
        self._columns = tag("div", classes="columns")
        self._none = empty_state(
            "No cloud engine is set up",
            "Pages are read here alone. Name processors in [documentai] to have poor pages read by Google Document AI.",
            symbol="cloud_off",
        )
        self._budgets = BudgetPanel(session, self.refresh) if session.may(Permission.READ_COSTS) else None
        with panel("Cloud workers") as self._worker_panel:
            self._workers = table(WORKERS, numbers=[name for name in WORKERS if name != "name"])
        with panel("Batches under way") as self._batch_panel:
            self._batches = table(BATCHES, numbers=[name for name in BATCHES if name != "location"])

    async def refresh(self) -> None:
        told: Facts = await self._session.api.get("/v1/quotas")
        self._show_endpoints(told)
        self._show_tables(told)
        if self._budgets is not None:
            asked = {"tenant": "*"} if self._session.is_system else None
            self._budgets.show((await self._session.api.get("/v1/budgets", asked))["items"])

    def _show_endpoints(self, told: Facts) -> None:
        items: Sequence[Facts] = told["items"]
        self._notice.set_visibility(bool(told["why"]) and told["engine"] is not None)
        self._why.show(told["why"] or "")
        self._none.set_visibility(told["engine"] is None)
        self._tiles.set_visibility(told["engine"] is not None)
        self._show_tiles(told, items)
        for one in items:
            if name_of(one) not in self._cards:
                with self._columns:
                    self._cards[name_of(one)] = EndpointCard(one)
            self._cards[name_of(one)].show(one)
        known = {name_of(one) for one in items}
        for name in [name for name in self._cards if name not in known]:
            self._cards.pop(name).element.delete()

    def _show_tiles(self, told: Facts, items: Sequence[Facts]) -> None:
        minutes = [one["minute"] for one in items if one["minute"] is not None]
        hours = [one["hour"] for one in items if one["hour"] is not None]
        requests = sum(one["requests"] for one in minutes) if minutes else None
        pages = f"{count(sum(one['pages'] for one in minutes))} pages" if minutes else "nobody tells"
        self._calls.show(count(requests), pages)
        refused = sum(one["throttled"] for one in minutes) if minutes else None
        lately = f"{count(sum(one['throttled'] for one in hours))} in the last hour" if hours else "nobody tells"
        self._refused.show(count(refused), lately, "warning" if refused else "")
        under_way = [one["under_way"] for one in items if one["under_way"] is not None]
        together = "counted together in Redis" if told["counted"] == "together" else "each worker counts alone"
        self._under_way.show(count(sum(under_way)) if under_way else count(None), together)
        away = [one for one in items if one["away"]]
        where = ", ".join(sorted({str(one["location"]) for one in away}))
        self._away.show(f"{len(away)} of {len(items)}", where, "bad" if away else "")
        waiting = sum(one["waiting_pages"] + one["preparing_pages"] for one in told["workers"])
        self._waiting.show(
            count(waiting) if told["workers"] else count(None),
            "in the hands of cloud workers" if told["workers"] else "no cloud worker tells",
        )

    def _show_tables(self, told: Facts) -> None:
        workers = [
            {
                "id": one["name"],
                "name": one["name"],
                "in_flight": count(one["in_flight_pages"]),
                "waiting": count(one["waiting_pages"]),
                "preparing": count(one["preparing_pages"]),
                "calls": count(one["calls"]),
                "told": f"{duration(max(1.0, one['age_seconds']))} ago",
            }
            for one in told["workers"]
        ]
        batches = [
            {
                "id": one["location"],
                "location": one["location"],
                "running": count(one["running"] + one["asking"]),
                "limit": count(one["limit"]),
                "sent": count(one["sent_pages"]),
                "oldest": duration(one["oldest_seconds"]),
                "files": count(one["waiting_files"]),
                "pages": count(one["waiting_pages"]),
                "waited": duration(one["waiting_seconds"]),
            }
            for one in told["batches"]
        ]
        for rows, shown, holder in (
            (workers, self._workers, self._worker_panel),
            (batches, self._batches, self._batch_panel),
        ):
            holder.set_visibility(bool(rows))
            if rows != shown.rows:
                shown.rows = rows
