"""What can be done with one document, as buttons: only those that its state and the key allow."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from nicegui import ui

from docfleet.console.document_files import forget_copies
from docfleet.console.parts import confirm, tag
from docfleet.console.reading_choices import FORMATS, MODES, parsed_labels
from docfleet.console.session import Session
from docfleet.domain.access import Permission
from docfleet.domain.work import DOCUMENT_ENDS, DocumentState

_ENDS = {state.value for state in DOCUMENT_ENDS}
_RETRIED = {DocumentState.PARTIAL.value, DocumentState.FAILED.value, DocumentState.CANCELLED.value}
NEEDS_PASSWORD = frozenset({"password_required", "password_wrong"})


class Actions:
    def __init__(self, session: Session, changed: Callable[[], Awaitable[None]]) -> None:
        self._session = session
        self._changed = changed
        self._facts: dict[str, Any] = {}
        self._place = tag("div", classes="row-of").props('role=toolbar aria-label="What can be done"')

    def show(self, facts: dict[str, Any]) -> None:
        self._facts = facts
        may, state = self._session.may, facts["state"]
        offered: list[tuple[str, Callable[..., Any]]] = []
        if may(Permission.CONTROL) and state in _RETRIED:
            offered.append(("Retry", self._retry))
        if may(Permission.CONTROL) and state not in _ENDS:
            offered.append(("Cancel", self._cancel))
        if may(Permission.SUBMIT):
            offered.append(("Read again …", self._read_again))
        if may(Permission.CONTROL):
            offered.append(("Labels …", self._label))
        if may(Permission.DELETE) and state in _ENDS:
            offered.append(("Delete …", self._delete))
        self._place.clear()
        with self._place:
            for text, act in offered:
                ui.button(text, on_click=act).props("outline dense no-caps")

    @property
    def _address(self) -> str:
        return f"/v1/documents/{self._facts['id']}"

    async def _retry(self) -> None:
        if self._facts["code"] in NEEDS_PASSWORD:
            self._ask_password()
            return
        await self._session.api.post(f"{self._address}/retry")
        self._session.say("It is tried again.")
        await self._changed()

    def _ask_password(self) -> None:
        with ui.dialog() as dialog, tag("div", classes="dialog"):
            tag("h2", "Password of the document")
            field = ui.input("Password", password=True).props("outlined dense autofocus")
            tag("p", "Kept encrypted until the document has ended, then forgotten.", "hint")

            async def go() -> None:
                await self._session.api.post(f"{self._address}/retry", {"password": field.value or ""})
                dialog.close()
                await self._changed()

            _buttons(dialog, "Retry", go)
        dialog.on("hide", dialog.delete)
        dialog.open()

    def _cancel(self) -> None:
        async def go() -> None:
            await self._session.api.post(f"{self._address}/cancel")
            await self._changed()

        confirm("Give this document up?", "It is read no further.", "Cancel it", go)

    def _delete(self) -> None:
        async def go() -> None:
            await self._session.api.delete(self._address)
            await forget_copies(self._facts["id"])
            ui.navigate.to("/documents")

        text = "Its file and results can be read no more from then on. This cannot be taken back."
        confirm("Delete this document?", text, "Delete", go)

    def _read_again(self) -> None:
        options = self._facts["options"]
        with ui.dialog() as dialog, tag("div", classes="dialog"):
            tag("h2", "Read again")
            tag("p", "The same file is read once more as a new document; this one stays as it is.", "hint")
            engine = ui.input("Engine", value=options["engine"]).props(
                'outlined dense maxlength=64 hint="empty: the service\'s"'
            )
            mode = ui.select(MODES, label="Mode", value=options["mode"]).props("outlined dense options-dense")
            known = [name for name in options["formats"] if name in FORMATS]
            formats = ui.select(FORMATS, label="Formats", value=known, multiple=True).props(
                "outlined dense use-chips options-dense"
            )
            password = ui.input("Password, if it is encrypted", password=True).props("outlined dense")

            async def go() -> None:
                said: dict[str, Any] = {"mode": mode.value, "engine": (engine.value or "").strip()}
                if formats.value:
                    said["formats"] = formats.value
                if password.value:
                    said["password"] = password.value
                made = await self._session.api.post(f"{self._address}/read-again", said)
                dialog.close()
                ui.navigate.to(f"/documents/{made['id']}")

            _buttons(dialog, "Read again", go)
        dialog.on("hide", dialog.delete)
        dialog.open()

    def _label(self) -> None:
        was = self._facts["labels"]
        with ui.dialog() as dialog, tag("div", classes="dialog"):
            tag("h2", "Labels")
            with ui.row():
                for name, value in was.items():
                    tag("span", f"{name}={value}", "chip").props("dir=auto")
            field = ui.input("Set (k=v, k=v)").props("outlined dense autofocus")
            gone = ui.select(sorted(was), label="Take away", multiple=True, value=[]).props(
                "outlined dense use-chips options-dense"
            )
            gone.set_visibility(bool(was))
            wrong = tag("p", classes="hint").props("role=status")

            async def go() -> None:
                found, said = parsed_labels(field.value or "")
                changes: dict[str, str | None] = {**dict.fromkeys(gone.value or ()), **found}
                if said or not changes:
                    wrong.set_text(said or "Say which labels.")
                    return
                await self._session.api.patch(self._address, {"labels": changes})
                dialog.close()
                await self._changed()

            _buttons(dialog, "Save", go)
        dialog.on("hide", dialog.delete)
        dialog.open()


def _buttons(dialog: ui.dialog, do: str, go: Callable[[], Awaitable[None]]) -> None:
    with tag("div", classes="dialog-buttons"):
        ui.button("Cancel", on_click=dialog.close).props("flat no-caps").classes("quiet")
        ui.button(do, on_click=go).props("unelevated no-caps")
