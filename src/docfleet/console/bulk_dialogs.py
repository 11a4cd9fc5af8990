"""The bar that appears over the list when documents are chosen, and what it asks before it does anything."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from nicegui import background_tasks, ui

from docfleet.console.bulk import MOST, Account, Act, apply_to, choose_all
from docfleet.console.document_files import forget_copies
from docfleet.console.parts import confirm, count, link, tag
from docfleet.console.reading_choices import parsed_labels
from docfleet.console.session import Session
from docfleet.domain.access import Permission

_TOLD = 200
"""Refusals that are listed one by one."""


class BulkBar:
    """Acts on the chosen documents, or on all that fit the filters."""

    def __init__(self, session: Session, filters: Callable[[], Sequence[tuple[str, str]]]) -> None:
        self._session = session
        self._filters = filters
        self._ids: list[str] = []
        self.on_done: Callable[[], None] = lambda: None
        with tag("div", classes="row-of bulk").props('role=toolbar aria-label="Chosen documents"') as self._bar:
            self._said = tag("strong")
            if session.may(Permission.CONTROL):
                _button("Retry", self._retry)
                _button("Cancel", self._cancel)
                _button("Label …", self._label)
            if session.may(Permission.DELETE):
                _button("Delete …", self._delete, "danger-text")
            self._all = _button("Choose all that fit the filters", self._choose_all)
        self._bar.set_visibility(False)
        # what is asked in a dialog opens another one, which must not go with the first
        self._dialogs = tag("div")

    def show(self, told: Any) -> None:
        """What the list says is chosen."""
        ids = told.get("ids", []) if isinstance(told, dict) else []
        self._ids = [id for id in ids if isinstance(id, str)][:MOST]
        self._bar.set_visibility(bool(self._ids))
        self._said.set_text(f"{count(len(self._ids))} chosen")
        loaded_all = isinstance(told, dict) and told.get("complete") and told.get("loaded") == len(self._ids)
        self._all.set_visibility(not loaded_all)

    async def _choose_all(self) -> None:
        choice = await choose_all(self._session.api, self._filters())
        self._ids = list(choice.ids)
        said = f"All {count(len(choice.ids))} that fit are chosen"
        if choice.more:
            said = f"The newest {count(len(choice.ids))} that fit are chosen, not all: at most {count(MOST)} at a time"
        self._said.set_text(said)
        self._all.set_visibility(False)

    def _retry(self) -> None:
        api = self._session.api
        self._ask("Try again", "What was read stays read; only what failed is tried again.", "Retry", "started again",
                  lambda id: api.post(f"/v1/documents/{id}/retry"), danger=False)  # fmt: skip

    def _cancel(self) -> None:
        api = self._session.api
        self._ask("Give up", "Documents that have not ended are given up.", "Cancel them", "cancelled",
                  lambda id: api.post(f"/v1/documents/{id}/cancel"))  # fmt: skip

    def _delete(self) -> None:
        async def delete(id: str) -> None:
            await self._session.api.delete(f"/v1/documents/{id}")
            await forget_copies(id)

        self._ask("Delete", "Files and results can be read no more from then on. This cannot be taken back.", "Delete",
                  "deleted", delete)  # fmt: skip

    def _ask(self, title: str, text: str, do: str, done: str, act: Act, *, danger: bool = True) -> None:
        ids = list(self._ids)
        many = f"{count(len(ids))} document{'' if len(ids) == 1 else 's'}"

        async def go() -> None:
            self._run(f"{title} {many}", done, ids, act)

        confirm(f"{title} {many}?", text, do, go, danger=danger)

    def _label(self) -> None:
        ids = list(self._ids)
        with ui.dialog() as dialog, tag("div", classes="dialog"):
            tag("h2", f"Label {count(len(ids))} documents")
            field = ui.input("Set (k=v, k=v)").props("outlined dense autofocus")
            gone = ui.input("Take away (names, divided by commas)").props("outlined dense")
            wrong = tag("p", classes="hint").props("role=status")

            def go() -> None:
                found, said = parsed_labels(field.value or "")
                changes: dict[str, str | None] = {n.strip(): None for n in (gone.value or "").split(",") if n.strip()}
                changes.update(found)
                if said or not changes:
                    wrong.set_text(said or "Say which labels.")
                    return
                dialog.close()
                api = self._session.api
                self._run(
                    "Labelling", "labelled", ids, lambda id: api.patch(f"/v1/documents/{id}", {"labels": changes})
                )

            with tag("div", classes="dialog-buttons"):
                ui.button("Cancel", on_click=dialog.close).props("flat no-caps").classes("quiet")
                ui.button("Label", on_click=go).props("unelevated no-caps")
        dialog.on("hide", dialog.delete)
        dialog.open()

    def _run(self, title: str, done: str, ids: Sequence[str], act: Act) -> None:
        """Goes on while the page is open; the dialog tells how far it is and stops it."""
        stopped = False
        with self._dialogs, ui.dialog().props("persistent") as dialog, tag("div", classes="dialog"):
            tag("h2", title)
            bar = ui.linear_progress(0, show_value=False).props(f'aria-label="{done}"')
            said = tag("p").props("role=status")
            told = tag("ul", classes="refused")
            with tag("div", classes="dialog-buttons"):
                button = ui.button("Stop").props("flat no-caps")

        def progress(so_far: int) -> None:
            bar.set_value(so_far / max(1, len(ids)))
            said.set_text(f"{count(so_far)} of {count(len(ids))}")

        def stop() -> None:
            nonlocal stopped
            stopped = True

        button.on_click(stop)
        dialog.on("hide", dialog.delete)
        dialog.open()

        async def work() -> None:
            account = await apply_to(ids, act, progress, lambda: stopped or dialog.is_deleted)
            with dialog:
                self._tell(account, done, said, told)
            bar.set_visibility(False)
            button.set_text("Close")
            button.on_click(dialog.close)
            self.on_done()
            if not account.refused and not account.left:
                dialog.close()
                with self._dialogs:
                    self._session.say(f"{count(account.done)} {done}.")

        background_tasks.create(work(), name=f"console: {title}")

    def _tell(self, account: Account, done: str, said: Any, told: Any) -> None:
        parts = [f"{count(account.done)} {done}"]
        if account.refused:
            parts.append(f"{count(len(account.refused))} refused")
        if account.left:
            parts.append(f"{count(account.left)} not tried")
        said.set_text(", ".join(parts) + ".")
        with told:
            for refused in account.refused[:_TOLD]:
                with tag("li"):
                    link(refused.id, self._session.url(f"/documents/{refused.id}"))
                    tag("span", f" {refused.reason}")
            if len(account.refused) > _TOLD:
                tag("li", f"and {count(len(account.refused) - _TOLD)} more")


def _button(text: str, act: Callable[..., Any], classes: str = "") -> ui.button:
    return ui.button(text, on_click=act).props("flat dense no-caps").classes(classes)
