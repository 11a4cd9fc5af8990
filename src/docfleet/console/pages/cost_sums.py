"""The account of a month as rows and sentences, and as CSV. Pure."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from docfleet.console.pages.fleet_plot import LEGEND
from docfleet.console.parts import NONE, axis, count, money, percent
from docfleet.console.wording import counted

Facts = Mapping[str, Any]
PARTS = (
    ("engine_usd", "Engines: their calls"),
    ("busy_usd", "Work: workers on pages"),
    ("idle_usd", "Idle: workers beside that, waiting and starting"),
    ("storage_usd", "Storage"),
    ("hosting_usd", "Hosting: own processors, deployed"),
    ("base_usd", "Base: databases, broker, API"),
)
MUTED = {"color": "var(--muted)"}
PART_COLUMNS = {"part": "Part", "month": "This month", "document": "A document", "share": "Share"}
PROCESSOR_COLUMNS = {
    "processor": "Processor",
    "spent": "Spent",
    "reserved": "Under way",
    "lost": "Without a result",
    "pages": "Pages",
    "requests": "Requests",
    "page": "A page",
}
TENANT_COLUMNS = {
    "tenant": "Tenant",
    "usd": "Whole cost",
    "documents": "Documents",
    "document": "A document",
    "engine": "Engines",
    "workers": "Workers",
    "standing": "Storage and base",
    "saved": "Saved by deduplication",
}
SAVED_COLUMNS = {"by": "Saved by", "amount": "Amount", "how": "How"}


def months_until(now: datetime, most: int = 24) -> dict[str, str]:
    """ "2026-11" -> "November 2026", the present one first."""
    found = {}
    year, month = now.year, now.month
    for _ in range(most):
        found[f"{year:04d}-{month:02d}"] = datetime(year, month, 1).strftime("%B %Y")
        year, month = (year, month - 1) if month > 1 else (year - 1, 12)
    return found


def part_rows(whole: Facts) -> list[dict[str, Any]]:
    documents, total = whole["documents"], whole["usd"]
    rows = [
        {
            "id": name,
            "part": label,
            "month": money(whole[name]),
            "document": money(whole[name] / documents) if documents else NONE,
            "share": percent(whole[name] / total, 0) if total else NONE,
        }
        for name, label in PARTS
        if whole[name] or name != "hosting_usd"
    ]
    each = money(whole["usd_per_document"])
    return [*rows, {"id": "all", "part": "All", "month": money(total), "document": each, "share": ""}]


def processor_rows(costs: Facts) -> list[dict[str, Any]]:
    return [
        {
            "id": f"{one['engine']} {one['processor']}",
            "processor": f"{one['engine']} {one['processor']}",
            "spent": money(one["spent_usd"]),
            "reserved": money(one["reserved_usd"]),
            "lost": money(one["without_result_usd"]),
            "pages": count(one["pages"]),
            "requests": count(one["requests"]),
            "page": money((one["spent_usd"] + one["reserved_usd"]) / one["pages"]) if one["pages"] else NONE,
        }
        for one in costs["by_processor"]
    ]


def tenant_rows(items: Sequence[Facts]) -> list[dict[str, Any]]:
    rows = []
    for one in items:
        whole = one["whole"]
        rows.append(
            {
                "id": one["tenant"],
                "tenant": one["tenant"],
                "usd": money(whole["usd"]),
                "documents": count(whole["documents"]),
                "document": money(whole["usd_per_document"]),
                "engine": money(whole["engine_usd"]),
                "workers": money(whole["busy_usd"] + whole["idle_usd"]),
                "standing": money(whole["storage_usd"] + whole["hosting_usd"] + whole["base_usd"]),
                "saved": money(one["deduplication_usd"]),
            }
        )
    return rows


def saved_rows(costs: Facts) -> list[dict[str, Any]]:
    saved = costs["saved"]
    cascade = (
        f"{count(saved['local_pages'])} pages read here, at the price of {saved['cascade_processor']}"
        if saved["cascade_usd"] is not None
        else "not known: no price of a cloud processor is told"
    )
    rows = [
        ("cascade", "The cascade", money(saved["cascade_usd"]), cascade),
        (
            "deduplication",
            "Deduplication",
            money(saved["deduplication_usd"]),
            f"{counted(saved['duplicate_documents'], 'document')}, {counted(saved['duplicate_pages'], 'page')} that "
            "were read before: what engines took for them then",
        ),
        (
            "packing",
            "Packing",
            f"{count(saved['packing_requests'])} requests",
            "they spare the quota, not money: engines charge by the page",
        ),
    ]
    compared = costs["all_cloud"]
    if compared is not None:
        rows.append(("cloud", "Against all pages in the cloud", money(compared["saved_usd"]), _against(compared)))
    by_hand = costs["by_hand"]
    if by_hand is not None:
        rows.append(("hand", "Against people who type", money(by_hand["saved_usd"]), _against(by_hand)))
    return [{"id": id_, "by": by, "amount": amount, "how": how} for id_, by, amount, how in rows]


def _against(one: Facts) -> str:
    gain = one["return_on_cost"]
    told = "" if gain is None else f"; each dollar spent here {'saved' if gain >= 0 else 'lost'} {money(abs(gain))}"
    return f"that way: {money(one['usd'])}, less the whole cost{told}"


def target_said(whole: Facts) -> tuple[str, str]:
    """(how the cost of a document stands to what is aimed at, tone)"""
    target, each = whole["target_usd_per_document"], whole["usd_per_document"]
    if each is None:
        return "no document has results yet", ""
    if target is None:
        return "nothing is aimed at", ""
    if each < target:
        return f"aimed at ${target:g}: {percent(1 - each / target, 0)} below", "good"
    return f"aimed at ${target:g}: {(each / target - 1) * 100:,.0f} % above", "bad"


def forecast_said(costs: Facts) -> tuple[str, str]:
    """(what calls will have cost at the end of the month, how sure that is)"""
    told = costs["forecast"]
    if told is None:
        return money(costs["spent_usd"]), "this month is over"
    if not told["days_seen"]:
        return NONE, "not known before a full day has passed"
    band = f"{money(told['low_usd'])} to {money(told['high_usd'])}, from {told['days_seen']} full days"
    return money(told["expected_usd"]), band


def day_plot(statistics: Facts) -> dict[str, Any]:
    """What engines took each day, and the pages that were read."""
    days = [str(one["at"])[:10] for one in statistics["steps"]]
    return {
        "xAxis": axis("category", data=[day[5:] for day in days]),
        "yAxis": [axis(name="$", min=0, nameTextStyle=MUTED), axis(min=0, splitLine={"show": False})],
        "legend": LEGEND,
        "grid": {"left": 8, "right": 8, "top": 24, "bottom": 32, "containLabel": True},
        "series": [
            {"name": "engines, $", "type": "bar", "data": [round(one["cost_usd"], 6) for one in statistics["steps"]]},
            {
                "name": "pages",
                "type": "line",
                "yAxisIndex": 1,
                "showSymbol": len(days) < 3,
                "data": [one["pages"] for one in statistics["steps"]],
            },
        ],
    }


def month_plot(months: Sequence[Facts]) -> dict[str, Any]:
    """The whole cost of some months, the oldest first, and what a document cost in each."""
    documents = [one["whole"]["usd_per_document"] for one in months]
    return {
        "xAxis": axis("category", data=[one["month"] for one in months]),
        "yAxis": [
            axis(name="$", min=0, nameTextStyle=MUTED),
            axis(name="$ each", min=0, nameTextStyle=MUTED, splitLine={"show": False}),
        ],
        "legend": {**LEGEND, "type": "scroll"},
        "grid": {"left": 8, "right": 8, "top": 24, "bottom": 32, "containLabel": True},
        "series": [
            *(
                {
                    "name": label.partition(":")[0],
                    "type": "bar",
                    "stack": "whole",
                    "data": [round(one["whole"][name], 4) for one in months],
                }
                for name, label in PARTS
                if any(one["whole"][name] for one in months)
            ),
            {"name": "a document, $", "type": "line", "yAxisIndex": 1, "data": documents, "color": "var(--text)"},
        ],
    }


def as_csv(costs: Facts, tenants: Sequence[Facts]) -> str:
    """The account of a month for a spreadsheet: one figure a line. Text that a spreadsheet would take for a formula
    stays text."""
    file = io.StringIO()
    write = csv.writer(file, lineterminator="\r\n").writerow
    write(("month", "of", "figure", "value", "unit"))
    whole = costs["whole"]
    for name, label in PARTS:
        write((costs["month"], "whole", label, whole[name], "USD"))
    write((costs["month"], "whole", "All", whole["usd"], "USD"))
    write((costs["month"], "whole", "A document", _known(whole["usd_per_document"]), "USD"))
    for name in ("documents", "pages"):
        write((costs["month"], "whole", name.title(), whole[name], name))
    for one in costs["by_processor"]:
        whose = _harmless(f"{one['engine']} {one['processor']}")
        for name, unit in (("spent_usd", "USD"), ("reserved_usd", "USD"), ("pages", "pages"), ("requests", "requests")):
            write((costs["month"], whose, name.removesuffix("_usd"), one[name], unit))
    saved = costs["saved"]
    write((costs["month"], "saved", "cascade", _known(saved["cascade_usd"]), "USD"))
    write((costs["month"], "saved", "deduplication", saved["deduplication_usd"], "USD"))
    write((costs["month"], "saved", "packing", saved["packing_requests"], "requests"))
    for one in tenants:
        for name in ("usd", "engine_usd", "busy_usd", "idle_usd", "storage_usd", "hosting_usd", "base_usd"):
            figure = name.removesuffix("_usd").replace("usd", "All")
            write((costs["month"], _harmless(f"tenant {one['tenant']}"), figure, one["whole"][name], "USD"))
        write(
            (costs["month"], _harmless(f"tenant {one['tenant']}"), "documents", one["whole"]["documents"], "documents")
        )
    return file.getvalue()


def _known(figure: float | None) -> float | str:
    return "not known" if figure is None else figure


def _harmless(text: str) -> str:
    return f"'{text}" if text[:1] in "=+-@\t\r" else text
