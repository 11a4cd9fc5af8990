"""From settings to what a cloud worker works with. Google's package and Redis's client are loaded here alone."""

from __future__ import annotations

from docfleet.errors import EngineUnavailable, UsageError
from docfleet.ledger import Ledger
from docfleet.runtime import Runtime
from docfleet.worker.cloud.parts import CloudParts


def open_parts(runtime: Runtime, ledger: Ledger) -> CloudParts:
    raise EngineUnavailable("Document AI is not set up.") from UsageError("")
