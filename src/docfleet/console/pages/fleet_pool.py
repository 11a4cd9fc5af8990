"""One pool on the page of the fleet: its size, what waits, and why it has this size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from docfleet.console.parts import NONE, ago, count, duration, panel, table, tag
from docfleet.console.redrawn import Redrawn, Words
from docfleet.console.wording import counted

STALE_SECONDS = 60.0
"""A demand that was not renewed for so long is nobody's."""
PRIORITIES = {
    "priority": "Priority",
    "target": "Target",
    "documents": "Docs",
    "pages": "Pages",
    "slices": "Slices",
    "work": "Work",
    "oldest": "Oldest",
    "running": "Running",
}
Facts = Mapping[str, Any]


class PoolPanel:
    """Made once for a pool; `show` with every look."""

    def __init__(self, pool: str) -> None:
        with panel(classes="pool") as self.element:
            with tag("div", classes="panel-head"):
                tag("h2", f"Pool {pool}")
                self._state = Words(classes="chip")
            with tag("p", classes="pool-size"):
                self._size = Words("strong")
                self._slots = Words(classes="quiet-text")
            self._reason = Words("p", "break")
            with tag("dl", classes="facts"):
                self._arriving = _fact("Arriving")
                self._waiting = _fact("Waiting")
                self._decided = _fact("Decided")
            self._classes = table(PRIORITIES, numbers=[name for name in PRIORITIES if name != "priority"])
            self._classes.classes("tight")
            self._idle = tag("p", "Nothing waits and nothing runs here.", "hint")
            with tag("details", classes="why"):
                tag("summary", "Why this size")
                self._needs = Redrawn(classes="needs")

    def show(self, demand: Facts, direct: int) -> None:
        """`demand`: as the API tells it; `direct`: workers that ask the ledger since they have no broker."""
        load = demand["load"] or {}
        alive, wanted = int(load.get("alive", 0)), int(demand["workers"])
        self._state.show(*standing(alive, wanted, float(demand["age_seconds"])))
        self._size.show(f"{count(alive)} of {counted(wanted, 'worker')}")
        slots = alive * float(load.get("slots_per_worker", 1.0))
        in_direct_mode = f", {direct} in direct mode" if direct else ""
        self._slots.show(f" · {counted(slots, 'slot')}{in_direct_mode}")
        self._reason.show(str(demand["reason"]))
        unit = "page" if demand["pool"] == "cloud" else "document"
        arriving = float(load.get("arriving_documents_per_second", 0.0))
        busy = float(load.get("arriving_seconds_per_second", 0.0))
        self._arriving.show(f"{counted(arriving * 3600, unit)} an hour, which keeps {busy:.1f} slots busy")
        classes = list(load.get("by_priority", ()))
        self._waiting.show(waiting_said(classes))
        self._decided.show(f"{ago(demand['decided_at'])}, changed {ago(demand['changed_at'])}")
        self._show_classes(classes)
        facts = (demand["needs"], demand["limits"], demand["outlook"])
        self._needs.show(facts, lambda: draw_reasons(*facts))

    def _show_classes(self, classes: Sequence[Facts]) -> None:
        rows = [class_row(one) for one in classes if one["waiting_slices"] or one["running_slices"]]
        if rows != self._classes.rows:
            self._classes.rows = rows
        self._classes.set_visibility(bool(rows))
        self._idle.set_visibility(not rows)


def _fact(name: str) -> Words:
    tag("dt", name)
    return Words("dd")


def standing(alive: int, wanted: int, age_seconds: float) -> tuple[str, str]:
    """(what to say, its tone)"""
    if age_seconds > STALE_SECONDS:
        return f"nobody has decided for {duration(age_seconds)}", "bad"
    if alive < wanted:
        return f"{wanted - alive} more to come", "warning"
    if alive > wanted:
        return f"{alive - wanted} to go", "info"
    return "as wanted", "good"


def waiting_said(classes: Sequence[Facts]) -> str:
    work = sum(float(one["waiting_seconds"]) for one in classes)
    oldest = max((float(one["oldest_seconds"]) for one in classes), default=0.0)
    slices = sum(int(one["waiting_slices"]) for one in classes)
    if not slices:
        return "nothing"
    return f"{counted(slices, 'slice')}: {duration(work)} of work for one slot, the oldest for {duration(oldest)}"


def class_row(one: Facts) -> dict[str, Any]:
    return {
        "id": one["priority"],
        "priority": one["priority"],
        "target": duration(one["target_seconds"]),
        "documents": count(one["waiting_documents"]),
        "pages": count(one["waiting_pages"]),
        "slices": count(one["waiting_slices"]),
        "work": duration(one["waiting_seconds"]),
        "oldest": duration(one["oldest_seconds"]) if one["waiting_slices"] else NONE,
        "running": count(one["running_slices"]),
    }


def draw_reasons(needs: Sequence[Facts], limits: Sequence[Facts], outlook: str = "") -> None:
    """What each rule asks for, what holds it down, and what the forecast has to do with it."""
    draw_rules("What each rule asks for", needs)
    draw_rules("What holds it down, or slows it", limits)
    if outlook:
        tag("h3", "The forecast")
        tag("p", outlook, "break")


def draw_rules(title: str, rules: Sequence[Facts]) -> None:
    if not rules:
        return
    tag("h3", title)
    with tag("dl", classes="rules"):
        for one in rules:
            tag("dt", f"{one['rule']}: {count(one['workers'])}")
            tag("dd", str(one["why"]))
