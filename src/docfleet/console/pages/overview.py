"""How it goes, at a glance: what needs attention, the last hour, the last day, what waits and who works."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nicegui import ui

from docfleet.console.frame import address_of, console_page
from docfleet.console.pages.overview_charts import DayCharts
from docfleet.console.parts import (
    NONE,
    Tag,
    Tile,
    ago,
    count,
    duration,
    icon,
    money,
    panel,
    percent,
    short_count,
    stat_tile,
    table,
    tag,
)
from docfleet.console.session import Session
from docfleet.domain.access import Permission

_EVERYBODY = "*"
_ICONS = {"critical": "error", "warning": "warning", "info": "info"}
_TONES = {"critical": "bad", "warning": "warning", "info": "info"}
Told = Mapping[str, Any]


@console_page("/", "Overview", needs=Permission.LIST_DOCUMENTS, icon="dashboard", order=10, shortcut="o")
async def overview(session: Session) -> None:
    page = _Overview(session)
    await page.refresh()
    session.every(session.options.refresh_seconds, page.refresh)


class _Overview:
    """The page as it stands; `refresh` changes what has changed."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._whose = _EVERYBODY if session.is_system and session.may(Permission.READ_FLEET) else None
        self._shown: Sequence[Any] | None = None
        if self._whose:
            self._switch()
        self._attention = tag("section", classes="attention").props('aria-label="Needs attention" aria-live=polite')
        self._tiles = _Tiles(session)
        self._day = DayCharts(with_cost=session.may(Permission.READ_COSTS), may_submit=session.may(Permission.SUBMIT))
        self._fleet = _Fleet() if session.may(Permission.READ_FLEET) else None
        self._counted = tag("p", classes="quiet-text small")

    def _switch(self) -> None:
        async def choose(event: Any) -> None:
            self._whose = _EVERYBODY if event.value == "All tenants" else None
            await self.refresh()

        own = f"Tenant {self._session.tenant}"
        ui.toggle(["All tenants", own], value="All tenants", on_change=choose).props(
            "no-caps unelevated dense"
        ).classes("switch")

    async def refresh(self) -> None:
        told = await self._session.api.get("/v1/overview", {"tenant": self._whose})
        self._tell_attention(told["attention"])
        self._tiles.show(told)
        is_quiet = not any(step["accepted"] or _ended(step) for step in told["last_day"])
        self._day.show(told["last_day"], is_quiet=is_quiet)
        if self._fleet is not None:
            self._fleet.show(told)
        counted = told["counted_until"]
        self._counted.set_text(
            f"Counted {ago(counted)} from the ledger; days and months are those of UTC."
            if counted
            else "Nobody counts: figures appear once a dispatcher runs (`docfleet dispatcher`)."
        )

    def _tell_attention(self, notices: Sequence[Told]) -> None:
        said = [(one["severity"], one["title"], one["text"], one["page"]) for one in notices]
        if said == self._shown:
            return
        self._shown = said
        self._attention.clear()
        with self._attention:
            for severity, title, text, page in said:
                _notice(severity, title, text, address_of(page, self._session))
            if not said:
                with tag("p", classes="calm"):
                    icon("check_circle")
                    tag("span", "Nothing needs attention.")


def _notice(severity: str, title: str, text: str, address: str) -> None:
    with tag("a" if address else "div", classes=f"attend tone-{_TONES.get(severity, 'info')}") as made:
        icon(_ICONS.get(severity, "info"))
        with tag("div"):
            tag("strong", title)
            tag("span", f"{severity}: ", "only-read")
            tag("p", text)
        if address:
            icon("chevron_right")
    if address:
        made.props["href"] = address


