"""Batches: documents that were submitted together, and how far they are."""

from __future__ import annotations

from typing import Any

from nicegui import ui

from docfleet.console.batch_parts import progress
from docfleet.console.frame import console_page
from docfleet.console.parts import empty_state, link, tag, time_of
from docfleet.console.session import Session
from docfleet.console.viewer.style import use_style
from docfleet.domain.access import Permission

_AT_ONCE = 50


@console_page("/batches", "Batches", needs=Permission.LIST_DOCUMENTS, icon="folder", order=30, shortcut="b")
async def batches(session: Session, cursor: str = "") -> None:
    use_style(session)
    if session.may(Permission.SUBMIT):
        with tag("div", classes="row-of"):
            ui.button("New batch …", on_click=lambda: _new_batch(session)).props("unelevated no-caps")
    place = tag("div", classes="batch-list")
    told = ""

    async def refresh() -> None:
        nonlocal told
        found = await session.api.get("/v1/batches", {"limit": _AT_ONCE, "cursor": cursor[:500]})
        if repr(found) == told:
            return
        told = repr(found)
        place.clear()
        with place:
            for batch in found["items"]:
                _row(session, batch)
            if not found["items"]:
                text = "Batches hold what belongs together: a day's post, an archive."
                if session.may(Permission.SUBMIT):
                    text += " Make one here or with the API."
                empty_state("There is no batch yet", text, symbol="folder")
            with tag("div", classes="row-of"):
                if cursor:
                    link("‹ The newest", session.url("/batches"))
                if found["next_cursor"]:
                    link("Earlier ones ›", session.url(f"/batches?cursor={found['next_cursor']}"))

    await refresh()
    session.every(session.options.refresh_seconds, refresh)


def _row(session: Session, batch: dict[str, Any]) -> None:
    with tag("section", classes="panel"):
        with tag("div", classes="panel-head"):
            link(batch["name"] or batch["id"], session.url(f"/batches/{batch['id']}")).props("dir=auto").classes(
                "break"
            )
            time_of(batch["created_at"]).classes("hint")
        progress(batch)
        for name, value in list(batch["labels"].items())[:8]:
            tag("span", f"{name}={value}", "chip").props("dir=auto")


def _new_batch(session: Session) -> None:
    with ui.dialog() as dialog, tag("div", classes="dialog"):
        tag("h2", "New batch")
        name = ui.input("Name").props("outlined dense autofocus maxlength=200")

        async def go() -> None:
            made = await session.api.post("/v1/batches", {"name": name.value or ""})
            dialog.close()
            ui.navigate.to(f"/batches/{made['id']}")

        with tag("div", classes="dialog-buttons"):
            ui.button("Cancel", on_click=dialog.close).props("flat no-caps").classes("quiet")
            ui.button("Open it", on_click=go).props("unelevated no-caps")
    dialog.on("hide", dialog.delete)
    dialog.open()
