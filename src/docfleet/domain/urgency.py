"""How soon a document is wanted: four classes, each with a target, and how waiting raises what is not urgent."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from docfleet.domain.media import Kind


class Urgency(StrEnum):
    """The priority a submitter gives a document."""

    CRITICAL = "critical"
    HIGH = "high"
    NORMAL = "normal"
    BULK = "bulk"


RANK: Mapping[Urgency, int] = {urgency: rank for rank, urgency in enumerate(Urgency)}
"""0 is the most urgent."""

AGEING_SECONDS = 120.0
"""Waiting this long counts as much as one class of urgency, so that bulk is never starved."""


class Pool(StrEnum):
    """Workers of one kind; each kind of file has its own."""

    PDF = "pdf"
    IMAGE = "image"
    CLOUD = "cloud"
    """No kind of file: pages of all kinds that a cloud engine is to read. Its workers take many of them at a time
    straight from the ledger, so no hints are published for it (docs/decisions/0016-cloud-step.md)."""


HINTED_POOLS = (Pool.PDF, Pool.IMAGE)
"""Pools of slots on this machine's processors, which the dispatcher sends hints to."""

POOL_OF_KIND: Mapping[Kind, Pool] = {Kind.PDF: Pool.PDF, Kind.IMAGE: Pool.IMAGE}

DEFAULT_URGENCY: Mapping[Pool, Urgency] = {Pool.PDF: Urgency.NORMAL, Pool.IMAGE: Urgency.NORMAL}
"""What a document of this kind gets when its submitter does not say."""

TARGET_SECONDS: Mapping[tuple[Pool, Urgency], float] = {
    (Pool.PDF, Urgency.CRITICAL): 10.0,
    (Pool.PDF, Urgency.HIGH): 30.0,
    (Pool.PDF, Urgency.NORMAL): 60.0,
    (Pool.PDF, Urgency.BULK): 3600.0,
    (Pool.IMAGE, Urgency.CRITICAL): 15.0,
    (Pool.IMAGE, Urgency.HIGH): 45.0,
    (Pool.IMAGE, Urgency.NORMAL): 90.0,
    (Pool.IMAGE, Urgency.BULK): 3600.0,
    (Pool.CLOUD, Urgency.CRITICAL): 20.0,
    (Pool.CLOUD, Urgency.HIGH): 60.0,
    (Pool.CLOUD, Urgency.NORMAL): 120.0,
    (Pool.CLOUD, Urgency.BULK): 3600.0,
}
"""Seconds from upload to result that the fleet is sized for; pixels take longer than text layers."""


def queue_name(pool: str, urgency: Urgency) -> str:
    """`pdf.critical`: one queue for each pool and urgency, since Redis keeps no priorities within one."""
    return f"{pool}.{urgency}"
