"""One endpoint of the cloud engine on the page of quotas: what is used, refused and learnt, and if it is called."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from docfleet.console.parts import NONE, count, duration, panel, percent, table, tag
from docfleet.console.redrawn import Bar, Words
from docfleet.console.wording import counted

Facts = Mapping[str, Any]
NEARLY = 0.8
"""Share of a quota from which on it is told as nearly used up."""
SLOWED = 0.9
"""Less than this share of a quota is allowed only after a refusal."""
COLUMNS = {"what": "Calls", "minute": "Minute", "hour": "Hour"}
CALLS = {
    "requests": "Sent",
    "pages": "Pages in them",
    "answered": "Answered",
    "throttled": "Refused with 429",
    "errors": "Errors",
    "timeouts": "Timeouts",
    "hedges": "Second calls beside late ones",
    "sent_away": "Times there was no leave",
    "mean_seconds": "Mean time of a call",
}
STATES = {"closed": ("works", "good"), "half_open": ("is tried again", "warning"), "open": ("not called", "bad")}
WAITS = {
    "requests": "The quota of requests is used up just now.",
    "pages": "The quota of pages is used up just now.",
    "concurrent": "As many calls are under way as may be.",
    "paused": "The service asked for a pause.",
    "urgent": "An urgent page is first.",
    "away": "It is not called at present.",
}
UNITS = {"requests": "requests a minute", "pages": "pages a minute", "calls": "calls at a time"}


def name_of(one: Facts) -> str:
    """What tells it from the others."""
    version = f" {one['version']}" if one["version"] else ""
    return f"{one['project']} {one['location']} {one['processor']}{version}"


class EndpointCard:
    """Made once for an endpoint; `show` with every look."""

    def __init__(self, one: Facts) -> None:
        self._uses: dict[str, UseLine] = {}
        with panel(classes="endpoint") as self.element:
            with tag("div", classes="panel-head"):
                with tag("h2"):
                    tag("span", str(one["location"]))
                    tag("span", f" {one['type']}", "quiet-text")
                self._state = Words(classes="chip")
            version = f", version {one['version']}" if one["version"] else ""
            tag("p", f"{one['processor']} of {one['project']}{version}, at {one['host']}", "hint break")
            self._away = Words("p", "break away")
            self._holder = tag("div", classes="uses")
            self._lines = Words("p", "hint")
            self._calls = table(COLUMNS, numbers=["minute", "hour"]).classes("tight")

    def show(self, one: Facts) -> None:
        breaker = one["breaker"]
        state = ("nobody tells", "quiet") if breaker is None else STATES[breaker["state"]]
        self._state.show(*(("not called", "bad") if one["away"] and state[1] == "good" else state))
        self._away.show(away_said(one), "bad" if one["away"] else "")
        self._away.element.set_visibility(bool(away_said(one)))
        for use in one["quotas"]:
            if use["quota"] not in self._uses:
                with self._holder:
                    self._uses[use["quota"]] = UseLine(str(use["quota"]))
            self._uses[use["quota"]].show(use)
        lines = standing_lines(one)
        self._lines.show(" ".join(lines))
        rows = calls_rows(one["minute"], one["hour"])
        if rows != self._calls.rows:
            self._calls.rows = rows
        self._calls.set_visibility(bool(rows))


class UseLine:
    """One limit, as a bar and in words."""

    def __init__(self, quota: str) -> None:
        with tag("div", classes="use"):
            with tag("div", classes="panel-head"):
                tag("span", UNITS.get(quota, quota))
                self._figures = Words("strong")
            self._bar = Bar(f"Use of {UNITS.get(quota, quota)}")
            self._note = Words("p", "hint")

    def show(self, use: Facts) -> None:
        share = use["share"]
        limit = "no limit" if use["limit"] is None else count(use["limit"])
        self._figures.show(f"{NONE if use['used'] is None else count(use['used'])} / {limit}")
        tone = "" if share is None or share < NEARLY else "bad" if share >= 1 else "warning"
        self._bar.show(share or 0.0, tone)
        self._note.show(use_said(use))


def use_said(use: Facts) -> str:
    """What its workers let themselves use of it, and why."""
    if use["limit"] is None:
        return "It is not limited."
    share = "Nobody tells how much of it is used." if use["share"] is None else f"{percent(use['share'], 0)} of it."
    allowed = use["allowed"]
    if use["learnt"] is not None:
        return f"{share} The service refused at {count(use['learnt'])}: workers let themselves {count(allowed)} now."
    if allowed is not None and allowed < SLOWED * use["limit"]:
        return f"{share} After a 429 workers let themselves {count(allowed)} for now."
    return share


def away_said(one: Facts) -> str:
    """Why nothing is sent there, and until when; else why somebody waits."""
    if one["away"]:
        left = one["breaker"]["left_seconds"] if one["breaker"] else 0.0
        again = f" It is tried again in {duration(left)}." if left else ""
        return f"{one['away']}{again}"
    return WAITS.get(one["waits_for"] or "", "")


def standing_lines(one: Facts) -> list[str]:
    lines = []
    if one["under_way"] is not None:
        lines.append(f"{counted(one['under_way'], 'call')} under way.")
    if one["paused_seconds"]:
        lines.append(f"Left alone for {duration(one['paused_seconds'])} yet.")
    if one["slowdowns"]:
        lines.append(f"Slowed down {counted(one['slowdowns'], 'time')} after a 429.")
    return lines


def calls_rows(minute: Facts | None, hour: Facts | None) -> list[dict[str, Any]]:
    """What became of the calls; none where nobody tells."""
    if minute is None or hour is None:
        return []
    return [
        {
            "id": name,
            "what": what,
            **{
                span: duration(calls[name]) if name == "mean_seconds" else count(calls[name])
                for span, calls in (("minute", minute), ("hour", hour))
            },
        }
        for name, what in CALLS.items()
    ]
