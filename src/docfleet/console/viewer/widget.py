"""A part of `parts/` as an element of a NiceGUI page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nicegui.element import Element


class Widget(Element, component="widget.js", esm={"docfleet-console": "parts"}):
    """`kind` names a class that `parts/index.js` exports; `options` is what that class takes."""

    def __init__(self, kind: str, options: dict[str, Any]) -> None:
        super().__init__()
        self._props["kind"] = kind
        self._props["options"] = options

    def set_options(self, **changes: Any) -> None:
        """Changes some of the options where they differ; the widget in the browser is told."""
        options = {**self._props["options"], **changes}
        if options != self._props["options"]:
            self._props["options"] = options
            self.update()

    def when(self, event: str, handle: Callable[[Any], Any]) -> None:
        """`handle` gets the detail the widget emits with `event`."""
        self.on(event, lambda told: handle(told.args))
