"""What a month cost: a document, its parts, engines and tenants, what was saved, and the return on it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from nicegui import ui
from starlette.requests import Request
from starlette.responses import Response

from docfleet.console.frame import console_page, console_route
from docfleet.console.pages import cost_sums
from docfleet.console.pages.cost_return import ReturnPanel
from docfleet.console.parts import chart, count, empty_state, link, money, panel, stat_tile, table, tag
from docfleet.console.redrawn import Words
from docfleet.console.session import Session
from docfleet.domain.access import Permission
from docfleet.domain.months import is_month, month_bounds

Facts = Mapping[str, Any]
LIVE_SECONDS = 10.0
SLOW_SECONDS = 60.0
TREND_MONTHS = 6


@console_page("/costs", "Costs", needs=Permission.READ_COSTS, icon="payments", order=80, shortcut="m")
async def costs(session: Session, month: str = "") -> None:
    page = CostsPage(session, month)
    await page.refresh()
    await page.look_back()
    session.every(LIVE_SECONDS, page.refresh)
    session.every(SLOW_SECONDS, page.look_back)


@console_route("/costs.csv", needs=Permission.READ_COSTS)
async def download(request: Request, session: Session) -> Response:
    """The account of a month, as CSV."""
    month = request.query_params.get("month", "")
    asked = {"month": month} if is_month(month) else None
    told = await session.api.get("/v1/costs", asked)
    tenants = (await session.api.get("/v1/costs/tenants", asked))["items"] if session.is_system else []
    headers = {"content-disposition": f'attachment; filename="docfleet-costs-{told["month"]}.csv"'}
    return Response(cost_sums.as_csv(told, tenants), media_type="text/csv; charset=utf-8", headers=headers)


class CostsPage:
    def __init__(self, session: Session, month: str) -> None:
        self._session = session
        self._months = cost_sums.months_until(datetime.now(UTC))
        self._month = month if month in self._months else next(iter(self._months))
        self._build_head()
        with tag("div", classes="tiles"):
            self._document = stat_tile("A document, everything included")
            self._whole = stat_tile("Whole cost")
            self._calls = stat_tile("Calls of engines")
            self._end = stat_tile("Calls at the end of the month")
            self._saved = stat_tile("Saved, against all in the cloud")
        self._nothing = empty_state(
            "No document has results in this month", "What stands whatever is read still costs.", symbol="payments"
        )
        with tag("div", classes="columns"):
            with panel("Where the money went"):
                self._parts = table(cost_sums.PART_COLUMNS, numbers=["month", "document", "share"])
                self._sharing = Words("p", "hint")
            with panel("What was not spent"):
                self._savings = table(cost_sums.SAVED_COLUMNS, numbers=["amount"])
        with panel("By processor of an engine"):
            numbers = [name for name in cost_sums.PROCESSOR_COLUMNS if name != "processor"]
            self._processors = table(cost_sums.PROCESSOR_COLUMNS, numbers=numbers)
            self._no_processor = empty_state(
                "No engine that costs money was called", "All pages were read here.", symbol="cloud_off"
            )
        if session.is_system:
            with panel("By tenant"):
                numbers = [name for name in cost_sums.TENANT_COLUMNS if name != "tenant"]
                self._tenants = table(cost_sums.TENANT_COLUMNS, numbers=numbers)
        with tag("div", classes="columns"):
            with panel("Engines, day by day"):
                self._days = chart({"series": []}, label="What engines took each day", height="14rem")
            with panel("Whole cost, month by month"):
                self._trend = chart({"series": []}, label="The whole cost of each month", height="14rem")
        self._return = ReturnPanel()

    def _build_head(self) -> None:
        with tag("div", classes="row-of"):
            self._choice = ui.select(self._months, value=self._month, on_change=self._choose)
            self._choice.props("outlined dense options-dense")
            self._choice.props["aria-label"] = "Month"
            tag("span", f"Tenant {self._session.tenant}. Months begin and end in UTC.", "hint grow aside")
            self._csv = link("Download CSV", self._csv_address())
            self._csv.props["download"] = ""

    def _csv_address(self) -> str:
        return self._session.url(f"/costs.csv?month={self._month}")

    async def _choose(self, event: Any) -> None:
        self._month = str(event.value)
        self._csv.props["href"] = self._csv_address()
        self._csv.update()
        await self.refresh()
        await self.look_back()

    async def refresh(self) -> None:
        asked = {"month": self._month}
        told: Facts = await self._session.api.get("/v1/costs", asked)
        self._show_tiles(told)
        whole = told["whole"]
        self._nothing.set_visibility(not whole["documents"])
        _put(self._parts, cost_sums.part_rows(whole))
        self._sharing.show(
            f"{count(whole['documents'])} documents with results, {count(whole['pages'])} pages. What nobody uses "
            "alone (idle workers, own processors, base) is your part of it."
        )
        _put(self._savings, cost_sums.saved_rows(told))
        processors = cost_sums.processor_rows(told)
        _put(self._processors, processors)
        self._processors.set_visibility(bool(processors))
        self._no_processor.set_visibility(not processors)
        self._return.show(told)
        if self._session.is_system:
            tenants: Sequence[Facts] = (await self._session.api.get("/v1/costs/tenants", asked))["items"]
            _put(self._tenants, cost_sums.tenant_rows(tenants))

    def _show_tiles(self, told: Facts) -> None:
        whole = told["whole"]
        self._document.show(money(whole["usd_per_document"]), *cost_sums.target_said(whole))
        self._whole.show(money(whole["usd"]), f"{money(whole['usd_per_page'])} a page")
        under_way = f"{money(told['reserved_usd'])} under way" if told["reserved_usd"] else "all settled"
        self._calls.show(money(told["spent_usd"]), under_way)
        self._end.show(*cost_sums.forecast_said(told))
        compared = told["all_cloud"]
        if compared is None:
            self._saved.show(money(None), "no price of a cloud processor is told")
        else:
            tone = "good" if compared["saved_usd"] >= 0 else ""
            self._saved.show(money(compared["saved_usd"]), f"that would be {money(compared['usd'])}", tone)

    async def look_back(self) -> None:
        begin, end = (datetime.fromtimestamp(at, UTC) for at in month_bounds(self._month))
        until = min(end, datetime.now(UTC)) - timedelta(seconds=1)
        span = {"since": begin.isoformat(), "until": max(begin, until).isoformat(), "step": "day"}
        statistics, months = await asyncio.gather(self._session.api.get("/v1/statistics", span), self._last_months())
        self._draw(self._days, cost_sums.day_plot(statistics), days_said(statistics))
        self._draw(self._trend, cost_sums.month_plot(months), months_said(months))

    async def _last_months(self) -> list[Facts]:
        """Up to the one shown, the oldest first; from the first on in which something was used."""
        names = list(self._months)
        place = names.index(self._month)
        asked = names[place : place + TREND_MONTHS]
        told = [await self._session.api.get("/v1/costs", {"month": month}) for month in reversed(asked)]
        used = [number for number, one in enumerate(told) if one["whole"]["usd"] or one["whole"]["documents"]]
        return told[used[0] :] if used else told[-1:]

    @staticmethod
    def _draw(shown: ui.echart, options: dict[str, Any], words: str) -> None:
        if shown.props.get("aria-label") == words:
            return
        shown.options.update(options)
        shown.props["aria-label"] = words
        shown.update()


def _put(shown: ui.table, rows: list[dict[str, Any]]) -> None:
    if rows != shown.rows:
        shown.rows = rows


def days_said(statistics: Facts) -> str:
    total = statistics["total"]
    return (
        f"Engines took {money(total['cost_usd'])} for {count(total['pages'])} pages in {len(statistics['steps'])} days."
    )


def months_said(months: Sequence[Facts]) -> str:
    return "; ".join(
        f"{one['month']}: {money(one['whole']['usd'])}, {money(one['whole']['usd_per_document'])} a document"
        for one in months
    )
