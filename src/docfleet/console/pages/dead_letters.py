"""Dead letters: work that was given up, by its cause; tried again by group, document or page, or taken off the list."""

from __future__ import annotations

from typing import Any

from nicegui import ui

from docfleet.console.frame import console_page
from docfleet.console.parts import ago, confirm, count, empty_state, link, tag, time_of
from docfleet.console.session import Session
from docfleet.console.viewer.style import use_style
from docfleet.domain.access import Permission
from docfleet.domain.work import PAGE_STEPS

_AT_ONCE = 50
_PAGE_STEPS = {step.value for step in PAGE_STEPS}


@console_page(
    "/dead-letters", "Dead letters", needs=Permission.READ_DEAD_LETTERS, icon="report", order=40, shortcut="l"
)
async def dead_letters(session: Session, code: str = "", step: str = "") -> None:
    use_style(session)
    shown = DeadLetters(session, code[:64], step[:64])
    await shown.refresh()
    session.every(max(2.0, session.options.refresh_seconds), shown.refresh)


class DeadLetters:
    """The groups; one of them open with its letters."""

    def __init__(self, session: Session, code: str, step: str) -> None:
        self._session = session
        self._open = (code, step)
        self._told = ""
        self._cursor = ""
        tag("p", "Work that was given up after its tries. What was read of these documents is kept.", "hint")
        self._place = tag("div", classes="content")

    async def refresh(self) -> None:
        groups = (await self._session.api.get("/v1/dead-letters/groups"))["items"]
        letters: dict[str, Any] = {"items": [], "next_cursor": None}
        if not self._open[1]:
            # an address that names a cause without a step means the largest group of it
            self._open = next((_key(group) for group in groups if group["code"] == self._open[0]), self._open)
        if any(_key(group) == self._open for group in groups):
            asked = {"code": self._open[0], "step": self._open[1], "limit": _AT_ONCE, "cursor": self._cursor}
            letters = await self._session.api.get("/v1/dead-letters", asked)
        told = repr((groups, letters, self._open))
        if told == self._told:
            return
        self._told = told
        self._place.clear()
        with self._place:
            if not groups:
                empty_state("No dead letters", "Nothing was given up. This is how it should be.", symbol="task_alt")
            for group in groups:
                self._group(group, letters)

    def _group(self, group: dict[str, Any], letters: dict[str, Any]) -> None:
        is_open = _key(group) == self._open
        with tag("section", classes="panel dead-group"):
            with tag("div", classes="panel-head"):
                with tag("div"):
                    tag("h2", f"{group['code'].replace('_', ' ')} · {group['step']}")
                    letters_said = f"{count(group['count'])} in {count(group['documents'])} documents"
                    tag(
                        "p",
                        f"{letters_said}, newest {ago(group['newest_at'])}, oldest {ago(group['oldest_at'])}",
                        "hint",
                    )
                with tag("div", classes="row-of"):
                    self._change({"code": group["code"], "step": group["step"]}, f"all {count(group['count'])}")
                    ui.button("Close" if is_open else "Look at them", on_click=lambda: self._toggle(_key(group))).props(
                        f"flat dense no-caps aria-expanded={str(is_open).lower()}"
                    )
            tag("p", group["example_message"], "break").props("dir=auto")
            if is_open:
                self._letters(letters["items"])
                if self._cursor or letters["next_cursor"]:
                    self._pager(letters["next_cursor"])

    async def _toggle(self, key: tuple[str, str]) -> None:
        self._open = ("", "") if self._open == key else key
        self._cursor = ""
        await self.refresh()

    def _pager(self, next_cursor: str | None) -> None:
        async def go(cursor: str) -> None:
            self._cursor = cursor
            await self.refresh()

        with tag("div", classes="row-of"):
            if self._cursor:
                ui.button("‹ The newest", on_click=lambda: go("")).props("flat dense no-caps")
            if next_cursor:
                ui.button("Earlier ones ›", on_click=lambda: go(next_cursor)).props("flat dense no-caps")

    def _letters(self, letters: list[dict[str, Any]]) -> None:
        with tag("div", classes="scroll-x"), tag("table", classes="letters"):
            with tag("thead"), tag("tr"):
                for name in ("Document", "Pages", "Why", "Tries", "Last worker", "When", ""):
                    tag("th", name)
            with tag("tbody"):
                for letter in letters:
                    self._letter(letter)

    def _letter(self, letter: dict[str, Any]) -> None:
        with tag("tr"):
            with tag("td", classes="break"):
                name = letter["document_name"] or letter["document_id"]
                target = self._session.url(f"/documents/{letter['document_id']}?page={max(1, letter['first_page'])}")
                link(name[:200], target).props("dir=auto")
            tag("td", _pages(letter))
            why = letter["message"] + (f" {letter['detail']}" if letter["detail"] else "")
            tag("td", why, "break").props("dir=auto")
            tag("td", f"{letter['attempts']} ({letter['crashes']} crashes, {letter['errors']} errors)")
            tag("td", letter["worker"] or "–")
            with tag("td"):
                time_of(letter["at"])
            with tag("td"), tag("div", classes="row-of"):
                if self._session.may(Permission.CONTROL) and letter["step"] in _PAGE_STEPS:
                    ui.button("Retry pages", on_click=lambda: self._retry_pages(letter)).props("flat dense no-caps")
                self._change({"document_id": letter["document_id"]}, "the document")

    async def _retry_pages(self, letter: dict[str, Any]) -> None:
        """These pages alone; what was read of them meanwhile stays."""
        pages = list(range(letter["first_page"], letter["last_page"] + 1))
        known = (await self._session.api.get(f"/v1/documents/{letter['document_id']}/pages"))["items"]
        read = {page["number"] for page in known if page["state"] == "read"}
        wanted = [page for page in pages if page not in read]
        await self._session.api.post(f"/v1/documents/{letter['document_id']}/retry", {"pages": wanted or pages})
        self._session.say(f"Tried again: page {_pages(letter)}.")
        await self.refresh()

    def _change(self, choice: dict[str, str], what: str) -> None:
        """Buttons to try these again, or to take them off the list."""
        if not self._session.may(Permission.CONTROL_DEAD_LETTERS):
            return

        async def retry() -> None:
            said = await self._session.api.post("/v1/dead-letters/retry", choice)
            if said["count"]:
                many = "1 document was" if said["count"] == 1 else f"{count(said['count'])} documents were"
                self._session.say(f"{many} started again.")
            else:
                self._session.say("None could be started again: their documents have not ended yet.", bad=True)
            await self.refresh()

        async def discard() -> None:
            said = await self._session.api.post("/v1/dead-letters/discard", choice)
            self._session.say(f"Taken off the list: {count(said['count'])}.")
            await self.refresh()

        ui.button(f"Retry {what}", on_click=retry).props("outline dense no-caps")
        text = "Their documents stay as they ended; what was not read of them stays unread."
        ui.button("Discard …", on_click=lambda: confirm(f"Take {what} off the list?", text, "Discard", discard)).props(
            "flat dense no-caps"
        ).classes("danger-text")


def _key(group: dict[str, Any]) -> tuple[str, str]:
    return group["code"], group["step"]


def _pages(letter: dict[str, Any]) -> str:
    first, last = letter["first_page"], letter["last_page"]
    if not first:
        return "all"
    return str(first) if first == last else f"{first}–{last}"
