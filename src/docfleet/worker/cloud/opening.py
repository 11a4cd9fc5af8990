"""From settings to what a cloud worker works with. Google's package and Redis's client are loaded here alone."""

from __future__ import annotations

from docfleet.engines.documentai.calling import Caller
from docfleet.engines.documentai.options import DocumentAIOptions
from docfleet.errors import EngineUnavailable
from docfleet.ledger import Ledger
from docfleet.ledger.batch_sweeping import BatchSweeping
from docfleet.ledger.cloud_batches import CloudBatches
from docfleet.ledger.escalating import Escalating
from docfleet.quota.board import open_board
from docfleet.runtime import Runtime
from docfleet.store.open import open_store
from docfleet.telemetry import logger
from docfleet.worker.cloud.batch_parts import BatchParts
from docfleet.worker.cloud.noting import Noting
from docfleet.worker.cloud.parts import CloudOptions, CloudParts

log = logger("cloud")


def open_parts(runtime: Runtime, ledger: Ledger) -> CloudParts:
    """Raises EngineUnavailable when the engine is not installed or no processor is named, UsageError.

    Its quota and breakers are shared with every other process where there is a Redis; without, this process takes the
    quota for its own, since only cloud workers call.
    """
    caller = runtime.open_documentai(processes=1)
    documentai, service = caller.options, runtime.settings.service
    if not documentai.of_type(documentai.processor_type):
        caller.close()
        raise EngineUnavailable(f"[documentai] names no processor of type {documentai.processor_type}.")
    try:
        batches = _open_batches(documentai, caller, ledger)
    except BaseException:
        caller.close()
        raise
    return CloudParts(
        options=CloudOptions.of(runtime.settings.cascade, documentai, caller.facts),
        documentai=documentai,
        ledger=ledger,
        escalating=Escalating(ledger),
        budgets=runtime.budgets,
        store=runtime.store,
        master_key=runtime.master_key,
        caller=caller,
        batches=batches,
        noting=Noting(open_board(runtime.quota_redis(), service.data_folder), caller, service.region),
    )


def _open_batches(documentai: DocumentAIOptions, caller: Caller, ledger: Ledger) -> BatchParts | None:
    if documentai.batch_uri:
        return BatchParts(caller, documentai.processor_type, ledger, open_store)
    left = BatchSweeping(CloudBatches(ledger)).abandon()
    if left:
        log.error("batches_abandoned", files=left)
    return None
