"""The senders: take up what is due, a fair share for each receiver, until told to stop."""

from __future__ import annotations

import random
import ssl
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Event, Lock

import msgspec

from docfleet.delivery.sending import Sender
from docfleet.delivery.signing import open_secret
from docfleet.delivery.tracing import Try, code_of
from docfleet.domain.delivery import Answer, DeliveryState, Receiver, Verdict, judge, share_out
from docfleet.errors import DocfleetError, LedgerError, StoreError
from docfleet.ledger.webhook_values import ClaimedDelivery
from docfleet.ledger.webhooks import Webhooks
from docfleet.store.encryption import MasterKey
from docfleet.telemetry import logger, metrics
from docfleet.telemetry.catalog import DELIVERIES

_log = logger("delivery")

SLOW_SECONDS = 1.0
"""A receiver whose last answer took longer, or did not come, is slow."""
LEASE_MARGIN_SECONDS = 30.0
"""For looking up the name and writing the outcome."""
FINISH_TRIES = 5
PRUNE_SECONDS = 600.0


class DeliveryOptions(msgspec.Struct, frozen=True):
    timeout_seconds: float = 10.0
    retry_seconds: float = 86_400.0
    allow_private: bool = False
    concurrency: int = 8
    poll_seconds: float = 0.5
    keep_days: float = 30.0
    """How long messages that are over, and their log, are kept."""


class DeliveryParts(msgspec.Struct, frozen=True):
    """What the senders work with."""

    webhooks: Webhooks
    master_key: MasterKey
    options: DeliveryOptions = DeliveryOptions()
    wait: Callable[[float], object] | None = None
    """Waits for news, at most so many seconds; None: sleeps that long."""
    trust: ssl.SSLContext | None = None
    """Certificates to trust; None: the system's."""
    jitter: Callable[[], float] = random.random


def run_delivery(parts: DeliveryParts, stop: Event) -> None:
    """Sends until `stop` is set, then waits for what is under way (at most the timeout of a try).

    Any number of these may run, in one process or many; each message is held by one at a time. Goes on through
    failures of the ledger.
    """
    senders = _Senders(parts, stop)
    try:
        senders.run()
    finally:
        senders.close()


OUTCOMES = {DeliveryState.DELIVERED: "delivered", DeliveryState.DEAD: "dead", DeliveryState.WAITING: "failed"}
"""What a try comes to, as its metric says."""


class _Senders:
    def __init__(self, parts: DeliveryParts, stop: Event) -> None:
        options = parts.options
        self._parts = parts
        self._stop = stop
        self._sender = Sender(options.timeout_seconds, options.allow_private, parts.trust)
        self._threads = ThreadPoolExecutor(options.concurrency, thread_name_prefix="delivery")
        self._lock = Lock()
        self._under_way: dict[str, Receiver] = {}
        self._slow: set[str] = set()
        self._changed = Event()
        self._prune_at = 0.0

    def run(self) -> None:
        pause = self._parts.options.poll_seconds
        while not self._stop.is_set():
            try:
                taken = self._take_up()
                self._prune()
            except LedgerError as error:
                _log.warning("deliveries_not_readable", error=error)
                pause = min(2 * pause, 5.0)
                self._stop.wait(pause)
                continue
            pause = self._parts.options.poll_seconds
            if not taken:
                self._wait(pause)

    def close(self) -> None:
        self._threads.shutdown(wait=True)

    def _prune(self) -> None:
        if time.monotonic() >= self._prune_at:
            more = self._parts.webhooks.prune(self._parts.options.keep_days) > 0
            self._prune_at = time.monotonic() + (0.0 if more else PRUNE_SECONDS)

    def _wait(self, seconds: float) -> None:
        """For a sender that becomes free, or, when all are, for news."""
        with self._lock:
            busy = bool(self._under_way)
        if busy:
            self._changed.wait(seconds)
            self._changed.clear()
        elif self._parts.wait is not None:
            self._parts.wait(seconds)
        else:
            self._stop.wait(seconds)

    def _take_up(self) -> int:
        options = self._parts.options
        with self._lock:
            under_way = list(self._under_way.values())
            slow = frozenset(self._slow)
        if len(under_way) >= options.concurrency:
            return 0
        due = self._parts.webhooks.due()
        if not due:
            return 0
        shares = share_out(due, under_way, slow, options.concurrency)
        if not shares:
            return 0
        claimed = self._parts.webhooks.claim_deliveries(shares, options.timeout_seconds + LEASE_MARGIN_SECONDS)
        at = time.monotonic()
        for delivery in claimed:
            with self._lock:
                self._under_way[delivery.id] = Receiver(delivery.webhook_id, delivery.tenant)
            self._threads.submit(self._deliver, delivery, at)
        return len(claimed)

    def _deliver(self, delivery: ClaimedDelivery, claimed: float) -> None:
        try:
            told = Try(delivery, claimed)
            answer = self._try(delivery, told.traceparent)
            options = self._parts.options
            verdict = judge(answer, delivery.attempts, options.retry_seconds, self._parts.jitter())
            told.ended(answer, verdict)
            self._finish(delivery, answer, verdict)
            metrics.count(DELIVERIES, 1.0, OUTCOMES[verdict.state])
            _log.info(
                "delivery_tried", document=delivery.document_id, delivery=delivery.id, webhook=delivery.webhook_id,
                attempt=delivery.attempts, state=verdict.state.value, code=code_of(answer),
                seconds=round(answer.seconds, 3),
            )  # fmt: skip
            with self._lock:
                if answer.status == 0 or answer.seconds > SLOW_SECONDS:
                    self._slow.add(delivery.webhook_id)
                else:
                    self._slow.discard(delivery.webhook_id)
        except Exception:
            # its lease ends, and it is sent again
            _log.exception("delivery_broke_off", delivery=delivery.id)
        finally:
            with self._lock:
                del self._under_way[delivery.id]
            self._changed.set()

    def _try(self, delivery: ClaimedDelivery, traceparent: str) -> Answer:
        try:
            secret = open_secret(self._parts.master_key, delivery.sealed_secret)
        except StoreError as error:
            return Answer(0, 0.0, f"secret_unreadable: {error}")
        return self._sender.send(delivery, secret, traceparent)

    def _finish(self, delivery: ClaimedDelivery, answer: Answer, verdict: Verdict) -> None:
        for attempt in range(1, FINISH_TRIES + 1):
            try:
                self._parts.webhooks.finish_delivery(delivery, answer, verdict)
            except DocfleetError:
                if attempt == FINISH_TRIES:
                    raise
                time.sleep(0.2 * attempt)
            else:
                return
