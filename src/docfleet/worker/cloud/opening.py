"""From settings to what a cloud worker works with. Google's package and Redis's client are loaded here alone."""

from __future__ import annotations

from docfleet.errors import EngineUnavailable
from docfleet.ledger import Ledger
from docfleet.ledger.escalating import Escalating
from docfleet.runtime import Runtime
from docfleet.worker.cloud.parts import CloudOptions, CloudParts


def open_parts(runtime: Runtime, ledger: Ledger) -> CloudParts:
    """Raises EngineUnavailable when the engine is not installed or no processor is named, UsageError.

    Its quota and breakers are shared with every other process where there is a Redis; without, this process takes the
    quota for its own, since only cloud workers call.
    """
    caller = runtime.open_documentai(processes=1)
    documentai = caller.options
    if not documentai.of_type(documentai.processor_type):
        caller.close()
        raise EngineUnavailable(f"[documentai] names no processor of type {documentai.processor_type}.")
    return CloudParts(
        options=CloudOptions.of(runtime.settings.cascade, documentai, caller.facts),
        documentai=documentai,
        ledger=ledger,
        escalating=Escalating(ledger),
        budgets=runtime.budgets,
        store=runtime.store,
        master_key=runtime.master_key,
        caller=caller,
    )
