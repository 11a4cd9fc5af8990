"""What a metric is: its kind, who tells it, its labels and buckets."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Kind(StrEnum):
    COUNTER = "counter"
    """Only grows; begins anew with its process, those of the fleet never."""
    GAUGE = "gauge"
    """As it is now."""
    HISTOGRAM = "histogram"
    """How often a value lay below each bound."""


class Told(StrEnum):
    """Who tells a metric."""

    EVERY = "every process"
    LEADER = "leading dispatcher"
    """Sums of the ledger: the same whichever process leads."""
    DISPATCHER = "dispatcher"
    API = "API"
    WORKER = "worker"
    ENGINE = "cloud worker"
    DOCUMENTAI = "documentai-server"


class Metric(msgspec.Struct, frozen=True):
    """`name` as it is sampled; that of a counter ends in `_total`."""

    name: str
    kind: Kind
    told: Told
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    """Upper bounds without +Inf; of histograms alone."""

    def __hash__(self) -> int:
        return hash(self.name)

    @property
    def is_of_the_fleet(self) -> bool:
        """Whether it says the same whichever process is asked: sums of the ledger, told by who leads."""
        return self.told is Told.LEADER


def doubled(first: float, steps: int) -> tuple[float, ...]:
    """Bounds that double, so that Prometheus may keep them as a native histogram (schema 0) without loss."""
    return tuple([round(first * 2.0**step, 6) for step in range(steps)])
