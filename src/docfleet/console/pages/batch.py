"""One batch: how far it is, its documents, sealing, giving up, its report."""

from __future__ import annotations

from typing import Any

from nicegui import ui

from docfleet.console.batch_parts import progress
from docfleet.console.bulk_dialogs import BulkBar
from docfleet.console.frame import console_page
from docfleet.console.parts import confirm, link, tag, time_of
from docfleet.console.session import Session
from docfleet.console.viewer.style import use_style
from docfleet.console.viewer.widget import Widget
from docfleet.domain.access import Permission
from docfleet.domain.work import DOCUMENT_ENDS

_ENDS = {state.value for state in DOCUMENT_ENDS}


@console_page("/batches/{id}", "Batch", needs=Permission.LIST_DOCUMENTS)
async def batch(session: Session, id: str) -> None:
    use_style(session)
    if not (id.isalnum() and len(id) <= 64):
        id = "-"
    address = f"/v1/batches/{id}"
    facts: dict[str, Any] = await session.api.get(address)
    told = ""
    with tag("div", classes="row-of"):
        tag("h2", facts["name"] or facts["id"], "document-name").props("dir=auto")
        tag("div", classes="grow")
        buttons = tag("div", classes="row-of").props('role=toolbar aria-label="What can be done"')
    with tag("p", classes="hint"):
        tag("span", "Opened ")
        time_of(facts["created_at"])
    place = tag("section", classes="panel")

    async def refresh() -> None:
        nonlocal facts, told
        facts = await session.api.get(address)
        if repr(facts) == told:
            return
        told = repr(facts)
        place.clear()
        with place:
            progress(facts)
        buttons.clear()
        with buttons:
            _actions(session, facts, refresh)

    await refresh()
    filters = [("batch", id)]
    bar = BulkBar(session, lambda: filters)
    found = Widget(
        "DocumentList",
        {
            "url": session.url("/data/documents"),
            "links": session.url("/documents/"),
            "filters": filters,
            "select": session.may(Permission.CONTROL) or session.may(Permission.DELETE),
            "seconds": session.options.refresh_seconds,
            "reset": 0,
            "version": 0,
        },
    ).classes("document-list")
    found.when("selection", bar.show)
    resets = iter(range(1, 1_000_000_000))
    bar.on_done = lambda: found.set_options(reset=next(resets))
    session.every(session.options.refresh_seconds, refresh)


def _actions(session: Session, facts: dict[str, Any], refresh: Any) -> None:
    address = f"/v1/batches/{facts['id']}"
    open_documents = sum(number for state, number in facts["documents"].items() if state not in _ENDS)
    if session.may(Permission.SUBMIT) and facts["sealed_at"] is None:
        made = link("Add documents", session.url(f"/documents?batch={facts['id']}"))
        made.classes("chip tone-info")

        async def seal() -> None:
            await session.api.post(f"{address}/seal")
            await refresh()

        ui.button(
            "Seal …",
            on_click=lambda: confirm(
                "Seal this batch?", "It takes no more documents and is finished when the last has ended.", "Seal", seal,
                danger=False,
            ),
        ).props("outline dense no-caps")  # fmt: skip
    if session.may(Permission.CONTROL) and open_documents:

        async def cancel() -> None:
            said = await session.api.post(f"{address}/cancel")
            session.say(f"{said['count']} documents were given up.")
            await refresh()

        ui.button(
            "Cancel all …",
            on_click=lambda: confirm(
                "Give the batch up?", f"Its {open_documents:,} documents that have not ended are given up.",
                "Cancel them", cancel,
            ),
        ).props("outline dense no-caps")  # fmt: skip
    if session.may(Permission.LIST_DOCUMENTS):
        report = link("Report (PDF)", session.url(f"/data/batches/{facts['id']}/report")).classes("chip tone-info")
        report.props["download"] = True
