"""From the ledger to full requests: claims slices of many documents, has them prepared, packs them, sends them off.

    claim_next ──▶ preparing ──▶ waiting ──pack──▶ in flight ──▶ ended
         ▲                          ▲ └───────────────┘ no quota yet: company may join meanwhile
         └── no more than two requests' worth ahead of what is under way

All of this is one thread's; what takes time (taking pages out, making a request) is done by others, which say so here.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path

import msgspec

from docfleet.domain.cascade import OnRefusal
from docfleet.domain.packing import Item, Request, due_at, pack
from docfleet.domain.urgency import Pool
from docfleet.errors import DocfleetError, EngineUnavailable, LedgerError, ScratchFull, StoreError, Unexpected
from docfleet.ledger import Claim, Lane
from docfleet.ledger.batch_values import CloudFile
from docfleet.telemetry import logger, metrics
from docfleet.telemetry.catalog import STAGE_DURATION
from docfleet.worker.cloud.finishing import Ends
from docfleet.worker.cloud.holding import Held, Holding, Stage
from docfleet.worker.cloud.orders import CloudOrder, read_order
from docfleet.worker.cloud.parts import ENGINE, PAGES_IN_HAND, CloudParts
from docfleet.worker.cloud.preparing import Preparers
from docfleet.worker.cloud.senders import Senders
from docfleet.worker.cloud.sending import ALONE_FROM_ERRORS, Sender
from docfleet.worker.cloud.staging import Staging

LOOK_SECONDS = 0.25
"""How often the ledger is asked when nobody says that there is work."""
NO_LEDGER_SECONDS = 1.0
STORE_PAUSE_SECONDS = 5.0
CLAIMS_AT_ONCE = 30
CONTENDED_SECONDS = 15.0
"""So long after full requests waited for quota, the quota counts as short: the next of them may just be on its way."""

log = logger("cloud")


class Gatherer:
    """See the module. `inbox` holds what the main thread is to do; anybody may put something there, or None: look."""

    def __init__(self, name: str, parts: CloudParts, holding: Holding, ends: Ends, preparers: Preparers) -> None:
        self._name = name
        self._parts = parts
        self._holding = holding
        self._ends = ends
        self._preparers = preparers
        self.inbox: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._sender = Sender(parts, ends, preparers, self.requeue)
        self.senders = Senders(parts.options.calls_in_flight)
        self._staging = Staging(parts, parts.batches, ends, self._go_on) if parts.batches is not None else None
        self._gates: dict[str, float] = {}
        """Key of requests -> not before; a steady clock."""
        self._contended_until = 0.0
        """Full requests waited for quota a moment ago: until when others wait for company; a steady clock."""
        self._look_at = 0.0

    # --- the main thread

    def turn(self, longest: float) -> None:
        """Waits for something to do, at most so long, and does it; then claims and sends what can be."""
        self._obey(min(longest, self._pause()))
        self._claim()
        self._pack()

    def _obey(self, seconds: float) -> None:
        try:
            said = self.inbox.get(timeout=max(0.001, seconds))
            while True:
                if said is None:
                    self._look_at = 0.0
                else:
                    said()
                said = self.inbox.get_nowait()
        except queue.Empty:
            return

    def _pause(self) -> float:
        now = time.monotonic()
        moments = [self._look_at] if self._room() > 0 else []
        waiting = [held for held in self._holding.all(Stage.WAITING) if held.item is not None]
        if self.senders.free() > 0:
            limits = self._parts.options.limits
            contended, coming = self._contended_until > now, self._coming()
            moments += [
                max(self._gate(held.item), due_at(held.item, limits, contended, coming))
                for held in waiting
                if held.item
            ]
        return max(0.0, min(moments, default=now + 1.0) - now)

    def _coming(self) -> set[str]:
        """Keys of what is being prepared."""
        return {self._key(held) for held in self._holding.all(Stage.PREPARING)}

    def _gate(self, item: Item) -> float:
        return self._gates.get(item.key, 0.0)

    # --- claiming

    def _room(self) -> int:
        """Pages that may still be claimed."""
        if self.senders.free() <= 0:
            return 0
        in_hand = self._holding.pages(Stage.PREPARING, Stage.WAITING)
        requests = min(PAGES_IN_HAND + self.senders.free() // 4, PAGES_IN_HAND * 4)
        return self._parts.options.limits.pages * requests - in_hand

    def _claim(self) -> None:
        now = time.monotonic()
        room = self._room()
        if now < self._look_at or room <= 0:
            return
        # one in isolation is alone in its worker
        lanes = (Lane.SHARED, Lane.ISOLATED) if not self._holding.all() else (Lane.SHARED,)
        limit = min(CLAIMS_AT_ONCE, room)
        started = time.perf_counter()
        try:
            claims = self._parts.ledger.claim_next(self._name, [Pool.CLOUD], limit, lanes)
        except LedgerError as error:
            log.warning("ledger_unavailable", error=error)
            self._look_at = now + NO_LEDGER_SECONDS
            return
        if claims:
            metrics.observe(STAGE_DURATION, time.perf_counter() - started, Pool.CLOUD, "claim")
        for claim in claims:
            metrics.observe(STAGE_DURATION, claim.waited_seconds, Pool.CLOUD, "wait")
        # what was claimed in full has more behind it
        self._look_at = now if len(claims) == limit else now + LOOK_SECONDS
        known = self._in_batches(claims)
        if known is None:
            self._look_at = now + NO_LEDGER_SECONDS
            return
        closed = [self._take_up(claim, known.get(claim.slice_id)) for claim in claims]
        if claims and all(closed):
            self._look_at = now + NO_LEDGER_SECONDS

    def _in_batches(self, claims: Sequence[Claim]) -> Mapping[int, CloudFile] | None:
        """What is known of them in batches; None: the ledger is away, and they go back."""
        if self._staging is None:
            return {}
        try:
            return self._staging.known(claims)
        except LedgerError as error:
            log.warning("ledger_unavailable", error=error)
            for claim in claims:
                held = Held(claim, CloudOrder("", OnRefusal.FAIL, ()))
                self._holding.add(held)
                self._ends.hand_back(held, error.code)
            return None

    def _take_up(self, claim: Claim, file: CloudFile | None) -> bool:
        """Has its pages taken out; True: it cannot be sent for a while and went back."""
        try:
            order = read_order(claim.payload_json)
        except msgspec.DecodeError:
            self._refuse_order(claim, Unexpected("The order of a cloud slice cannot be read."))
            return False
        held = Held(claim, order)
        self._holding.add(held)
        if order.engine != ENGINE:
            self._ends.fail(held, EngineUnavailable(f"No cloud worker has the engine {order.engine!r}."))
            return False
        if self._staging is not None and file is not None:
            self._start(held, lambda: self._back_from_batch(held, file))
            return False
        held.for_batch = self._staging is not None and self._staging.takes(held)
        return self._prepare(held)

    def _prepare(self, held: Held) -> bool:
        """Has its pages taken out; True: it cannot be sent for a while and went back."""
        wait = self._gates.get(self._key(held), 0.0) - time.monotonic()
        if wait > self._parts.options.hand_back_seconds and not held.for_batch:
            self._ends.hand_back(held, "quota_exhausted", wait)
            return True
        future = self._preparers.take_out(held.claim)
        future.add_done_callback(lambda done: self.inbox.put(lambda: self._prepared(held, done)))
        return False

    def _back_from_batch(self, held: Held, file: CloudFile) -> None:
        if self._staging is not None:
            self._staging.take_back(held, file)

    def _into_batch(self, held: Held, size: int) -> None:
        if self._staging is not None:
            self._staging.stage(held, size)

    def _go_on(self, held: Held) -> None:
        """From a thread of `_start`: it is read by a request after all."""

        def back() -> None:
            held.for_batch = False
            if held.item is None:
                held.stage = Stage.PREPARING
                self._prepare(held)
            else:
                held.stage = Stage.WAITING

        self.inbox.put(back)

    def _start(self, held: Held, work: Callable[[], None]) -> None:
        """Does it in a thread of its own."""
        held.stage = Stage.IN_FLIGHT

        def run() -> None:
            try:
                work()
            except Exception:
                log.exception("batch_step_broke_off", slice=held.claim.slice_id, document=held.claim.document.id)
                if held in self._holding.all(Stage.IN_FLIGHT):
                    self._ends.fail(held, Unexpected("docfleet failed on a batch with this document."))
            finally:
                self.inbox.put(None)

        self.senders.start(run)

    def _refuse_order(self, claim: Claim, error: DocfleetError) -> None:
        held = Held(claim, CloudOrder("", OnRefusal.FAIL, ()))
        self._holding.add(held)
        self._ends.fail(held, error)

    def _key(self, held: Held) -> str:
        """What all slices of a request have in common."""
        allowed = self._parts.documentai.allowed(held.tenant)
        places = "*" if allowed is None else ",".join(sorted(allowed))
        key = f"{places}|{','.join(held.order.languages)}"
        is_suspect = held.claim.isolated or held.claim.error_count >= ALONE_FROM_ERRORS
        return f"{key}#{held.claim.slice_id}" if is_suspect else key

    def _prepared(self, held: Held, done: Future[tuple[Path, int]]) -> None:
        error = done.exception()
        if held.is_lost or held not in self._holding.all(Stage.PREPARING):
            if error is None:
                done.result()[0].unlink(missing_ok=True)
            self._ends.drop(held)
        elif isinstance(error, ScratchFull | StoreError):
            log.warning("store_unavailable", slice=held.claim.slice_id, document=held.claim.document.id, error=error)
            self._ends.hand_back(held, error.code, STORE_PAUSE_SECONDS)
        elif isinstance(error, DocfleetError):
            self._ends.fail(held, error)
        elif error is not None:
            log.error("unexpected", slice=held.claim.slice_id, document=held.claim.document.id, exc_info=error)
            self._ends.fail(held, Unexpected(f"docfleet failed on this document: {type(error).__name__}."))
        else:
            held.file, size = done.result()
            claim = held.claim
            held.item = Item(
                claim.slice_id, len(held.pages), size, claim.document.urgency, held.tenant, self._key(held), held.since
            )
            held.stage = Stage.WAITING
            if held.for_batch:
                self._start(held, lambda: self._into_batch(held, size))

    # --- packing

    def _pack(self) -> None:
        now = time.monotonic()
        self._gates = {key: until for key, until in self._gates.items() if until > now}
        waiting = {held.claim.slice_id: held for held in self._holding.all(Stage.WAITING) if held.item is not None}
        for held in [one for one in waiting.values() if one.is_lost]:
            self._ends.drop(held)
            del waiting[held.claim.slice_id]
        items = [held.item for held in waiting.values() if held.item and self._gate(held.item) <= now]
        limits = self._parts.options.limits
        gated = [held.item for held in waiting.values() if held.item and self._gate(held.item) > now]
        if any(request.reason == "full" for request in pack(gated, limits, now).requests):
            self._contended_until = now + CONTENDED_SECONDS
        if not items:
            return
        packing = pack(items, limits, now, contended=self._contended_until > now, coming=self._coming())
        for item in packing.too_large:
            self._divide(waiting[item.slice_id])
        for request in packing.requests[: self.senders.free()]:
            self._send(request, [waiting[item.slice_id] for item in request.items])

    def _send(self, request: Request, helds: Sequence[Held]) -> None:
        for held in helds:
            held.stage = Stage.IN_FLIGHT
        self.senders.start(lambda: self._in_flight(request, helds))

    def _in_flight(self, request: Request, helds: Sequence[Held]) -> None:
        """In a thread of its own."""
        try:
            self._sender.send(request, helds)
        except Exception:
            log.exception("request_broke_off", slices=len(helds))
            for held in helds:
                if held in self._holding.all(Stage.IN_FLIGHT):
                    self._ends.fail(held, Unexpected("docfleet failed on a request with this document."))
        finally:
            self.inbox.put(None)

    def _divide(self, held: Held) -> None:
        """No request can hold it: smaller slices, down to a page, which then is too large itself."""
        held.stage = Stage.IN_FLIGHT
        limits, pages = self._parts.options.limits, len(held.pages)

        def divide() -> None:
            if pages > 1:
                self._ends.pass_on(held, min(limits.pages, (pages + 1) // 2))
            else:
                self._ends.refuse(held, "too_many_bytes", f"One page has more than {limits.size_bytes:,} bytes.")
            self.inbox.put(None)

        self.senders.start(divide)

    def requeue(self, helds: Sequence[Held], seconds: float) -> None:
        """From a request's thread: back among those that wait, and nothing of their kind is sent for so long."""

        def back() -> None:
            until = time.monotonic() + seconds
            for held in helds:
                held.stage = Stage.WAITING
                if held.item is not None and seconds > 0:
                    self._gates[held.item.key] = max(self._gates.get(held.item.key, 0.0), until)

        self.inbox.put(back)

    # --- the end

    def let_go(self) -> None:
        """A worker that stops: all that is not in flight goes back at once."""
        while True:
            try:
                said = self.inbox.get_nowait()
            except queue.Empty:
                break
            if said is not None:
                said()
        for held in [*self._holding.all(Stage.PREPARING), *self._holding.all(Stage.WAITING)]:
            self._ends.hand_back(held, "handed_back")
