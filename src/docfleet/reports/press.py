"""Typesets in a process of its own: whatever a report asks of the typesetter, the service around it goes on.

Each report costs one short-lived child, which has no network, starts no programs, and ends at its limits of memory and
time; few are at work at once. What it gets is data in JSON, what it gives back the bytes of a PDF.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from importlib.util import find_spec

import msgspec

from docfleet.errors import ReportFailed, ServiceUnavailable
from docfleet.telemetry import logger

_log = logger(__name__)
_KEPT_ENVIRONMENT = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "TMPDIR", "LANG", "LC_ALL")
SAID_CHARACTERS = 300


class PressLimits(msgspec.Struct, frozen=True):
    at_once: int = 2
    wait_seconds: float = 20.0
    """For a place, before a report is refused."""
    seconds: float = 60.0
    """For one report."""
    memory_bytes: int = 1024 * 1024 * 1024


class Press:
    """Threads share one."""

    def __init__(self, limits: PressLimits | None = None) -> None:
        self._limits = limits or PressLimits()
        self._places = threading.BoundedSemaphore(self._limits.at_once)

    def typeset(self, template: str, data: msgspec.Struct, made: datetime) -> bytes:
        """As `typesetting.typeset`. Raises `ServiceUnavailable` when no place is free in time, else `ReportFailed`."""
        if find_spec("typst") is None:
            raise ReportFailed("Reports need the typesetter: pip install typst where the API and the dispatcher run.")
        limits = self._limits
        if not self._places.acquire(timeout=limits.wait_seconds):
            raise ServiceUnavailable("Other reports are being made; ask again in a moment.")
        began = time.monotonic()
        try:
            pdf = _set_in_child(template, msgspec.json.encode(data), made, limits)
        finally:
            self._places.release()
        _log.info("report_typeset", template=template, seconds=round(time.monotonic() - began, 3), bytes=len(pdf))
        return pdf


def _set_in_child(template: str, data: bytes, made: datetime, limits: PressLimits) -> bytes:
    at = (made if made.tzinfo else made.replace(tzinfo=UTC)).astimezone(UTC).isoformat()
    arguments = [template, at, str(limits.memory_bytes), str(limits.seconds), str(os.getpid())]
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-s", "-m", "docfleet.reports.press_child", *arguments],
            input=data,
            capture_output=True,
            timeout=limits.seconds,
            check=False,
            cwd="/",
            start_new_session=True,
            env=_environment(),
        )
    except subprocess.TimeoutExpired as error:
        raise ReportFailed(f"The report was not set within {limits.seconds:g} s.") from error
    except OSError as error:
        raise ReportFailed(f"The typesetter could not be started: {error.strerror}.") from error
    if done.returncode != 0 or not done.stdout.startswith(b"%PDF-"):
        said = done.stderr.decode(errors="replace").strip().splitlines()
        why = said[-1][:SAID_CHARACTERS] if said and done.returncode > 0 else f"the typesetter died ({done.returncode})"
        _log.error("report_failed", template=template, exit_code=done.returncode)
        raise ReportFailed(why if why.startswith("The report") else f"The report could not be set: {why}")
    return done.stdout


def _environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in _KEPT_ENVIRONMENT if name in os.environ}
    if "PYTHONPATH" in kept:
        # the child works elsewhere
        kept["PYTHONPATH"] = os.pathsep.join(map(os.path.abspath, kept["PYTHONPATH"].split(os.pathsep)))
    return kept


__all__ = ["Press", "PressLimits"]
