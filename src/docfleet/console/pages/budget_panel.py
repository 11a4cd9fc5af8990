"""Budgets on the page of quotas: how each stands, and setting and removing them for who may."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from nicegui import ui

from docfleet.console.parts import confirm, count, empty_state, moment, money, panel, tag
from docfleet.console.problems import ApiProblem
from docfleet.console.redrawn import Bar, Redrawn
from docfleet.console.session import Session
from docfleet.domain.access import Permission

Facts = Mapping[str, Any]
Refresh = Callable[[], Awaitable[None]]
POLICIES = {
    "queue": "Wait: pages wait until the limit is raised, or the next month begins",
    "degrade": "Degrade: what was read locally stands",
    "stop": "Stop: pages end as budget_exhausted",
}
AT_THE_LIMIT = {
    "queue": "At the limit pages wait.",
    "degrade": "At the limit what was read locally stands.",
    "stop": "At the limit pages end as budget_exhausted.",
}
TONES = {"ok": "good", "warned": "warning", "exhausted": "bad"}


def spent_of(one: Facts) -> float:
    return float(one["spent_usd"]) + float(one["reserved_usd"])


def share_of(one: Facts) -> float:
    """Of the limit; a limit of nothing is used up."""
    limit = float(one["limit_usd"])
    return spent_of(one) / limit if limit else 1.0


def state_of(one: Facts) -> str:
    """ "ok", "warned" or "exhausted"."""
    if share_of(one) >= 1.0 or one["exhausted_at"] is not None:
        return "exhausted"
    return "warned" if share_of(one) * 100 >= one["warn_percent"] else "ok"


def scope_said(one: Facts, with_tenant: bool) -> str:
    engine = one["engine"] or "all engines"
    month = f"in {one['month']}" if one["month"] else "every month"
    tenant = f"{one['tenant'] or 'all tenants together'}: " if with_tenant else ""
    return f"{tenant}{engine}, {month}"


def is_own(one: Facts, session: Session) -> bool:
    """Whether this one may change it: what whoever operates the service has set is changed there alone."""
    return bool(session.may(Permission.MANAGE_BUDGETS) and one["set_by"] and one["tenant"] == session.tenant)


class BudgetPanel:
    """`refresh`: looks again after a change."""

    def __init__(self, session: Session, refresh: Refresh) -> None:
        self._session = session
        self._refresh = refresh
        with panel():
            with tag("div", classes="panel-head"):
                tag("h2", "Budgets")
                if session.may(Permission.MANAGE_BUDGETS):
                    ui.button("Set a budget", icon="add", on_click=lambda: self._ask(None)).props("flat no-caps dense")
            self._list = Redrawn(classes="budgets")

    def show(self, budgets: Sequence[Facts]) -> None:
        self._list.show(list(budgets), lambda: self._draw(budgets))

    def _draw(self, budgets: Sequence[Facts]) -> None:
        if not budgets:
            may = self._session.may(Permission.MANAGE_BUDGETS)
            empty_state(
                "There is no budget: nothing is limited",
                "Set one to bound what a month may cost."
                if may
                else "An admin may set one, or `docfleet budgets set`.",
                symbol="savings",
            )
        for one in budgets:
            with tag("div", classes="budget"):
                self._draw_one(one)

    def _draw_one(self, one: Facts) -> None:
        state = state_of(one)
        with tag("div", classes="panel-head"):
            tag("strong", scope_said(one, self._session.is_system), "break")
            tag("span", state, f"chip tone-{TONES[state]}")
        bar = Bar(f"Budget for {scope_said(one, self._session.is_system)}")
        bar.show(share_of(one), {"warned": "warning", "exhausted": "bad"}.get(state, ""))
        reserved = f", {money(one['reserved_usd'])} of it reserved for calls under way" if one["reserved_usd"] else ""
        tag(
            "p",
            f"{money(spent_of(one))} of {money(one['limit_usd'])} ({share_of(one) * 100:,.0f} %){reserved}. "
            f"{AT_THE_LIMIT.get(one['policy'], '')} Told from {count(one['warn_percent'])} % on.",
        )
        if one["exhausted_at"]:
            tag("p", f"Refused a call first at {moment(one['exhausted_at'])} UTC.", "hint")
        elif one["warned_at"]:
            tag("p", f"The warning went out at {moment(one['warned_at'])} UTC.", "hint")
        if is_own(one, self._session):
            with tag("div", classes="row-of"):
                ui.button("Change", on_click=lambda: self._ask(one)).props("flat no-caps dense")
                ui.button("Remove", on_click=lambda: self._remove(one)).props("flat no-caps dense")
        elif self._session.may(Permission.MANAGE_BUDGETS):
            tag("p", "Set by whoever operates the service: `docfleet budgets` changes it there.", "hint")

    def _remove(self, one: Facts) -> None:
        async def remove() -> None:
            scope = {"engine": one["engine"], "month": one["month"]}
            await self._session.api.delete("/v1/budgets", scope)
            self._session.say("The budget was removed: nothing is limited by it any more.")
            await self._refresh()

        confirm(
            "Remove this budget?",
            f"{scope_said(one, False)}: {money(one['limit_usd'])}. Nothing will be limited by it any more, from the "
            "next call on.",
            "Remove",
            remove,
        )

    def _ask(self, one: Facts | None) -> None:
        BudgetForm(self._session, self._refresh, one)


class BudgetForm:
    """A dialog; `one`: the budget that is changed, or None for a new one."""

    def __init__(self, session: Session, refresh: Refresh, one: Facts | None) -> None:
        self._session, self._refresh, self._one = session, refresh, one
        with ui.dialog() as self._dialog, tag("div", classes="dialog").props("role=dialog aria-modal=true") as box:
            box.props["aria-label"] = "Budget"
            tag("h2", "Change the budget" if one else "Set a budget")
            if one:
                tag("p", scope_said(one, False), "break")
            self._engine = ui.input("Engine", placeholder="all engines", value=(one or {}).get("engine") or "")
            self._month = ui.input(
                "Month, as in 2026-11", placeholder="every month", value=(one or {}).get("month") or ""
            )
            self._limit = ui.number("Limit in US dollars a month", value=(one or {}).get("limit_usd"), min=0, max=1e9)
            self._warn = ui.number(
                "Told from so many percent on", value=(one or {}).get("warn_percent", 80), min=1, max=100
            )
            for field in (self._engine, self._month, self._limit, self._warn):
                field.props("outlined dense")
            for fixed in (self._engine, self._month):
                fixed.set_visibility(one is None)
            tag("h3", "At the limit")
            self._policy = ui.radio(POLICIES, value=(one or {}).get("policy", "queue")).props("dense")
            self._wrong = tag("p", classes="wrong").props("role=alert")
            with tag("div", classes="dialog-buttons"):
                ui.button("Cancel", on_click=self._dialog.close).props("flat no-caps").classes("quiet")
                ui.button("Save", on_click=self._save).props("unelevated no-caps")
        self._dialog.on("hide", self._dialog.delete)
        self._dialog.open()

    async def _save(self) -> None:
        given = {
            "engine": str(self._engine.value or "").strip() or None,
            "month": str(self._month.value or "").strip() or None,
            "limit_usd": self._limit.value,
            "policy": self._policy.value,
            "warn_percent": None if self._warn.value is None else round(self._warn.value),
        }
        if given["limit_usd"] is None:
            self._wrong.set_text("Say how much a month may cost.")
            return
        try:
            await self._session.api.put("/v1/budgets", {name: one for name, one in given.items() if one is not None})
        except ApiProblem as problem:
            if problem.is_away or problem.is_signed_out:
                raise
            self._wrong.set_text(problem.said)
            return
        self._dialog.close()
        self._session.say("The budget is in force from the next call on.")
        await self._refresh()
