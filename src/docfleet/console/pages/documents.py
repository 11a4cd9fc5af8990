"""Documents: dropped in, listed live, searched, and changed many at once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

from nicegui import ui

from docfleet.console.bulk_dialogs import BulkBar
from docfleet.console.frame import console_page
from docfleet.console.parts import link, tag
from docfleet.console.problems import ApiProblem
from docfleet.console.reading_choices import FORMATS, MODES, ORDERS, PRIORITIES, STATES, parsed_labels
from docfleet.console.session import Session
from docfleet.console.viewer.style import use_style
from docfleet.console.viewer.widget import Widget
from docfleet.domain.access import Permission
from docfleet.domain.work import DocumentState

Filters = list[tuple[str, str]]
_CHANGES = (Permission.CONTROL, Permission.DELETE)


@console_page("/documents", "Documents", needs=Permission.LIST_DOCUMENTS, icon="description", order=20, shortcut="d")
async def documents(
    session: Session,
    state: str = "",
    name: str = "",
    label: str = "",
    batch: str = "",
    priority: str = "",
    code: str = "",
    since: str = "",
    until: str = "",
    order: str = "",
) -> None:
    use_style(session)
    given = {
        "state": state, "name": name, "label": label, "batch": batch, "priority": priority, "code": code,
        "since": since, "until": until, "order": order,
    }  # fmt: skip
    uploads = await _uploads(session, batch) if session.may(Permission.SUBMIT) else None
    may_change = any(session.may(permission) for permission in _CHANGES)
    filters = FilterBar(session, given)
    bar = BulkBar(session, lambda: filters.chosen())
    found = Widget(
        "DocumentList",
        {
            "url": session.url("/data/documents"),
            "links": session.url("/documents/"),
            "filters": filters.chosen(),
            "select": may_change,
            "seconds": session.options.refresh_seconds,
            "version": 0,
            "reset": 0,
            "empty": _EMPTY[uploads is not None],
        },
    ).classes("document-list")
    versions = iter(range(1, 1_000_000_000))

    def look_again() -> None:
        found.set_options(version=next(versions))

    filters.on_change = lambda chosen: found.set_options(filters=chosen)
    bar.on_done = lambda: found.set_options(reset=next(versions))
    found.when("selection", bar.show)
    if uploads is not None:
        uploads.when("sent", lambda _: look_again())


_EMPTY = {
    True: "There is no document yet. Drop files above to begin.",
    False: "There is no document yet. Your key may look but not submit.",
}


class FilterBar:
    """What is asked for; it stands in the address too, so that a page can be kept and sent on."""

    def __init__(self, session: Session, given: Mapping[str, str]) -> None:
        self._session = session
        self.on_change: Any = lambda chosen: None
        states = [one for one in given["state"].split(",") if one in set(DocumentState)]
        with tag("div", classes="row-of filters").props('role=search aria-label="Filters"'):
            self._name = ui.input("Search names", value=given["name"][:500], on_change=self._changed).props(
                "outlined dense clearable debounce=300 type=search maxlength=500 data-search"
            )
            self._state = ui.select(STATES, label="State", value=states, multiple=True, on_change=self._changed).props(
                "outlined dense clearable use-chips options-dense"
            )
            self._label = ui.input("Labels (k=v)", value=given["label"][:500], on_change=self._changed).props(
                "outlined dense clearable debounce=400"
            )
            self._priority = ui.select(
                PRIORITIES, label="Priority", value=given["priority"] or None, on_change=self._changed
            ).props("outlined dense clearable options-dense")
            self._since = ui.input("Since", value=given["since"], on_change=self._changed).props(
                "outlined dense type=date stack-label clearable"
            )
            self._until = ui.input("Until", value=given["until"], on_change=self._changed).props(
                "outlined dense type=date stack-label clearable"
            )
            self._code = ui.input("Code", value=given["code"][:64], on_change=self._changed).props(
                "outlined dense clearable debounce=400 maxlength=64"
            )
            self._order = ui.select(
                ORDERS, label="Order", value=given["order"] if given["order"] in ORDERS else "", on_change=self._changed
            ).props("outlined dense options-dense")
        self._batch = given["batch"][:64]
        self._wrong = tag("p", classes="hint").props("role=status")
        self._wrong.set_visibility(False)
        if self._batch:
            with tag("div", classes="row-of"):
                tag("span", "Only of one batch.", "hint")
                link("Show all documents", session.url("/documents"))

    def chosen(self) -> Filters:
        """As the API takes them."""
        found: Filters = [("state", one) for one in self._state.value or ()]
        found += [("label", f"{key}={value}") for key, value in parsed_labels(self._label.value or "")[0].items()]
        for name, field in (("name", self._name), ("priority", self._priority), ("code", self._code)):
            if value := str(field.value or "").strip():
                found.append((name, value))
        if self._batch:
            found.append(("batch", self._batch))
        if self._since.value:
            found.append(("created_after", f"{self._since.value}T00:00:00Z"))
        if self._until.value:
            found.append(("created_before", f"{_day_after(self._until.value)}T00:00:00Z"))
        if self._order.value:
            found.append(("order", self._order.value))
        return found

    def _changed(self) -> None:
        wrong = parsed_labels(self._label.value or "")[1]
        self._wrong.set_text(wrong)
        self._wrong.set_visibility(bool(wrong))
        self.on_change(self.chosen())
        said = {
            "state": ",".join(self._state.value or ()), "name": self._name.value, "label": self._label.value,
            "priority": self._priority.value, "since": self._since.value, "until": self._until.value,
            "code": self._code.value, "batch": self._batch, "order": self._order.value,
        }  # fmt: skip
        kept = json.dumps({name: value for name, value in said.items() if value})
        ui.run_javascript(
            f"const said = String(new URLSearchParams({kept}));"
            "history.replaceState(history.state, '', location.pathname + (said ? '?' + said : ''));"
        )


def _day_after(day: str) -> str:
    """The next date; what is none stays as it is, for the API to refuse."""
    try:
        return (date.fromisoformat(day) + timedelta(days=1)).isoformat()
    except (ValueError, OverflowError):
        return day


async def _uploads(session: Session, batch: str) -> Widget:
    """The drop zone, with how what is dropped is to be read."""
    zone = Widget(
        "Uploads",
        {
            "url": session.url("/data/uploads"),
            "links": session.url("/documents/"),
            "probe": session.url("/data/documents") + "?limit=1",
            "fields": {"batch": batch} if batch else {},
            "password": "",
        },
    )
    into = await _batch(session, batch) if batch else {}
    how = ui.expansion("How they are read").classes("panel-like").props("dense")
    with how, tag("div", classes="row-of filters"):
        priority = ui.select(PRIORITIES, label="Priority", value=None).props("outlined dense clearable options-dense")
        formats = ui.select(FORMATS, label="Formats", value=[], multiple=True).props(
            "outlined dense clearable use-chips options-dense"
        )
        engine = ui.input("Engine").props('outlined dense clearable maxlength=64 placeholder="the service\'s"')
        mode = ui.select(MODES, label="Mode", value=None).props("outlined dense clearable options-dense")
        labels = ui.input("Labels (k=v, k=v)").props("outlined dense clearable")
        chosen_batch = ui.select(into, label="Batch", value=batch if batch in into else None).props(
            "outlined dense clearable options-dense"
        )
        password = ui.input("Password of encrypted files", password=True).props("outlined dense clearable")
        reuse = ui.switch("Take results that are there of the same bytes", value=True)
    wrong = tag("p", classes="hint").props("role=status")
    wrong.set_visibility(False)

    async def opened() -> None:
        # a service counts the documents of every batch it lists: not before somebody wants to see them
        if how.value:
            chosen_batch.set_options({**into, **await _open_batches(session)})

    how.on_value_change(opened)

    def changed() -> None:
        found, said = parsed_labels(labels.value or "")
        wrong.set_text(said)
        wrong.set_visibility(bool(said))
        fields = {
            "priority": priority.value, "formats": ",".join(formats.value or ()), "engine": str(engine.value or ""),
            "mode": mode.value, "labels": json.dumps(found) if found else "", "batch": chosen_batch.value,
            "reuse": "" if reuse.value else "false",
        }  # fmt: skip
        zone.set_options(fields={name: value for name, value in fields.items() if value}, password=password.value or "")

    for field in (priority, formats, engine, mode, labels, chosen_batch, password, reuse):
        field.on_value_change(changed)
    return zone


async def _open_batches(session: Session) -> dict[str, str]:
    found = await session.api.get("/v1/batches", {"limit": 200})
    return {one["id"]: one["name"] or one["id"] for one in found["items"] if one["sealed_at"] is None}


async def _batch(session: Session, id: str) -> dict[str, str]:
    """The batch that is being filled; empty where it takes no more."""
    if not id.isalnum():
        return {}
    try:
        one = await session.api.get(f"/v1/batches/{id}")
    except ApiProblem as problem:
        if problem.status != 404:
            raise
        return {}
    return {one["id"]: one["name"] or one["id"]} if one["sealed_at"] is None else {}
