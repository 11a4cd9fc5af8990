"""The monthly reports: those that are kept, and one made now; downloads of reports on batches and documents."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode

from nicegui import ui
from starlette.requests import Request
from starlette.responses import Response

from docfleet.console.frame import console_page, console_route
from docfleet.console.parts import NONE, ago, empty_state, moment, panel, size, table, tag
from docfleet.console.session import Session
from docfleet.domain.access import Permission
from docfleet.domain.months import month_of

MONTHS = 24
"""That may be chosen, the present one first."""
_GRID = "display: grid; grid-template-columns: repeat(auto-fill, minmax(11rem, 1fr)); gap: .75rem"
_ROW = "display: flex; flex-wrap: wrap; gap: .75rem"
_SECONDS = 120.0
"""A report on a long batch takes a while."""
_STATE = """
<q-td :props="props"><span :class="'chip tone-' + props.row.tone">{{ props.row.state }}</span></q-td>
"""
_FILE = """
<q-td :props="props" class="stick">
  <a v-if="props.row.link" :href="props.row.link" :aria-label="'Download the report on ' + props.row.period">PDF</a>
</q-td>
"""
_ASSUMED = {
    "by_hand_usd_per_document": "By hand, USD a document",
    "by_hand_minutes_per_page": "By hand, minutes a page",
    "by_hand_usd_per_hour": "By hand, USD an hour",
    "investment_usd": "Investment, USD",
}


@console_page("/reports", "Reports", needs=Permission.READ_COSTS, icon="summarize", order=80, shortcut="r")
async def reports(session: Session) -> None:
    page = _Reports(session)
    await page.refresh()
    session.every(max(5.0, session.options.refresh_seconds), page.refresh)


class _Reports:
    """The table of what is kept, and the form to make one."""

    def __init__(self, session: Session) -> None:
        self._session = session
        with panel("Make a report"):
            self._form()
        with panel("Kept reports"):
            columns = {
                "period": "Month", "state": "State", "made": "Made", "by": "By", "size": "Size", "note": "Note",
                "file": "",
            }  # fmt: skip
            self._table = table(columns, numbers=("size",))
            self._table.add_slot("body-cell-state", _STATE)
            self._table.add_slot("body-cell-file", _FILE)
            self._nothing = empty_state(
                "No reports are kept",
                "Make one above, or have one made every month: reports.schedule = monthly in the settings.",
                symbol="summarize",
            )

    def _form(self) -> None:
        months = _months(datetime.now(UTC).timestamp())
        whose = "of all tenants together" if self._session.is_system else f"of the tenant {self._session.tenant}"
        tag(
            "p",
            f"The month for management as a PDF, {whose}: volume, objectives, costs, incidents, capacity. Months are "
            "of UTC.",
        )
        with tag("div").style(_GRID):
            self._month = ui.select(months, value=months[1], label="Month").props("outlined dense options-dense")
            self._assumed = {
                name: ui.number(label, min=0, placeholder="as set").props("outlined dense stack-label")
                for name, label in _ASSUMED.items()
            }
        tag(
            "p",
            "What is left empty is assumed as the service is set. Every assumption stands in the report.",
            "quiet-text",
        )
        with tag("div").style(_ROW):
            ui.button("Download", icon="download", on_click=self._download).props("unelevated no-caps")
            self._keep = ui.button("Make and keep", icon="save", on_click=self._make)
            self._keep.props("outline no-caps").tooltip("With the assumptions above; takes the place of an earlier one")

    def _given(self) -> dict[str, float]:
        """The assumptions that somebody typed."""
        return {name: field.value for name, field in self._assumed.items() if field.value is not None}

    async def _download(self) -> None:
        asked = self._given()
        if ("by_hand_minutes_per_page" in asked) != ("by_hand_usd_per_hour" in asked):
            # the service may refuse one without the other: said here, and not in place of this page
            await _pdf(self._session, "/v1/reports/month", {"month": self._month.value, **asked})
        query = f"?{urlencode(asked)}" if asked else ""
        # it puts the path of the console before it by itself
        ui.navigate.to(f"/reports/month/{self._month.value}{query}")

    async def _make(self) -> None:
        self._keep.disable()
        try:
            wanted = {"kind": "month", "period": self._month.value, "assumptions": self._given()}
            made = await self._session.api.post("/v1/reports", wanted)
        finally:
            self._keep.enable()
        self._session.say(f"The report on {made['period']} is made.")
        await self.refresh()

    async def refresh(self) -> None:
        said = await self._session.api.get("/v1/reports", {"limit": 200})
        self._table.rows = [self._row(one) for one in said["items"]]
        self._table.set_visibility(bool(said["items"]))
        self._nothing.set_visibility(not said["items"])

    def _row(self, one: Mapping[str, Any]) -> dict[str, Any]:
        is_made = one["state"] == "ready"
        note = "" if one["complete"] or not is_made else "made while the month was under way"
        if one["message"]:
            next_try = f"; tried again {moment(one['next_try_at'])}" if one["next_try_at"] else ""
            note = f"{one['message']}{next_try}"
        return {
            "id": one["id"],
            "period": one["period"],
            "state": "ready" if is_made else "could not be made",
            "tone": "bad" if not is_made else "good" if one["complete"] else "info",
            "made": ago(one["made_at"]) if is_made else NONE,
            "by": "a key" if one["made_by"] else "the schedule",
            "size": size(one["size_bytes"]) if is_made else NONE,
            "note": note or NONE,
            "link": self._session.url(f"/reports/file/{one['id']}") if is_made else "",
        }


def _months(now: float) -> list[str]:
    """The present month and those before it: "2026-11", "2026-10", …"""
    found, year, month = [], *(int(part) for part in month_of(now).split("-"))
    for _ in range(MONTHS):
        found.append(f"{year:04}-{month:02}")
        year, month = (year, month - 1) if month > 1 else (year - 1, 12)
    return found


@console_route("/reports/month/{month}", needs=Permission.READ_COSTS)
async def month_report(request: Request, session: Session) -> Response:
    """The monthly report, made now, with the assumptions of the query."""
    asked = {name: request.query_params[name] for name in _ASSUMED if name in request.query_params}
    return await _pdf(session, "/v1/reports/month", {"month": request.path_params["month"], **asked})


@console_route("/reports/file/{report_id}", needs=Permission.READ_COSTS)
async def kept_report(request: Request, session: Session) -> Response:
    return await _pdf(session, f"/v1/reports/{_part(request, 'report_id')}/file")


@console_route("/reports/batch/{batch_id}", needs=Permission.LIST_DOCUMENTS)
async def batch_report(request: Request, session: Session) -> Response:
    return await _pdf(session, f"/v1/batches/{_part(request, 'batch_id')}/report")


@console_route("/reports/document/{document_id}", needs=Permission.LIST_DOCUMENTS)
async def document_report(request: Request, session: Session) -> Response:
    return await _pdf(session, f"/v1/documents/{_part(request, 'document_id')}/report")


def _part(request: Request, name: str) -> str:
    return quote(request.path_params[name], safe="")


async def _pdf(session: Session, path: str, params: Mapping[str, Any] | None = None) -> Response:
    """What the API answers; a report has some hundred kilobytes."""
    async with session.api.stream(path, params, seconds=_SECONDS) as answer:
        content = await answer.aread()
        headers = {
            name: answer.headers[name]
            for name in ("content-disposition", "content-security-policy", "x-content-type-options", "cache-control")
            if name in answer.headers
        }
    return Response(content, headers=headers, media_type="application/pdf")
