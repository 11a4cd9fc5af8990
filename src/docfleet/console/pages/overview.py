"""How it goes, at a glance."""

from __future__ import annotations

from docfleet.console.frame import console_page
from docfleet.console.parts import stat_tile, tag
from docfleet.console.session import Session
from docfleet.domain.access import Permission


@console_page("/", "Overview", needs=Permission.LIST_DOCUMENTS, icon="dashboard", order=10, shortcut="o")
async def overview(session: Session) -> None:
    with tag("div", classes="tiles"):
        documents = stat_tile("Documents this hour")

    async def refresh() -> None:
        said = await session.api.get("/v1/documents", {"limit": 1})
        documents.show(str(len(said["items"])))

    await refresh()
    session.every(session.options.refresh_seconds, refresh)
