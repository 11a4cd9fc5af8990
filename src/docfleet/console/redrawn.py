"""A part of a page that is drawn anew only when what it shows has changed, so that nothing flickers or loses focus."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from docfleet.console.parts import Tag, tag

_NOTHING = object()


class Redrawn:
    """An element (by default a `div`) whose content follows some facts."""

    def __init__(self, name: str = "div", classes: str = "") -> None:
        self.element: Tag = tag(name, classes=classes)
        self._shown: Any = _NOTHING

    def show(self, facts: Any, draw: Callable[[], None]) -> None:
        """Draws into the element, unless these are the facts it shows already. `facts`: plain values."""
        if facts == self._shown:
            return
        self._shown = facts
        self.element.clear()
        with self.element:
            draw()


class Words:
    """An element whose text is sent only when it has changed."""

    def __init__(self, name: str = "span", classes: str = "") -> None:
        self.element: Tag = tag(name, classes=classes)
        self._shown = ""
        self._tone = ""

    def show(self, text: str, tone: str = "") -> None:
        """`tone`: one of `parts.TONES`, or nothing."""
        if text != self._shown:
            self._shown = text
            self.element.set_text(text)
        if tone != self._tone:
            self.element.classes(remove=f"tone-{self._tone}" if self._tone else "", add=f"tone-{tone}" if tone else "")
            self._tone = tone


class Bar:
    """How much of something is used: a bar with its figures for a screen reader."""

    def __init__(self, label: str) -> None:
        self._bar = tag("div", classes="bar").props("role=meter aria-valuemin=0 aria-valuemax=100")
        self._bar.props["aria-label"] = label
        with self._bar:
            self._filled = tag("span")
        self._shown: tuple[float, str] = (-1.0, "")

    def show(self, share: float, tone: str = "") -> None:
        """`share`: 1 is all of it; more is shown as all."""
        filled = round(100 * min(1.0, max(0.0, share)), 1)
        before = self._shown
        if (filled, tone) == before:
            return
        self._shown = (filled, tone)
        self._filled.style(f"width: {filled:g}%")
        self._bar.props["aria-valuenow"] = f"{filled:g}"
        self._bar.update()
        if tone != before[1]:
            self._bar.classes(remove=f"tone-{before[1]}" if before[1] else "", add=f"tone-{tone}" if tone else "")
