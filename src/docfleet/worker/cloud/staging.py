"""Slices on their way into a batch, and back from one: uploaded and parked; claimed again and ended with the result."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from docfleet.domain.budgeting import Refused
from docfleet.engines.documentai.calls import Endpoint
from docfleet.engines.documentai.failures import Failure
from docfleet.errors import DocfleetError, FormatError, LedgerError, StoreError
from docfleet.ledger import Claim
from docfleet.ledger.batch_rows import FileState
from docfleet.ledger.batch_values import CloudFile
from docfleet.ledger.money_values import Ask
from docfleet.telemetry import logger
from docfleet.worker.cloud.batch_parts import BatchParts, Group
from docfleet.worker.cloud.finishing import Ends
from docfleet.worker.cloud.holding import Held
from docfleet.worker.cloud.parts import ENGINE, CloudParts

LEDGER_PAUSE = 2.0
STORE_PAUSE_SECONDS = 5.0
CHUNK_BYTES = 1024 * 1024

log = logger("cloud")


class Staging:
    """Threads share one. Every slice that is handed in ends, is parked, or goes on by itself (`go_on`)."""

    def __init__(self, parts: CloudParts, batches: BatchParts, ends: Ends, go_on: Callable[[Held], None]) -> None:
        self._parts = parts
        self._batches = batches
        self._ends = ends
        self._go_on = go_on

    def known(self, claims: Sequence[Claim]) -> Mapping[int, CloudFile]:
        """What the ledger knows of these slices in batches. Raises `LedgerError`."""
        return self._batches.desk.files_of([claim.slice_id for claim in claims])

    def takes(self, held: Held) -> bool:
        """Whether a slice that never was in a batch is to be read in one."""
        claim, options = held.claim, self._batches.options
        is_suspect = claim.isolated or claim.error_count > 0
        fits = len(held.pages) <= self._batches.facts.processor(self._parts.options.kind).batch_pages
        wanted = claim.document.urgency.value in options.batch_urgencies
        return wanted and fits and not is_suspect and not held.order.online and self._place_of(held) is not None

    def _place_of(self, held: Held) -> Endpoint | None:
        return self._batches.choose(held.tenant)

    # --- into a batch

    def stage(self, held: Held, size: int) -> None:
        """Pays for it, uploads its pages and parks it."""
        endpoint = self._place_of(held)
        if endpoint is None or size > self._batches.facts.sizes.batch_file_bytes:
            self._go_on(held)
            return
        try:
            answer = self._parts.budgets.reserve([self._ask(held)])[0]
        except LedgerError as error:
            log.warning("money_awaited", error=error)
            self._ends.hand_back(held, error.code, LEDGER_PAUSE)
            return
        if isinstance(answer, Refused):
            self._ends.without_money(held, answer)
            return
        held.reservations = [answer]
        try:
            file_id = self._upload(held, endpoint)
        except StoreError as error:
            log.error("batch_bucket_unavailable", place=endpoint.location, error=error)
            self._batches.bar(endpoint.location)
            self._not_staged(held, error)
            return
        except LedgerError as error:
            self._ends.hand_back(held, error.code, LEDGER_PAUSE)
            return
        if file_id is None:
            self._go_on(held)
            return
        self._ends.park(held, lambda: self._batches.desk.park(held.claim, file_id))

    def _ask(self, held: Held) -> Ask:
        claim, options, call = held.claim, self._parts.options, held.calls * 2 + 1
        return Ask(
            claim.slice_id, claim.token, held.tenant, ENGINE, options.kind, len(held.pages), claim.document.id,
            call=call, addons=options.addons,
        )  # fmt: skip

    def _upload(self, held: Held, endpoint: Endpoint) -> int | None:
        claim = held.claim
        key = f"in/{claim.slice_id}-{claim.token}-{secrets.token_hex(4)}.pdf"
        shared = self._parts.options.limits.share_between_tenants
        group = Group(endpoint.name, held.order.languages, "" if shared else held.tenant)
        group_json = msgspec.json.encode(group).decode()
        [reservation] = held.reservations
        file_id = self._batches.desk.begin(claim, reservation, group_json, endpoint.location, key)
        if file_id is not None and held.file is not None:
            self._batches.store(endpoint.location).put_stream(key, _chunks(held.file))
        return file_id

    def _not_staged(self, held: Held, error: DocfleetError) -> None:
        """Its upload failed: it is read by itself."""
        held.reservations = []
        held.calls += 1

        def give_up() -> None:
            file = self._batches.desk.files_of([held.claim.slice_id])[held.claim.slice_id]
            self._batches.desk.give_up(file, error.code, error.message)

        self._try(held, give_up)
        self._go_on(held)

    # --- back from one

    def take_back(self, held: Held, file: CloudFile) -> None:
        """A slice that was in a batch: ended with its result, or it goes on by itself."""
        match file.state:
            case FileState.READ:
                self._collect(held, file)
            case FileState.STAGED | FileState.SENT:
                # claimed although it was parked: somebody set its state by hand
                self._ends.hand_back(held, "in_batch", STORE_PAUSE_SECONDS)
            case FileState.FAILED:
                # the batch's end has seen to the money for it
                log.warning(
                    "batch_file_failed", slice=held.claim.slice_id, document=held.claim.document.id, code=file.code
                )
                self._try(held, lambda: self._batches.desk.close(file))
                self._go_on(held)
            case FileState.UPLOADING:
                self._close(held, file, billed=False)
                self._go_on(held)
            case FileState.OVER:
                self._go_on(held)

    def _collect(self, held: Held, file: CloudFile) -> None:
        try:
            reservation = self._batches.desk.reservation(file)
            result = self._batches.result(file)
            if not isinstance(result, Failure) and len(result.pages) != len(held.pages):
                raise FormatError(f"{len(held.pages)} pages were sent, {len(result.pages)} came back")
        except (StoreError, LedgerError) as error:
            # it lies there; what was paid for it stays with the file
            log.warning("batch_result_awaited", slice=held.claim.slice_id, document=held.claim.document.id, error=error)
            self._ends.hand_back(held, error.code, STORE_PAUSE_SECONDS)
            return
        except DocfleetError as error:
            log.warning("batch_result_broken", slice=held.claim.slice_id, document=held.claim.document.id, error=error)
            self._close(held, file, billed=True)
            self._go_on(held)
            return
        if isinstance(result, Failure):
            log.warning(
                "batch_result_missing", slice=held.claim.slice_id, document=held.claim.document.id, code=result.code
            )
            self._close(held, file, billed=True)
            self._go_on(held)
            return
        held.reservations = [reservation]
        self._ends.read(held, result, f"{file.place} (in a batch)", 0.0, 1)

    def _close(self, held: Held, file: CloudFile, billed: bool) -> None:
        self._try(held, lambda: self._batches.desk.give_up(file, file.code, file.message, billed))

    def _try(self, held: Held, change: Callable[[], None]) -> None:
        """What fails here is made up for by the sweep, once the slice has ended."""
        try:
            change()
        except LedgerError as error:
            log.warning("batch_file_left", slice=held.claim.slice_id, document=held.claim.document.id, error=error)


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk
