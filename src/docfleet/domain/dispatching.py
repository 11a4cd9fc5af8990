"""Which of the waiting slices are dispatched next, and why.

In this order, first difference wins:

1. class: the urgency (0 critical … 3 bulk); a deadline nearer than the target of that urgency raises it by one. A
   tenant of whom nothing of this urgency is under way rises by one class for every `AGEING_SECONDS` it waits, up to
   critical: so nothing starves. What is under way already does not rise, however long it is: a flood grows old too,
   and must not delay another tenant's trickle.
2. the tenant with the fewest slices under way
3. the urgency as it was given
4. the document with the fewest slices under way
5. the nearest deadline
6. the place in the queue
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from math import inf
from typing import cast

import msgspec

from docfleet.domain.urgency import AGEING_SECONDS, RANK, TARGET_SECONDS, Pool, Urgency

DEFAULT_TARGET_SECONDS = 60.0
"""Of pools without a target of their own."""


class Head(msgspec.Struct, frozen=True):
    """A slice that may be dispatched."""

    slice_id: int
    document_id: str
    tenant: str
    urgency: Urgency
    priority: int
    """Its place in its tenant's queue: lower goes first."""
    deadline_at: float | None
    waiting_since: float
    pool: str
    isolated: bool = False
    """Under suspicion: runs alone."""


class Outstanding(msgspec.Struct, frozen=True):
    """How many slices are dispatched or running now."""

    by_tenant: Mapping[str, int] = {}
    by_document: Mapping[str, int] = {}
    by_queue: Mapping[tuple[str, Urgency], int] = {}
    """(tenant, urgency)"""


class Chosen(msgspec.Struct, frozen=True):
    slice_id: int
    reason: str


def choose(heads: Sequence[Head], outstanding: Outstanding, limit: int, now: float) -> list[Chosen]:
    """Up to `limit` of `heads`, in the order in which they are to be dispatched; each choice counts for the next."""
    tenants, documents = Counter(outstanding.by_tenant), Counter(outstanding.by_document)
    queues = Counter(outstanding.by_queue)
    # only the first of each document's slices can be next, so the others need not be compared at every choice
    waiting: dict[str, list[Head]] = {}
    for head in sorted(heads, key=_last_first):
        waiting.setdefault(head.document_id, []).append(head)
    classes: dict[tuple[int, bool], tuple[int, str]] = {}

    def rank(head: Head) -> tuple[int, str]:
        key = (head.slice_id, queues[head.tenant, head.urgency] > 0)
        if key not in classes:
            classes[key] = class_of(head, key[1], now)
        return classes[key]

    chosen: list[Chosen] = []
    while waiting and len(chosen) < limit:
        best = min(
            (own[-1] for own in waiting.values()),
            key=lambda head: (
                rank(head)[0],
                tenants[head.tenant],
                RANK[head.urgency],
                documents[head.document_id],
                inf if head.deadline_at is None else head.deadline_at,
                head.priority,
                head.slice_id,
            ),
        )
        chosen.append(Chosen(best.slice_id, rank(best)[1]))
        own = waiting[best.document_id]
        own.pop()
        if not own:
            del waiting[best.document_id]
        tenants[best.tenant] += 1
        documents[best.document_id] += 1
        queues[best.tenant, best.urgency] += 1
    return chosen


def _last_first(head: Head) -> tuple[int, int, int]:
    return (-RANK[head.urgency], -head.priority, -head.slice_id)


def class_of(head: Head, is_under_way: bool, now: float) -> tuple[int, str]:
    """(class, reason); 0 is the most urgent. `is_under_way`: something else of its tenant and urgency is."""
    rank, reason = RANK[head.urgency], str(head.urgency)
    target = TARGET_SECONDS.get((cast(Pool, head.pool), head.urgency), DEFAULT_TARGET_SECONDS)
    if head.deadline_at is not None and head.deadline_at - now < target:
        rank, reason = max(0, rank - 1), f"{head.urgency}, deadline near"
    if not is_under_way:
        aged = max(0, rank - int(max(0.0, now - head.waiting_since) / AGEING_SECONDS))
        if aged < rank:
            return aged, f"{reason}, waited {now - head.waiting_since:.0f} s"
    return rank, reason
