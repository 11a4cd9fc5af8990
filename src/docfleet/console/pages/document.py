"""One document: its pages beside what was read of them, how it stands, what happened, and what can be done."""

from __future__ import annotations

from typing import Any

import msgspec
from nicegui import ui

from docfleet.console.client import Api
from docfleet.console.document_actions import NEEDS_PASSWORD, Actions
from docfleet.console.frame import console_page
from docfleet.console.history_words import in_words
from docfleet.console.parts import (
    count,
    duration,
    link,
    money,
    percent,
    problem_banner,
    size,
    stat_tile,
    status_chip,
    tag,
    time_of,
    when,
)
from docfleet.console.session import Session
from docfleet.console.viewer.style import use_style
from docfleet.console.viewer.widget import Widget
from docfleet.domain.access import Permission
from docfleet.domain.work import DOCUMENT_ENDS, DocumentState

_ENDS = {state.value for state in DOCUMENT_ENDS}
_EVENTS = 200
_TONES = {DocumentState.PARTIAL: "warning", DocumentState.FAILED: "bad", DocumentState.CANCELLED: "info"}
_FORMATS = {
    "json": "JSON", "md": "Markdown", "txt": "Text", "pdf": "Searchable PDF", "csv": "Table", "hocr": "hOCR",
    "outcome": "Account of the pages",
}  # fmt: skip


@console_page("/documents/{id}", "Document", needs=Permission.LIST_DOCUMENTS)
async def document(session: Session, id: str, page: int = 1) -> None:
    use_style(session)
    if not (id.isalnum() and len(id) <= 64):
        id = "-"  # the API says what it says of what does not exist
    shown = DocumentPage(session, await session.api.get(f"/v1/documents/{id}"), page)
    await shown.refresh(first=True)
    session.every(session.options.refresh_seconds, shown.refresh)


class DocumentPage:
    def __init__(self, session: Session, facts: dict[str, Any], page: int) -> None:
        self._session = session
        self._facts = facts
        self._address = f"/v1/documents/{facts['id']}"
        self._told = ""
        self._head()
        self._viewer: Widget | None = None
        if session.may(Permission.READ_RESULTS):
            self._viewer = Widget("Viewer", {**self._seen(), "page": page}).classes("viewer")
            self._viewer.props["data-keys"] = _KEYS
        else:
            problem_banner("Your key may see how documents stand, but not what is in them.", "info")
        with ui.expansion("Facts").classes("panel-like").props("dense"):
            self._list = tag("dl", classes="facts")
        with ui.expansion("History", on_value_change=self._history).classes("panel-like").props("dense") as history:
            self._events = tag("div", classes="history")
        self._history_panel = history

    # --- at the top

    def _head(self) -> None:
        facts = self._facts
        name = "".join(letter for letter in facts["name"] if letter.isprintable())
        ui.page_title(f"{name[:80] or facts['id']} · docfleet")
        with tag("div", classes="row-of document-head"):
            tag("h2", facts["name"] or facts["id"], "document-name").props("dir=auto")
            self._chip_place = tag("span")
            tag("div", classes="grow")
            self._actions = Actions(self._session, self.refresh)
        self._notice = tag("div")
        with tag("div", classes="tiles document-tiles"):
            self._pages = stat_tile("Pages read")
            self._sure = stat_tile("Confidence")
            self._price = stat_tile("Price")
            self._time = stat_tile("Time")
            self._engines = stat_tile("Engines")
        self._labels = tag("div", classes="row-of")
        self._downloads = tag("div", classes="row-of downloads").props('role=group aria-label="Downloads"')

    async def refresh(self, first: bool = False) -> None:
        if not first:
            self._facts = await self._session.api.get(self._address)
        facts = self._facts
        version = _version(facts)
        if version == self._told:
            return
        self._told = version
        self._show_state(facts)
        self._show_figures(facts)
        self._show_labels(facts)
        self._show_downloads(facts)
        self._show_facts(facts)
        self._actions.show(facts)
        if self._viewer is not None and not first:
            self._viewer.set_options(**self._seen())
        await self._history()

    def _seen(self) -> dict[str, Any]:
        facts = self._facts
        return {
            "base": self._session.url(f"/data/documents/{facts['id']}"),
            "version": _version(facts),
            "ended": facts["state"] in _ENDS,
            "has": sorted({result["format"] for result in facts["results"]}),
        }

    def _show_state(self, facts: dict[str, Any]) -> None:
        self._chip_place.clear()
        with self._chip_place:
            status_chip(facts["state"])
        self._notice.clear()
        remedy = facts["remedy"]
        if facts["code"] in NEEDS_PASSWORD and self._session.may(Permission.CONTROL):
            remedy = "Press Retry to give its password."
        said = " ".join(part for part in (facts["message"], facts["detail"], remedy) if part)
        if facts["state"] == DocumentState.PARTIAL and not facts["detail"]:
            said = f"{count(facts['pages']['failed'])} of {count(facts['pages']['total'])} pages were not read. {said}"
        if facts["state"] in _TONES or facts["code"]:
            with self._notice:
                code = f" ({facts['code']})" if facts["code"] else ""
                banner = problem_banner(
                    f"{said or facts['state'].capitalize()}{code}", _TONES.get(facts["state"], "info")
                )
                banner.classes("break")

    def _show_figures(self, facts: dict[str, Any]) -> None:
        pages = facts["pages"]
        read = NOT_KNOWN if pages["total"] is None else f"{count(pages['read'])} of {count(pages['total'])}"
        self._pages.show(
            read, f"{count(pages['failed'])} failed" if pages["failed"] else "", "bad" if pages["failed"] else ""
        )
        self._sure.show(percent(facts["confidence"]))
        self._price.show(money(facts["cost_usd"]), "taken from an earlier one" if facts["duplicate_of"] else "")
        waited = _seconds_between(facts["created_at"], facts["finished_at"])
        self._time.show(duration(waited), f"{duration(facts['work_seconds'])} of work" if facts["finished_at"] else "")
        engines = ", ".join(f"{name} {count(number)}" for name, number in facts["engines"].items())
        self._engines.show(engines.partition(",")[0] or NOT_KNOWN, engines.partition(",")[2])

    def _show_labels(self, facts: dict[str, Any]) -> None:
        self._labels.clear()
        self._labels.set_visibility(bool(facts["labels"]))
        with self._labels:
            for name, value in facts["labels"].items():
                if name == "read-again-of" and value.isalnum():
                    link("Reads an earlier document again", self._session.url(f"/documents/{value}"))
                else:
                    tag("span", f"{name}={value}", "chip").props("dir=auto")

    def _show_downloads(self, facts: dict[str, Any]) -> None:
        self._downloads.clear()
        if not self._session.may(Permission.READ_RESULTS):
            return
        base = self._session.url(f"/data/documents/{facts['id']}")
        with self._downloads:
            tag("span", "Download", "hint")
            for name, address, title in _files(facts, base):
                made = link(name, address).classes("chip tone-info")
                made.props["download"] = True
                made.props["title"] = title

    def _show_facts(self, facts: dict[str, Any]) -> None:
        rows = {
            "Id": facts["id"],
            "Type": facts["media_type"],
            "Size": size(facts["size_bytes"]),
            "SHA-256": facts["sha256"],
            "Submitted by": f"key {facts['submitted_by']}" if facts["submitted_by"] else "",
            "Priority": f"{facts['priority']} in pool {facts['pool']}",
            "Read with": _read_with(facts["options"]),
            "Round": count(facts["round"]),
        }
        moments = {"Submitted": "created_at", "Ended": "finished_at", "Deadline": "deadline"}
        self._list.clear()
        with self._list:
            for name, member in moments.items():
                if facts[member]:
                    tag("dt", name)
                    with tag("dd"):
                        time_of(facts[member])
            for name, value in rows.items():
                if value:
                    tag("dt", name)
                    tag("dd", value).props("dir=auto")
            if facts["batch_id"]:
                tag("dt", "Batch")
                with tag("dd"):
                    link(facts["batch_id"], self._session.url(f"/batches/{facts['batch_id']}"))
            if facts["duplicate_of"]:
                tag("dt", "Same as")
                with tag("dd"):
                    link(facts["duplicate_of"], self._session.url(f"/documents/{facts['duplicate_of']}"))

    # --- what happened

    async def _history(self) -> None:
        if not self._history_panel.value:
            return
        events, more = await events_of(self._session.api, self._facts["id"])
        self._events.clear()
        with self._events, tag("table"):
            with tag("thead"), tag("tr"):
                for name in ("When", "What happened", "Why"):
                    tag("th", name)
            with tag("tbody"):
                for one in in_words(events):
                    with tag("tr"):
                        with tag("td", classes="when"):
                            time_of(one.at)
                        tag("td", one.what)
                        tag("td", one.why).props("dir=auto")
        if more:
            with self._events:
                tag("p", f"The first {_EVENTS} events; the rest by the API.", "hint")


