"""What is refused early, because accepting it would be a promise that cannot be kept."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec

from docfleet.api.parts import ApiOptions
from docfleet.api.problems import Refusal
from docfleet.errors import DocfleetError, Overloaded, ServiceUnavailable

_DISK_SECONDS = 1.0
"""How long a look at the disk is good for."""
_FULL_RETRY_SECONDS = 30.0


class Load(msgspec.Struct, frozen=True):
    """What is known when a document knocks."""

    open_documents: int
    tenant_open_documents: int
    free_bytes: int | None
    """None: the store is no disk of this machine."""


class Verdict(msgspec.Struct, frozen=True):
    admitted: bool
    reason: str = ""
    retry_seconds: float = 0.0


def admit(load: Load, options: ApiOptions) -> Verdict:
    """Whether one more document can be kept."""
    if load.free_bytes is not None and load.free_bytes < options.min_free_bytes:
        return Verdict(False, "The disk of the store is nearly full.", _FULL_RETRY_SECONDS)
    if load.open_documents >= options.max_waiting_documents:
        return Verdict(False, f"{load.open_documents:,} documents are waiting already.", _FULL_RETRY_SECONDS)
    if load.tenant_open_documents >= options.max_tenant_waiting_documents:
        reason = f"{load.tenant_open_documents:,} documents of this tenant are waiting already."
        return Verdict(False, reason, _FULL_RETRY_SECONDS)
    return Verdict(True)


class Admission:
    """Counts what is under way in this process and asks for the rest. Threads may share it."""

    def __init__(
        self,
        options: ApiOptions,
        open_documents: Callable[[str | None], int],
        free_bytes: Callable[[], int | None],
        clock: Callable[[], float] = time.monotonic,
        known_open_documents: Callable[[str | None], int | None] = lambda tenant: None,
    ) -> None:
        """`known_open_documents`: as `open_documents`, None where that would block."""
        self._options = options
        self._open_documents = open_documents
        self._known_open_documents = known_open_documents
        self._ask_free_bytes = free_bytes
        self._clock = clock
        self._lock = threading.Lock()
        self._uploads: Counter[str] = Counter()
        self._streams: Counter[str] = Counter()
        self._free: tuple[float, int | None] = (float("-inf"), None)
        self.store = Breaker(clock)

    def check(self, tenant: str) -> None:
        """Raises `Overloaded` (or what a failing ledger raises) when one more document cannot be kept. Blocks."""
        self.store.check()
        self._judge(Load(self._open_documents(None), self._open_documents(tenant), self._free_bytes()))

    def check_known(self, tenant: str) -> bool:
        """As `check` where all was asked a moment ago; False when it has to be asked. Never blocks."""
        everybody, tenants = self._known_open_documents(None), self._known_open_documents(tenant)
        looked_at, free = self._free
        if everybody is None or tenants is None or self._clock() - looked_at > _DISK_SECONDS:
            return False
        self.store.check()
        self._judge(Load(everybody, tenants, free))
        return True

    def _judge(self, load: Load) -> None:
        verdict = admit(load, self._options)
        if not verdict.admitted:
            raise Refusal(Overloaded(verdict.reason), retry_after=verdict.retry_seconds)

    def _free_bytes(self) -> int | None:
        looked_at, free = self._free
        if self._clock() - looked_at > _DISK_SECONDS:
            free = self._ask_free_bytes()
            self._free = (self._clock(), free)
        return free

    @contextmanager
    def uploading(self, tenant: str) -> Iterator[None]:
        """An upload under way. One tenant may hold three quarters of the places, so that others find one."""
        limit = self._options.max_concurrent_uploads
        with self._holding(self._uploads, tenant, limit, "uploads"):
            yield

    @contextmanager
    def streaming(self, tenant: str) -> Iterator[None]:
        """An event stream or a long poll."""
        with self._holding(self._streams, tenant, self._options.max_streams, "event streams"):
            yield

    def check_stream(self, tenant: str) -> None:
        """Raises `Overloaded` when there is no place for a stream now: before its headers have left."""
        with self.streaming(tenant):
            return

    @contextmanager
    def _holding(self, held: Counter[str], tenant: str, limit: int, what: str) -> Iterator[None]:
        with self._lock:
            if held.total() >= limit or held[tenant] >= max(1, limit * 3 // 4):
                raise Refusal(Overloaded(f"Too many {what} are under way."), retry_after=1.0)
            held[tenant] += 1
        try:
            yield
        finally:
            with self._lock:
                held[tenant] -= 1
                if not held[tenant]:
                    del held[tenant]


class Breaker:
    """After three failures in a row, refuses for five seconds without trying; then lets the next one try."""

    _FAILURES = 3
    _SECONDS = 5.0

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._failures = 0
        self._closed_until = float("-inf")

    def check(self) -> None:
        left = self._closed_until - self._clock()
        if left > 0:
            raise Refusal(ServiceUnavailable("The store cannot be reached at the moment."), retry_after=left)

    def failed(self, error: DocfleetError) -> None:
        if error.retryable:
            self._failures += 1
            if self._failures >= self._FAILURES:
                self._closed_until = self._clock() + self._SECONDS

    def worked(self) -> None:
        self._failures = 0
