"""The workers that are seen."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import Query
from pydantic import BaseModel

from docfleet.api.inputs import Parts
from docfleet.api.resource import Resource
from docfleet.api.schemas import example, moment
from docfleet.domain.access import Permission
from docfleet.domain.urgency import Pool
from docfleet.ledger.service_values import WorkerView

fleet = Resource("Fleet")
_AT = "2026-03-14T09:26:53.589000Z"
_WORKER = {
    "name": "host-1-pdf-4711",
    "host": "host-1",
    "pool": "pdf",
    "region": "local",
    "slots": 2,
    "version": "0.1.0",
    "mode": "broker",
    "started_at": _AT,
    "seen_at": _AT,
    "ended_at": None,
    "cause": None,
}


class WorkerOut(BaseModel):
    """A worker: one supervisor with its slots. It is seen every few seconds while it lives."""

    model_config = example(**_WORKER)

    name: str
    host: str
    pool: str
    region: str
    slots: int
    version: str
    mode: str
    started_at: datetime | None
    seen_at: datetime | None
    ended_at: datetime | None
    cause: str | None

    @classmethod
    def of(cls, view: WorkerView) -> WorkerOut:
        return cls(
            name=view.name, host=view.host, pool=view.pool, region=view.region, slots=view.slots,
            version=view.version, mode=view.mode, started_at=moment(view.started_at), seen_at=moment(view.seen_at),
            ended_at=moment(view.ended_at), cause=view.cause or None,
        )  # fmt: skip


class WorkersOut(BaseModel):
    model_config = example(items=[_WORKER])

    items: list[WorkerOut]


@fleet.route("GET", "/v1/workers", Permission.READ_FLEET, out=WorkersOut)
def list_workers(
    parts: Parts, pool: Annotated[Pool | None, Query(description="Only those of this pool.")] = None
) -> WorkersOut:
    """The workers of the fleet, which all tenants share."""
    return WorkersOut(items=[WorkerOut.of(view) for view in parts.ledger.workers(pool)])