NOT_KNOWN = "–"
_KEYS = "n=Next page;p=Page before;+=Larger;-=Smaller;0=Fit the width;9=Fit the page;r=Turn the page"


def _version(facts: dict[str, Any]) -> str:
    pages = facts["pages"]
    return (
        f"{facts['state']} {facts['round']} {pages['total']} {pages['read']} {pages['failed']} "
        f"{len(facts['results'])} {sorted(facts['labels'].items())} {facts['priority']}"
    )


def _seconds_between(start: str, end: str | None) -> float | None:
    first, last = when(start), when(end)
    return None if first is None or last is None else (last - first).total_seconds()


def _read_with(options: dict[str, Any]) -> str:
    parts = [
        f"engine {options['engine']}" if options["engine"] else "",
        f"mode {options['mode']}",
        f"formats {', '.join(options['formats'])}",
        f"languages {', '.join(options['languages'])}" if options["languages"] else "",
        f"features {', '.join(options['features'])}" if options["features"] else "text alone",
    ]
    return "; ".join(part for part in parts if part)


def _files(facts: dict[str, Any], base: str) -> list[tuple[str, str, str]]:
    """(name, address, title) of the original and of each result; many tables as one archive."""
    found = [("Original", f"{base}/source", f"As submitted, {size(facts['size_bytes'])}")]
    packed = any(result["path"].endswith(".zip") for result in facts["results"])
    for result in facts["results"]:
        if result["format"] == "csv" and packed and not result["path"].endswith(".zip"):
            continue
        name = "Tables (zip)" if result["path"].endswith(".zip") else _FORMATS.get(result["format"], result["format"])
        # as the API spells it, escaped already
        tail = result["url"].partition(f"/v1/documents/{facts['id']}/results/")[2]
        found.append((name, f"{base}/results/{tail}", f"{result['path']}, {size(result['size_bytes'])}"))
    return found


async def events_of(api: Api, document: str) -> tuple[list[dict[str, Any]], bool]:
    """The first events of a document, and whether there are more."""
    address = f"/v1/documents/{document}/events"
    async with api.stream(address, {"limit": _EVENTS + 1}, headers={"accept": "application/json"}) as response:
        items = msgspec.json.decode(await response.aread())["items"]
    return items[:_EVENTS], len(items) > _EVENTS
