"""Webhooks: what may be told, when a failed delivery is tried again, and who is served next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum

import msgspec

TEST_EVENT = "webhook.test"
BATCH_FINISHED = "batch.finished"
DOCUMENT_EVENTS = ("document.succeeded", "document.partial", "document.failed", "document.cancelled")
BUDGET_WARNING = "budget.warning"
BUDGET_EXHAUSTED = "budget.exhausted"
REPORT_READY = "report.ready"
EVENT_TYPES = (*DOCUMENT_EVENTS, BATCH_FINISHED, BUDGET_WARNING, BUDGET_EXHAUSTED, REPORT_READY)
"""What a webhook can ask for; `webhook.test` comes when it is asked for."""

DELAYS_SECONDS = (5.0, 300.0, 1800.0, 7200.0, 18000.0, 36000.0)
"""Between a failed try and the next; the last one goes on."""
SPREAD = 0.2
"""Each delay is up to so much longer or shorter, so that what failed together does not come back together."""
GONE = 410
NOT_NOW = frozenset({429, 503})
"""Statuses whose Retry-After is kept."""


class DeliveryState(StrEnum):
    """Where a message stands."""

    WAITING = "waiting"
    """To be sent from `available_at` on."""
    SENDING = "sending"
    """A sender holds it until its lease ends; then another sends it again, under the same id."""
    DELIVERED = "delivered"
    """The receiver answered 2xx."""
    DEAD = "dead"
    """Given up, or its webhook is gone; it can be sent anew by hand."""


class Answer(msgspec.Struct, frozen=True):
    """What came of one try."""

    status: int
    """HTTP status; 0: none came."""
    seconds: float
    error: str = ""
    """Why none came: a short code and a sentence."""
    retry_after_seconds: float | None = None


class Verdict(msgspec.Struct, frozen=True):
    """What becomes of a delivery after a try."""

    state: DeliveryState
    reason: str
    delay_seconds: float = 0.0
    """Before the next try, when it waits."""
    disable: bool = False
    """The receiver wants no more messages at all."""


def judge(answer: Answer, attempts: int, retry_seconds: float, jitter: float) -> Verdict:
    """Decides after try number `attempts` (from 1). `jitter` in [0, 1).

    Delays are counted without jitter and Retry-After, so that every delivery has the same number of tries; the last
    one comes `retry_seconds` after the first.
    """
    if 200 <= answer.status < 300:
        return Verdict(DeliveryState.DELIVERED, f"answered {answer.status}")
    if answer.status == GONE:
        return Verdict(DeliveryState.DEAD, "the receiver is gone for good (410)", disable=True)
    said = f"answered {answer.status}" if answer.status else answer.error or "no answer"
    passed = sum(_delay(number) for number in range(1, attempts))
    left = retry_seconds - passed
    if left < 1:
        return Verdict(DeliveryState.DEAD, f"{said}; given up after {attempts} tries")
    wait = _delay(attempts) * (1 - SPREAD + 2 * SPREAD * jitter)
    if answer.status in NOT_NOW and answer.retry_after_seconds is not None:
        wait = max(wait, answer.retry_after_seconds)
    return Verdict(DeliveryState.WAITING, said, min(wait, left))


def _delay(number: int) -> float:
    return DELAYS_SECONDS[min(number, len(DELAYS_SECONDS)) - 1]


class Receiver(msgspec.Struct, frozen=True):
    """A webhook that messages wait for, or are on their way to."""

    webhook_id: str
    tenant: str


def share_out(
    due: Sequence[Receiver], under_way: Iterable[Receiver], slow: frozenset[str], concurrency: int
) -> Mapping[str, int]:
    """How many messages to take up for each webhook that has some, so that nobody waits for another's slow receiver.

    One tenant has at most three quarters of the senders, slow receivers (of all tenants together) at most half of
    them, and each of these one. Those with the fewest messages under way come first; `due` decides between equals.
    """
    taken = list(under_way)
    free = concurrency - len(taken)
    of_tenant = Counter(receiver.tenant for receiver in taken)
    of_webhook = Counter(receiver.webhook_id for receiver in taken)
    of_slow = sum(of_webhook[webhook_id] for webhook_id in slow)
    shares: Counter[str] = Counter()
    candidates = list(due)
    while free > 0 and candidates:
        candidates.sort(key=lambda receiver: (of_tenant[receiver.tenant], of_webhook[receiver.webhook_id]))
        chosen = next(
            (
                receiver
                for receiver in candidates
                if of_tenant[receiver.tenant] < max(1, concurrency * 3 // 4)
                and (
                    receiver.webhook_id not in slow
                    or (of_webhook[receiver.webhook_id] == 0 and of_slow < max(1, concurrency // 2))
                )
            ),
            None,
        )
        if chosen is None:
            break
        shares[chosen.webhook_id] += 1
        of_tenant[chosen.tenant] += 1
        of_webhook[chosen.webhook_id] += 1
        of_slow += chosen.webhook_id in slow
        free -= 1
    return dict(shares)
