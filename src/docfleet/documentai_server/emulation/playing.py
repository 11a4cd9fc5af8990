"""A plan at work: the fate of each call, and the counts of what was asked and refused."""

from __future__ import annotations

import threading
from math import inf
from typing import Any

import msgspec

from docfleet.documentai_server.emulation.bodies import error_message, quota_details, quota_message
from docfleet.documentai_server.emulation.clock import Clock
from docfleet.documentai_server.emulation.draws import draw, latency
from docfleet.documentai_server.emulation.plan import ANY, OutageKind, Plan, QuotaRule, fitting
from docfleet.documentai_server.refusals import Code, Detail
from docfleet.quota.bucket import TokenBucket


class Call(msgspec.Struct, frozen=True):
    """What of a call decides its fate."""

    project: str
    location: str
    kind: str
    """Processor type; `batch`; empty for what is no processing."""


class Pass(msgspec.Struct, frozen=True):
    """It is served. The answer is due `latency` after `since`; it may be tampered with on its way."""

    call: Call
    number: int
    """The calls of a location count from 0."""
    since: float
    drip_bytes_per_second: float | None = None
    cut_after_bytes: int | None = None


class Refuse(msgspec.Struct, frozen=True):
    """It is answered with an error, after `after_seconds`."""

    reason: str
    """"quota", "pages", "polls", "batches", "error", "outage"."""
    code: Code
    message: str
    details: tuple[Detail, ...] = ()
    after_seconds: float = 0.0


class Close(msgspec.Struct, frozen=True):
    """The connection is closed without an answer."""


class Hang(msgspec.Struct, frozen=True):
    """No answer, until the client has gone or `until` (seconds of the emulation's clock) has come."""

    until: float


Fate = Pass | Refuse | Close | Hang

_POLLS_BURST_SECONDS = 60.0


