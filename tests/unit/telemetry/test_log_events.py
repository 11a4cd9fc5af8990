"""What may be logged: constant events with declared fields, and never a word of anybody's."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys

import pytest

from docfleet.errors import Damaged, LedgerUnavailable
from docfleet.telemetry.events import EVENTS, FIELDS
from docfleet.telemetry.logs import facts_of_error, places_of, without_secrets
from log_calls import LogCall, log_calls

CALLS = list(log_calls())
OF_THE_LOGGER = {"exc_info", "message", "places", "trace_id", "span_id"}
"""Made by the logger itself, out of an exception or of where the thread is."""
NEVER = re.compile(r"\b(source\.name|\.name_as_text|password|secret|\.text\b|url\b|file_name|\.message\b|wrapped_key)")


def test_the_scan_finds_the_loggers_it_is_about() -> None:
    assert len(CALLS) > 100
    assert {"worker", "cloud", "slot", "api", "delivery", "documentai_server"} <= {call.part for call in CALLS}


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.where)
def test_an_event_is_a_constant_with_declared_fields(call: LogCall) -> None:
    assert isinstance(call.event, ast.Constant), "the event is no constant"
    assert re.fullmatch(r"[a-z]+(_[a-z0-9]+)+|[a-z]+", call.name), call.name
    assert call.name in EVENTS
    assert None not in call.fields, "fields are named where they are logged"
    assert set(call.fields) <= set(FIELDS) | {"exc_info"}
    assert not set(call.fields) & (OF_THE_LOGGER - {"exc_info"})
    for name, value in call.fields.items():
        said = ast.unparse(value)
        assert not any(isinstance(part, ast.JoinedStr) for part in ast.walk(value)), f"{name} is made up: {said}"
        assert not NEVER.search(said), f"{name} may hold what is not ours: {said}"
        assert not re.search(r"\b(repr|str)\((error|\w*error)\)", said), f"{name}: hand over the error itself"


def test_what_is_declared_is_used() -> None:
    assert set(EVENTS) == {call.name for call in CALLS} | {"library_complained"}
    used = {str(name) for call in CALLS for name in call.fields} - {"exc_info"}
    assert set(FIELDS) == used | (OF_THE_LOGGER - {"exc_info"}) | {"library"}


def test_events_about_a_slice_name_its_document() -> None:
    """Those of the slot are in the context of one; whoever keeps leases knows slices alone."""
    apart = {"worker/slot.py", "worker/beating.py"}
    for call in CALLS:
        if "slice" in call.fields and call.file not in apart:
            assert "document" in call.fields, call.where


def test_an_error_is_told_without_its_words() -> None:
    assert facts_of_error(Damaged("page 3 of secret.pdf says Hush")) == {"error": "damaged"}
    assert facts_of_error(ValueError("could not convert 'Hush'")) == {"error": "ValueError"}
    away = facts_of_error(LedgerUnavailable("no route to postgresql://me:hush@db:5432/fleet\nDETAIL: row Hush"))
    assert away == {"error": "ledger_unavailable", "message": "no route to postgresql://…@db:5432/fleet"}


def test_a_traceback_has_places_and_no_values() -> None:
    def inner(text: str) -> None:
        try:
            int(text)
        except ValueError as error:
            raise RuntimeError(f"not {text}") from error

    with pytest.raises(RuntimeError) as caught:
        inner("Hush")
    places = places_of(caught.value)
    assert any(place.endswith("inner") for place in places)
    assert "caused by ValueError" in places
    assert "Hush" not in " ".join(places)


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer hush-hush", "df_0123456789abcdef_hushHUSH", "redis://:hush@host/0", "password=hush",
        "https://host/hook?token=hush", "mail to hush@hush.example", "api_key: hush", "https://host/x#hush",
    ],
)  # fmt: skip
def test_secrets_are_cut_out(text: str) -> None:
    assert "hush" not in without_secrets(text).lower()


_PROCESS = """
import logging, sys, threading, warnings
from docfleet.telemetry import configure_logs, logger
from docfleet.telemetry.logs import about, guard_process
configure_logs("debug")
guard_process()
class Place: trace_id, span_id = "a" * 32, "b" * 16
with about("doc-1", Place()):
    logger("test").info("slice_ended", seconds=1.0)
logging.getLogger("httpx").warning("request to https://host/?token=Hush failed")
try:
    int("Hush")
except ValueError:
    logging.getLogger("sqlalchemy").exception("statement with Hush")
warnings.warn("Hush", stacklevel=1)
def die(): raise KeyError("Hush")
thread = threading.Thread(target=die); thread.start(); thread.join()
raise RuntimeError("Hush")
"""


def test_everything_a_process_says_of_itself_is_an_event() -> None:
    ran = subprocess.run([sys.executable, "-c", _PROCESS], capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    lines = [json.loads(line) for line in ran.stderr.splitlines()]
    assert [line["event"] for line in lines] == [
        "slice_ended", "library_complained", "library_complained", "library_complained", "thread_died", "process_broke",
    ]  # fmt: skip
    assert (lines[0]["document"], lines[0]["trace_id"], lines[0]["span_id"]) == ("doc-1", "a" * 32, "b" * 16)
    assert [line.get("library") for line in lines[1:4]] == ["httpx", "sqlalchemy", "py.warnings"]
    assert lines[2]["error"] == "ValueError"
    assert "Hush" not in ran.stderr
    assert all(set(line) <= set(FIELDS) | {"event", "level", "part", "timestamp"} for line in lines)
