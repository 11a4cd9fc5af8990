"""Pieces pages are made of. Whatever text they are given is shown as text."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Self

from nicegui import ui
from nicegui.elements.mixins.text_element import TextElement

from docfleet.console.figures import (
    NONE,
    ago,
    count,
    duration,
    moment,
    money,
    percent,
    short_count,
    size,
    when,
)

__all__ = [
    "NONE",
    "Notice",
    "Tag",
    "Tile",
    "ago",
    "chart",
    "confirm",
    "count",
    "duration",
    "empty_state",
    "icon",
    "link",
    "moment",
    "money",
    "open_dialog",
    "panel",
    "percent",
    "problem_banner",
    "short_count",
    "size",
    "stat_tile",
    "status_chip",
    "table",
    "tag",
    "time_of",
    "when",
]

TONES = ("good", "warning", "bad", "info", "quiet")
STATE_TONES: Mapping[str, str] = {
    "succeeded": "good",
    "partial": "warning",
    "failed": "bad",
    "cancelled": "quiet",
    "received": "quiet",
    "running": "info",
    "assembling": "info",
}


class Tag(TextElement):
    """Any HTML element with text in it, or other elements."""

    def __init__(self, name: str, text: str = "") -> None:
        super().__init__(tag=name, text=text)


def tag(name: str, text: str = "", classes: str = "") -> Tag:
    """`<name class=classes>text</name>`; the text is a text node."""
    made = Tag(name, text)
    if classes:
        made.classes(classes)
    return made


def link(text: str, address: str) -> Tag:
    """`address`: as `session.url("/documents")` gives it, or within the page. Never one that somebody else wrote."""
    made = Tag("a", text)
    made.props["href"] = address
    return made


def time_of(text: str | None) -> Tag:
    """A time of the API: the browser writes it in its own zone and names that; the title has it in UTC."""
    made = tag("time", "" if text else NONE)
    if text:
        made.props["datetime"] = text
        made.props["title"] = f"{moment(text)} UTC"
    return made


def icon(name: str) -> ui.icon:
    """Of the material icons in the package; says nothing to a screen reader."""
    made = ui.icon(name)
    made.props("aria-hidden=true")
    return made


def panel(title: str = "", classes: str = "") -> Tag:
    """A section with a heading, to be filled: `with panel("Queues"): …`."""
    made = tag("section", classes=f"panel {classes}".strip())
    if title:
        with made:
            tag("h2", title)
    return made


class Tile(Tag):
    """One figure with its name and a line beside it."""

    def __init__(self, label: str, value: str, hint: str, address: str) -> None:
        super().__init__("a" if address else "div")
        self.classes("tile")
        if address:
            self.props["href"] = address
        self._tone = ""
        with self:
            tag("span", label, "tile-label")
            self._value = tag("span", value, "tile-value")
            self._hint = tag("span", hint, "tile-hint")

    def show(self, value: str, hint: str = "", tone: str = "") -> Self:
        """`tone`: one of TONES, or nothing. What has not changed is not sent again."""
        self._value.set_text(value)
        self._hint.set_text(hint)
        if tone != self._tone:
            self.classes(remove=f"tone-{self._tone}", add=f"tone-{tone}" if tone else "")
            self._tone = tone
        return self


def stat_tile(label: str, value: str = NONE, hint: str = "", *, address: str = "", tone: str = "") -> Tile:
    """A tile; with an address it is a link. Change it by `tile.show(…)`."""
    return Tile(label, value, hint, address).show(value, hint, tone)


def empty_state(title: str, text: str = "", *, symbol: str = "inbox") -> Tag:
    """Says that there is nothing, and what to do; may be filled with buttons."""
    made = tag("div", classes="empty")
    with made:
        icon(symbol)
        tag("strong", title)
        if text:
            tag("p", text)
    return made


class Notice(Tag):
    """A sentence across a page or dialog."""

    def __init__(self, text: str, tone: str) -> None:
        super().__init__("div")
        self.classes(f"notice tone-{tone}").props("role=alert")
        with self:
            icon("error_outline" if tone == "bad" else "info")
            self._said = tag("span", text)

    def say(self, text: str) -> None:
        self._said.set_text(text)


def problem_banner(text: str = "", tone: str = "bad") -> Notice:
    """Tells that something is wrong; another text by `notice.say(…)`."""
    return Notice(text, tone)


def status_chip(state: str, tone: str = "") -> Tag:
    """A state in its colour, and in words."""
    return tag("span", state.replace("_", " "), f"chip tone-{tone or STATE_TONES.get(state, 'quiet')}")


@contextmanager
def open_dialog(title: str, *, role: str = "dialog", persistent: bool = False) -> Iterator[ui.dialog]:
    """Opens a dialog with a heading, to be filled; what is in it is gone once it is closed.

    It belongs to the page and not to what opened it, which may be a dialog that ends. `persistent`: only a button in
    it closes it.
    """
    with ui.context.client.content, ui.dialog() as dialog:
        made = tag("div", classes="dialog").props(f"role={role} aria-modal=true")
        made.props["aria-label"] = title
    if persistent:
        dialog.props("persistent")
    dialog.on("hide", dialog.delete)
    with made:
        tag("h2", title)
        yield dialog
    dialog.open()


def confirm(title: str, text: str, do: str, act: Callable[[], Awaitable[None]], *, danger: bool = True) -> None:
    """Asks before something that cannot be taken back; `do` is the verb on the button."""
    with open_dialog(title, role="alertdialog") as dialog:
        tag("p", text)
        with tag("div", classes="dialog-buttons"):
            ui.button("Cancel", on_click=dialog.close).props("flat autofocus no-caps").classes("quiet")

            async def go() -> None:
                dialog.close()
                await act()

            ui.button(do, on_click=go).props("unelevated no-caps").classes("danger" if danger else "")


def table(
    columns: Mapping[str, str], rows: Sequence[Mapping[str, Any]] = (), *, numbers: Sequence[str] = ()
) -> ui.table:
    """Rows with the members of `columns` (member -> heading), `id` among them; `numbers` stand to the right.

    Change them by `made.rows = …`. Cells are text.
    """
    described = [
        {"name": name, "label": label, "field": name, "align": "right" if name in numbers else "left"}
        for name, label in columns.items()
    ]
    made = ui.table(columns=described, rows=[dict(row) for row in rows], row_key="id", pagination=0)
    made.props("flat dense hide-pagination wrap-cells=false").classes("rows")
    return made


def chart(options: Mapping[str, Any], *, label: str, height: str = "12rem") -> ui.echart:
    """A chart that follows light and dark: it is drawn as SVG, in colours of the style sheet.

    `options` as ECharts takes them; colours as `var(--c1)` … `var(--c6)`, `var(--good)`, `var(--bad)`. `label` says to
    a screen reader what is to be seen. Change it by `made.options[…] = …`.
    """
    made = ui.echart({**CHART, **options}, renderer="svg")
    made.classes("chart").style(f"height: {height}").props("role=img")
    made.props["aria-label"] = label
    return made


_AXIS: dict[str, Any] = {
    "axisLine": {"show": False},
    "axisTick": {"show": False},
    "axisLabel": {"color": "var(--muted)", "fontSize": 11, "hideOverlap": True},
    "splitLine": {"lineStyle": {"color": "var(--line)"}},
}
CHART: dict[str, Any] = {
    "animation": False,
    "color": [f"var(--c{number})" for number in range(1, 7)],
    "textStyle": {"fontFamily": "system-ui, sans-serif"},
    "grid": {"left": 4, "right": 8, "top": 12, "bottom": 0, "containLabel": True},
    "tooltip": {
        "trigger": "axis",
        "backgroundColor": "var(--panel)",
        "borderColor": "var(--line)",
        "textStyle": {"color": "var(--text)", "fontSize": 12},
        "axisPointer": {"lineStyle": {"color": "var(--muted)"}},
    },
}
"""What all charts share."""


def axis(kind: str = "value", **options: Any) -> dict[str, Any]:
    """An axis in the style of the house: "category", "value", "time"."""
    said = {"type": kind, **_AXIS}
    if kind != "value":
        said["splitLine"] = {"show": False}
    if kind == "time":
        said["axisLabel"] = {**_AXIS["axisLabel"], "formatter": "{HH}:{mm}"}
    return {**said, **options}