class Emulation:
    """Plays one plan after another. Threads may share one."""

    def __init__(self, plan: Plan, clock: Clock) -> None:
        self.clock = clock
        self._lock = threading.Lock()
        self._counts = _Counts()
        self._take(plan)

    def _take(self, plan: Plan) -> None:
        self._plan = plan
        self._began = self.clock.now()
        self._numbers: dict[str, int] = {}
        self._buckets: dict[tuple[str, str, str, str], TokenBucket] = {}

    @property
    def plan(self) -> Plan:
        return self._plan

    def change(self, plan: Plan) -> None:
        """Plays `plan` from its beginning: times, draws and quotas start anew, the counts go on."""
        with self._lock:
            self._take(plan)

    def forget_counts(self) -> None:
        with self._lock:
            under_way = {name: one.under_way for name, one in self._counts.locations.items()}
            self._counts = _Counts()
            for name, number in under_way.items():
                if number:
                    self._counts.of(name).under_way = self._counts.of(name).most_under_way = number

    def fate(self, call: Call) -> Fate:
        """Decides over a call that has come; a `Pass` must be handed to `answered` or `failed`, then `ended`."""
        with self._lock:
            now = self.clock.now()
            number = self._numbers.get(call.location, 0)
            self._numbers[call.location] = number + 1
            counts = self._counts.of(call.location)
            counts.asked += 1
            fate = self._decided(call, number, now)
            if isinstance(fate, Pass):
                counts.under_way += 1
                counts.most_under_way = max(counts.most_under_way, counts.under_way)
            else:
                reason = fate.reason if isinstance(fate, Refuse) else type(fate).__name__.lower()
                counts.refuse(reason)
            return fate

    def _decided(self, call: Call, number: int, now: float) -> Fate:
        plan = self._plan
        where = (call.project, call.location, call.kind)
        gone = self._outage(call, now)
        if gone is not None:
            return gone
        refused = self._over_quota(call, now)
        if refused is not None:
            return refused
        for place, rule in enumerate(plan.errors):
            if rule.fits(*where) and draw(plan.seed, call.location, number, f"error{place}") < rule.rate:
                code = Code[rule.code]
                return Refuse("error", code, error_message(code, rule.message), after_seconds=rule.after_seconds)
        drip = fitting(plan.drips, *where)
        cut = fitting(plan.cuts, *where)
        drips = drip is not None and draw(plan.seed, call.location, number, "drip") < drip.rate
        cuts = cut is not None and draw(plan.seed, call.location, number, "cut") < cut.rate
        return Pass(
            call,
            number,
            now,
            drip.bytes_per_second if drip is not None and drips else None,
            cut.after_bytes if cut is not None and cuts else None,
        )

    def _outage(self, call: Call, now: float) -> Refuse | Close | Hang | None:
        since = now - self._began
        for rule in self._plan.outages:
            until = inf if rule.to_seconds is None else rule.to_seconds
            everything = rule.type == ANY and rule.is_about(call.project, call.location)
            meant = everything or rule.fits(call.project, call.location, call.kind)
            if not (meant and rule.from_seconds <= since < until):
                continue
            if rule.kind is OutageKind.HANG:
                return Hang(self._began + until)
            if rule.kind is OutageKind.REFUSE:
                return Close()
            return Refuse("outage", Code.UNAVAILABLE, error_message(Code.UNAVAILABLE, ""))
        return None

    def _over_quota(self, call: Call, now: float) -> Refuse | None:
        """Takes a request from its quota, or says that there is none left."""
        rule = fitting(self._plan.quotas, call.project, call.location, call.kind)
        if rule is None:
            return None
        for counted, amount in (("pages", 0.0), ("requests", 1.0)):
            key = (counted, call.project, call.location, call.kind)
            bucket = self._bucket(key, rule, now)
            if bucket is None:
                continue
            # the pages of a call are only known when it was read: they are taken then, and may leave a debt
            wait = bucket.wait_for(amount or 1.0, now)
            if wait > 0.0:
                return self._quota_refusal("quota" if amount else "pages", counted, call, bucket, wait)
            self._buckets[key] = bucket.take(amount, now)
        return None

    def _bucket(self, key: tuple[str, str, str, str], rule: QuotaRule, now: float) -> TokenBucket | None:
        rate = rule.requests_per_minute if key[0] == "requests" else rule.pages_per_minute
        if rate is None:
            return None
        known = self._buckets.get(key)
        # one request is always let through when the bucket is full, however small the burst
        return known or TokenBucket.full(rate / 60.0, max(1.0, rate / 60.0 * rule.burst_seconds), now)

    def _quota_refusal(self, reason: str, counted: str, call: Call, bucket: TokenBucket, wait: float) -> Refuse:
        told = self._plan.retry_info
        retry_after = None if told is False else wait if told is True else float(told)
        return Refuse(
            reason,
            Code.RESOURCE_EXHAUSTED,
            quota_message(counted, call.project, call.location),
            quota_details(counted, call.project, call.location, bucket.per_second * 60.0, retry_after),
        )

    def poll(self, call: Call) -> Refuse | Close | Hang | None:
        """The fate of a request that is no processing; None: it is served."""
        with self._lock:
            now = self.clock.now()
            fate = self._outage(call, now) or self._over_polls(call, now)
            if fate is not None:
                self._counts.of(call.location).refuse("polls")
            return fate

    def _over_polls(self, call: Call, now: float) -> Refuse | None:
        rate = self._plan.polls_per_minute
        if rate is None:
            return None
        key = ("polls", call.project, "", "")
        capacity = max(1.0, rate / 60.0 * _POLLS_BURST_SECONDS)
        bucket = self._buckets.get(key) or TokenBucket.full(rate / 60.0, capacity, now)
        wait = bucket.wait_for(1.0, now)
        if wait > 0.0:
            return self._quota_refusal("polls", "polls", call, bucket, wait)
        self._buckets[key] = bucket.take(1.0, now)
        return None

    def answered(self, passed: Pass, pages: int) -> float:
        """An answer of so many pages is ready; returns the seconds by which it is still too early to send it."""
        call = passed.call
        with self._lock:
            now = self.clock.now()
            counts = self._counts.of(call.location)
            counts.answered += 1
            counts.pages += pages
            counts.dripped += passed.drip_bytes_per_second is not None
            counts.cut += passed.cut_after_bytes is not None
            rule = fitting(self._plan.quotas, call.project, call.location, call.kind)
            key = ("pages", call.project, call.location, call.kind)
            bucket = self._bucket(key, rule, now) if rule is not None else None
            if bucket is not None:
                self._buckets[key] = bucket.take(pages, now)
            slow = fitting(self._plan.latencies, call.project, call.location, call.kind)
            if slow is None:
                return 0.0
            return max(0.0, passed.since + latency(slow, pages, self._plan.seed, call.location, passed.number) - now)

    def failed(self, passed: Pass) -> None:
        """The call was let through and the service itself refused it."""
        with self._lock:
            self._counts.of(passed.call.location).failed += 1

    def ended(self, passed: Pass) -> None:
        """The call is no longer under way, however it ended."""
        with self._lock:
            self._counts.of(passed.call.location).under_way -= 1

    def counts(self) -> dict[str, Any]:
        """By location, and together; JSON."""
        with self._lock:
            return {"seconds": round(self.clock.now() - self._began, 3), **self._counts.told()}


class _Count:
    def __init__(self) -> None:
        self.asked = self.answered = self.failed = self.pages = 0
        self.dripped = self.cut = self.under_way = self.most_under_way = 0
        self.refused: dict[str, int] = {}

    def refuse(self, reason: str) -> None:
        self.refused[reason] = self.refused.get(reason, 0) + 1

    def told(self) -> dict[str, Any]:
        return {**vars(self), "refused": dict(self.refused)}


class _Counts:
    def __init__(self) -> None:
        self.locations: dict[str, _Count] = {}

    def of(self, location: str) -> _Count:
        return self.locations.setdefault(location, _Count())

    def told(self) -> dict[str, Any]:
        """Every number by location and in total."""
        total = _Count()
        for one in self.locations.values():
            for name, value in vars(one).items():
                if name != "refused":
                    setattr(total, name, getattr(total, name) + value)
            for reason, number in one.refused.items():
                total.refused[reason] = total.refused.get(reason, 0) + number
        return {
            "total": total.told(),
            "locations": {name: one.told() for name, one in sorted(self.locations.items())},
        }
