"""Return on investment: this service beside the same work by hand, under assumptions to be changed on the page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nicegui import ui

from docfleet.console.parts import count, money, panel, stat_tile, tag
from docfleet.console.redrawn import Words
from docfleet.domain.returns import (
    REFERENCE_BY_HAND_USD,
    REFERENCE_DOCUMENTS,
    Assumptions,
    Return,
    by_minutes,
    compare,
)

Facts = Mapping[str, Any]
BY_AMOUNT = "By amount"
BY_TIME = "By time"


class ReturnPanel:
    """Begins with what the service is set to assume, for as many documents as the reference case has. `show` with every
    account; what somebody typed stays."""

    def __init__(self) -> None:
        self._is_new = True
        self._each: float | None = None
        self._standing: float | None = None
        with panel():
            with tag("div", classes="panel-head"):
                tag("h2", "Return on investment")
                ui.button("Reference case", on_click=self._reference).props("flat no-caps dense")
            tag(
                "p",
                f"Assumptions, not measurements; at first those that the service is set to. "
                f"The reference case: {count(REFERENCE_DOCUMENTS)} documents a month "
                f"that cost {money(REFERENCE_BY_HAND_USD)} by hand.",
                "hint",
            )
            self._build_form()
            with tag("div", classes="tiles"):
                self._hand = stat_tile("By hand, a month")
                self._here = stat_tile("Here, a month")
                self._saved = stat_tile("Saved a month")
                self._return = stat_tile("Return on cost")
                self._even = stat_tile("Break-even")
            self._basis = Words("p", "hint break")

    def _build_form(self) -> None:
        with tag("div", classes="form-row"):
            self._documents = ui.number("Documents a month", value=REFERENCE_DOCUMENTS, min=0, max=1e9, precision=0)
            self._way = ui.toggle([BY_AMOUNT, BY_TIME], value=BY_AMOUNT).props("no-caps unelevated")
            self._amount = ui.number("By hand, US dollars a month", value=REFERENCE_BY_HAND_USD, min=0, max=1e12)
            self._minutes = ui.number("Minutes a document", value=1.5, min=0, max=1e5)
            self._hour = ui.number("US dollars an hour, all included", value=20.0, min=0, max=1e5)
        for field in (self._documents, self._amount, self._minutes, self._hour):
            field.props("outlined dense debounce=200").on_value_change(lambda: self._count())
        self._way.on_value_change(lambda: self._count())
        self._show_way()

    def show(self, costs: Facts) -> None:
        whole = costs["whole"]
        fixed = whole["base_usd"] + whole["hosting_usd"]
        self._each = (whole["usd"] - fixed) / whole["documents"] if whole["documents"] else None
        self._standing = costs["standing_month_usd"]
        if self._is_new and costs["by_hand_document_usd"] is not None:
            self._amount.value = round(REFERENCE_DOCUMENTS * costs["by_hand_document_usd"], 2)
        self._is_new = False
        self._count()

    def _reference(self) -> None:
        self._documents.value = REFERENCE_DOCUMENTS
        self._way.value = BY_AMOUNT
        self._amount.value = REFERENCE_BY_HAND_USD

    def _show_way(self) -> None:
        by_time = self._way.value == BY_TIME
        self._amount.set_visibility(not by_time)
        self._minutes.set_visibility(by_time)
        self._hour.set_visibility(by_time)

    def _count(self) -> None:
        self._show_way()
        documents = int(self._documents.value or 0)
        if self._way.value == BY_TIME:
            each_by_hand = by_minutes(self._minutes.value or 0.0, self._hour.value or 0.0)
        else:
            each_by_hand = (self._amount.value or 0.0) / documents if documents else 0.0
        if self._each is None or self._standing is None:
            self._unknown(documents * each_by_hand)
            return
        given = Assumptions(documents, each_by_hand, self._standing, self._each)
        self._tell(given, compare(given))

    def _unknown(self, by_hand: float) -> None:
        self._hand.show(money(by_hand))
        for tile in (self._here, self._saved, self._return, self._even):
            tile.show(money(None), "not known")
        self._basis.show("What a document costs here is not known before one has results in this month.")

    def _tell(self, given: Assumptions, told: Return) -> None:
        self._hand.show(money(told.by_hand_usd), f"{money(given.by_hand_usd)} a document")
        self._here.show(money(told.here_usd), f"{money(told.per_document_usd)} a document")
        self._saved.show(money(told.saved_usd), f"{money(12 * told.saved_usd)} a year", tone_of(told.saved_usd))
        self._return.show(*return_said(told.return_on_cost))
        if told.break_even_documents is None:
            self._even.show("never", "by hand is cheaper by the document", "bad")
        else:
            self._even.show(count(told.break_even_documents), "documents a month")
        self._basis.show(
            f"Here: {money(given.standing_usd)} a month that stand whatever is read, and {money(given.each_usd)} for "
            "each document as in the month shown above (engines, workers, storage)."
        )


def return_said(gain: float | None) -> tuple[str, str, str]:
    """(how many percent, in words, tone)"""
    if gain is None:
        return money(None), "nothing is spent", ""
    told = f"each dollar {'saves' if gain >= 0 else 'loses'} {money(abs(gain))}"
    return f"{gain * 100:,.0f} %", told, tone_of(gain)


def tone_of(amount: float) -> str:
    return "good" if amount >= 0 else "bad"