class _Tiles:
    """The figures at the top; None: this role does not see it."""

    _waiting: Tile | None = None
    _workers: Tile | None = None
    _letters: Tile | None = None
    _spent: Tile | None = None
    _saved: Tile | None = None

    def __init__(self, session: Session) -> None:
        with tag("section", classes="tiles").props('aria-label="Now"'):
            self._documents = stat_tile("Read in the last hour", address=address_of("documents", session))
            self._success = stat_tile("Success in the last hour")
            self._latency = stat_tile("Latency p50, last hour")
            if session.may(Permission.READ_FLEET):
                self._waiting = stat_tile("Waiting", address=address_of("fleet", session))
                self._workers = stat_tile("Workers there / wanted", address=address_of("fleet", session))
            if session.may(Permission.READ_DEAD_LETTERS):
                self._letters = stat_tile("Dead letters", address=address_of("dead-letters", session))
            if session.may(Permission.READ_COSTS):
                self._spent = stat_tile("Spent today", address=address_of("quotas", session))
                self._saved = stat_tile("Saved this month", address=address_of("costs", session))

    def show(self, told: Told) -> None:
        hour, today = told["last_hour"], told["today"]
        read = hour["succeeded"] + hour["partial"]
        self._documents.show(
            short_count(read), f"{short_count(hour['accepted'])} came in · {short_count(_read(today))} today"
        )
        self._success.show(*_success(hour))
        p50, p95 = hour["seconds_p50"], hour["seconds_p95"]
        on_time = _share(hour["in_time"], hour["in_time"] + hour["late"])
        hint = "nothing ended" if p95 is None else f"p95 {duration(p95)}"
        self._latency.show(duration(p50), hint if on_time is None else f"{hint} · {percent(on_time)} in time")
        self._show_fleet(told["waiting"], told["workers"])
        self._show_money(told["spend"])
        if told["dead_letters"] is not None and self._letters is not None:
            number = told["dead_letters"]["open"]
            self._letters.show(short_count(number), "to be looked at" if number else "none", _bad(number))

    def _show_fleet(self, waiting: Sequence[Told] | None, workers: Sequence[Told] | None) -> None:
        if waiting is not None and self._waiting is not None:
            documents = sum(one["documents"] for one in waiting)
            oldest = max((one["oldest_seconds"] for one in waiting), default=0.0)
            hint = f"oldest {duration(oldest)}" if documents or oldest else "nothing waits"
            self._waiting.show(short_count(documents), hint)
        if workers is not None and self._workers is not None:
            alive, wanted = sum(one["alive"] for one in workers), sum(one["wanted"] for one in workers)
            slots = sum(one["slots"] for one in workers)
            self._workers.show(f"{alive} / {wanted}", f"{slots} slots", "warning" if alive < wanted else "")

    def _show_money(self, spend: Told | None) -> None:
        if spend is None or self._spent is None or self._saved is None:
            return
        budgets = spend["budgets"]
        worst = max(budgets, key=lambda one: one["percent"], default=None)
        hint = f"{money(spend['month_usd'])} this month"
        if worst is not None:
            hint += f" · {worst['percent']:.0f} % of {money(worst['limit_usd'])}"
        tone = {"warned": "warning", "exhausted": "bad"}.get(worst["state"], "") if worst else ""
        self._spent.show(money(spend["today_usd"]), hint, tone)
        saved = spend["saved_usd"]
        self._saved.show(money(saved), "nothing to compare with" if saved is None else "read here or not twice")


class _Fleet:
    """What waits, and who works."""

    def __init__(self) -> None:
        with tag("div", classes="columns"):
            with panel("Waiting by pool and priority"):
                self._nothing = tag("p", "Nothing waits.", "quiet-text")
                self._waiting = table(
                    {"pool": "Pool", "priority": "Priority", "documents": "Documents", "oldest": "Oldest"},
                    numbers=("documents", "oldest"),
                )
            with panel("Workers"):
                self._nobody = tag("p", "Nobody has decided yet how many workers there are to be.", "quiet-text")
                self._workers = table(
                    {"pool": "Pool", "alive": "There", "wanted": "Wanted", "slots": "Slots", "reason": "Because"},
                    numbers=("alive", "wanted", "slots"),
                )

    def show(self, told: Told) -> None:
        waiting = [
            {
                "id": f"{one['pool']}/{one['priority']}",
                "pool": one["pool"],
                "priority": one["priority"],
                "documents": count(one["documents"]),
                "oldest": duration(one["oldest_seconds"]),
            }
            for one in told["waiting"] or ()
            if one["documents"] or one["oldest_seconds"]
        ]
        workers = [{**one, "id": one["pool"]} for one in told["workers"] or ()]
        _show_rows(self._waiting, waiting, self._nothing)
        _show_rows(self._workers, workers, self._nobody)


def _show_rows(made: ui.table, rows: list[dict[str, Any]], nothing: Tag) -> None:
    if made.rows != rows:
        made.rows = rows
    made.set_visibility(bool(rows))
    nothing.set_visibility(not rows)


def _read(sums: Told) -> int:
    return int(sums["succeeded"] + sums["partial"])


def _ended(sums: Told) -> int:
    return int(_read(sums) + sums["failed"] + sums["broken"])


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole > 0 else None


def _success(hour: Told) -> tuple[str, str, str]:
    """Of what ended, how much was read; whose fault the rest was."""
    share = _share(_read(hour), _ended(hour))
    if share is None:
        return NONE, "nothing ended", ""
    parts = [
        f"{count(hour[name])} {told}" for name, told in (("partial", "partial"), ("failed", "unreadable")) if hour[name]
    ]
    if hour["broken"]:
        parts.insert(0, f"{percent(_share(hour['broken'], _ended(hour)))} our errors")
    tone = "bad" if hour["broken"] else "good" if share == 1 else ""
    return percent(share), ", ".join(parts) or "all read", tone


def _bad(number: int) -> str:
    return "bad" if number else ""
