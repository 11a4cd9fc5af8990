"""What a cloud worker needs for batches: where each location's files lie, and who makes its batches."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import msgspec

from docfleet.domain.document import Document
from docfleet.domain.quota import QuotaKey
from docfleet.engines.documentai.batch import Batches, BatchPlace, BatchState, BatchTicket, FileStatus, Progress
from docfleet.engines.documentai.calling import Caller
from docfleet.engines.documentai.calls import Endpoint
from docfleet.engines.documentai.client import GrpcTransport
from docfleet.engines.documentai.endpoints import Candidate, rank
from docfleet.engines.documentai.facts import BATCH
from docfleet.engines.documentai.failures import Failure
from docfleet.errors import StoreError, UsageError
from docfleet.ledger import Ledger
from docfleet.ledger.batch_sweeping import BatchSweeping
from docfleet.ledger.batch_values import CloudFile
from docfleet.ledger.cloud_batches import CloudBatches
from docfleet.store import Store

BARRED_SECONDS = 300.0
"""For so long nothing is sent to a location whose batches or bucket are not set up."""


class Group(msgspec.Struct, frozen=True):
    """What all files of a batch have in common."""

    processor: str
    """Resource name of the processor."""
    languages: tuple[str, ...] = ()
    tenant: str = ""
    """Empty: several tenants may share a batch."""


def read_group(group_json: str) -> Group:
    return msgspec.json.decode(group_json, type=Group)


class BatchParts:
    """Threads may share one."""

    def __init__(self, caller: Caller, kind: str, ledger: Ledger, open_store: Callable[[str], Store]) -> None:
        """Raises `UsageError` for an address of no store, and where calls go over REST."""
        if not isinstance(caller.transport, GrpcTransport):
            raise UsageError("[documentai.batch_uri]: batches are asked for over gRPC.")
        options = caller.options
        self.options, self.facts, self.quota = options, caller.facts, caller.quota
        self.desk = CloudBatches(ledger)
        self.sweeping = BatchSweeping(self.desk)
        self._breakers = caller.breakers
        self._endpoints = {one.name: one for one in caller.endpoints(kind)}
        self._stores: dict[str, Store] = {}
        self._batches: dict[str, Batches] = {}
        self._barred: dict[str, float] = {}
        self._lock = threading.Lock()
        for place in sorted({one.location for one in self._endpoints.values()}):
            store = open_store((options.batch_store_url or options.batch_uri).format(location=place))
            where = BatchPlace(options.batch_uri.format(location=place), store)
            self._stores[place] = store
            self._batches[place] = Batches(options, caller.facts, caller.transport, caller.quota, where)

    def endpoint(self, name: str) -> Endpoint | None:
        return self._endpoints.get(name)

    def choose(self, tenant: str) -> Endpoint | None:
        """Where a tenant's pages are to be read: allowed, working, with room; None: nowhere at present."""
        candidates = [
            Candidate(
                one,
                self._breakers.state(one.breaker),
                self.quota.free(QuotaKey(one.quota.project, one.location, BATCH)),
                barred="its batches are not set up" if self._is_barred(one.location) else "",
            )
            for one in self._endpoints.values()
        ]
        order = rank(candidates, self.options.allowed(tenant), urgent=True).order
        return order[0].endpoint if order else None

    def bar(self, place: str) -> None:
        with self._lock:
            self._barred[place] = time.monotonic() + BARRED_SECONDS

    def _is_barred(self, place: str) -> bool:
        with self._lock:
            return self._barred.get(place, 0.0) > time.monotonic()

    def store(self, place: str) -> Store:
        """Raises `StoreError` for a location that is set up no more."""
        if place not in self._stores:
            raise StoreError(f"no bucket is set up for {place}")
        return self._stores[place]

    def batches(self, place: str) -> Batches | None:
        return self._batches.get(place)

    def result(self, file: CloudFile) -> Document | Failure:
        """What a batch has read of a file. Raises `StoreError`, and `FormatError` for shards that do not fit."""
        self.store(file.place)
        ticket = BatchTicket("", "", "", (file.key,))
        progress = Progress(BatchState.SUCCEEDED, (FileStatus(file.key, file.output),))
        [(_, result)] = self._batches[file.place].collect(ticket, progress)
        return result

    def most_files(self) -> int:
        return min(self.options.batch_max_files, self.facts.sizes.batch_files)

    def most_open(self, place: str) -> int | None:
        """Batches that may be under way in a location; None: any number."""
        projects = {one.quota.project for one in self._endpoints.values() if one.location == place}
        limits = [self.facts.quota_limits(QuotaKey(project, place, BATCH)).concurrent for project in projects]
        known = [one for one in limits if one is not None]
        return sum(known) if len(known) == len(limits) else None
