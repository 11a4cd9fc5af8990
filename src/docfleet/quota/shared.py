"""Quotas of all processes together, counted in Redis on the server's clock; one round trip for each question.

While Redis is away each process uses its part of the quota by itself: never all of it, never unlimited. It goes on at
the pace last known, with empty buckets, and counts its own calls that are under way. When Redis is back, perhaps empty,
the processes tell it of the calls still under way and of the pace they had.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Sequence
from math import inf, isfinite
from pathlib import Path
from typing import Any

import msgspec
import redis

from docfleet.domain.quota import Grant, QuotaKey, QuotaLimits, Wait
from docfleet.quota.adaptive import Pace
from docfleet.quota.away import Reach
from docfleet.quota.keys import MEMBERS, allowance_key, calls_key
from docfleet.quota.local import LimitsOf, LocalQuota, share_of

ORIGIN = "shared"
_SCRIPT = Path(__file__).with_name("allowance.lua").read_text(encoding="utf-8")
_AWAY = (redis.RedisError, OSError)


class SharedQuota:
    """A `Quota` for all processes that use the same Redis.

    `client` gives up soon (a second or two) and does not try again by itself. `sharers`: into how many parts the quota
    is divided while Redis is away, at least; more, if more processes had asked shortly before.
    """

    def __init__(
        self, client: Any, limits_of: LimitsOf, sharers: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._script = client.register_script(_SCRIPT)
        self._limits_of = limits_of
        self._member = secrets.token_hex(8)
        self._sharers = self._least_sharers = max(1, sharers)
        self._reach = Reach("quota", clock)
        self._local = LocalQuota(lambda key: share_of(limits_of(key), self._sharers), clock, starts_full=False)
        self._clock = clock
        self._lock = threading.Lock()
        self._alone: set[QuotaKey] = set()
        """Quotas that were asked for since Redis went away."""
        self._paces: dict[QuotaKey, Pace] = {}
        self._under_way: dict[str, tuple[Grant, float]] = {}
        """This process's own calls, by id, and when each counts as ended."""

    @property
    def is_away(self) -> bool:
        """Whether Redis did not answer when it was last asked."""
        return self._reach.is_away

    def ask(
        self, key: QuotaKey, requests: int = 1, pages: int = 0, urgent: bool = False, patience: float = 0.0
    ) -> Grant | Wait:
        call = secrets.token_hex(8)
        answer = self._tell(key, "ask", call, requests, pages, int(urgent), patience, self._member)
        if answer is None:
            grant = self._ask_alone(key, requests, pages, urgent, patience)
            if isinstance(grant, Wait):
                return grant
        else:
            granted, seconds, reason, generation, members, factor, ceiling = answer
            self._sharers = max(self._least_sharers, int(members))
            self._paces[key] = Pace(float(factor), float(ceiling))
            if granted != "1":
                return Wait(float(seconds), reason)
            grant = Grant(call, key, requests, pages, urgent, int(generation), ORIGIN, float(seconds))
        self._begin(grant)
        return grant

    def refund(self, grant: Grant) -> None:
        if not self._end(grant):
            return
        if grant.origin != ORIGIN:
            self._local.refund(grant)
            self._tell(grant.key, "failed", grant.id)
        elif self._tell(grant.key, "refund", grant.id, grant.requests, grant.pages) is None:
            self._local.failed(grant)

    def late(self, grant: Grant, seconds: float) -> None:
        if self._tell(grant.key, "late", seconds) is None:
            self._local.late(grant, seconds)

    def succeeded(self, grant: Grant) -> None:
        self._end(grant)
        if self._tell(grant.key, "succeeded", grant.id, self._generation(grant)) is None:
            self._local.succeeded(grant)

    def throttled(self, grant: Grant, retry_after: float | None = None) -> None:
        self._end(grant)
        pause = retry_after if retry_after is not None and isfinite(retry_after) else 0.0
        if self._tell(grant.key, "throttled", grant.id, self._generation(grant), pause) is None:
            self._be_alone(grant.key)
            # calls that Redis granted went out before the first slowdown of this process alone
            own = grant if grant.origin != ORIGIN else msgspec.structs.replace(grant, generation=0)
            self._local.throttled(own, retry_after)

    def failed(self, grant: Grant) -> None:
        self._end(grant)
        if self._tell(grant.key, "failed", grant.id) is None:
            self._local.failed(grant)

    def renew(self, grant: Grant) -> None:
        self._begin(grant)
        if self._tell(grant.key, "renew", grant.id) is None:
            self._local.renew(grant)

    def free(self, key: QuotaKey) -> float:
        answer = self._tell(key, "free")
        if answer is not None:
            return inf if answer[0] == "inf" else float(answer[0])
        self._be_alone(key)
        return self._local.free(key)

    def _tell(self, key: QuotaKey, what: str, *rest: object) -> list[str] | None:
        """What the script says; None: Redis is away."""
        if not self._reach.may_try():
            return None
        was_away = self._reach.is_away
        try:
            if was_away:
                self._tell_what_was_missed()
            answer = self._run(key, what, rest)
        except _AWAY as error:
            self._reach.failed(error)
            return None
        if self._reach.worked() or was_away:
            with self._lock:
                self._alone.clear()
        return answer

    def _run(self, key: QuotaKey, what: str, rest: Sequence[object]) -> list[str]:
        pace = self._paces.get(key, Pace())
        keys = [allowance_key(key), calls_key(key), MEMBERS]
        arguments = [what, "", *_numbers(self._limits_of(key)), pace.factor, pace.ceiling, *rest]
        try:
            found = self._script(keys=keys, args=arguments)
        except redis.TimeoutError:
            raise
        except redis.ConnectionError:
            # an idle connection that was cut is no outage; what is counted twice errs on the safe side
            found = self._script(keys=keys, args=arguments)
        return [part.decode() if isinstance(part, bytes) else str(part) for part in found]

    def _ask_alone(self, key: QuotaKey, requests: int, pages: int, urgent: bool, patience: float) -> Grant | Wait:
        self._be_alone(key)
        return self._local.ask(key, requests, pages, urgent, patience)

    def _be_alone(self, key: QuotaKey) -> None:
        with self._lock:
            if key not in self._alone:
                self._alone.add(key)
                self._local.start_at(key, self._paces.get(key, Pace()), [one for one in self._own() if one.key == key])

    def _tell_what_was_missed(self) -> None:
        """Before anything else is asked of a Redis that is back, perhaps empty. Raises its errors."""
        with self._lock:
            for key in self._alone:
                learnt = self._local.pace(key)
                self._paces[key] = Pace(learnt.factor, learnt.ceiling)
            own = self._own()
        for grant in own:
            self._run(grant.key, "renew", [grant.id])

    def _begin(self, grant: Grant) -> None:
        with self._lock:
            self._under_way[grant.id] = grant, self._clock() + self._limits_of(grant.key).place_seconds

    def _own(self) -> list[Grant]:
        """This process's calls under way; with the lock held. Calls that were never ended are forgotten."""
        now = self._clock()
        self._under_way = {call: held for call, held in self._under_way.items() if held[1] > now}
        return [grant for grant, _ in self._under_way.values()]

    def _end(self, grant: Grant) -> bool:
        """Whether it was under way."""
        with self._lock:
            return self._under_way.pop(grant.id, None) is not None

    @staticmethod
    def _generation(grant: Grant) -> int:
        """As Redis counts; of a call that was granted without it, the oldest: it changes nothing there."""
        return grant.generation if grant.origin == ORIGIN else -1


def _numbers(limits: QuotaLimits) -> list[float]:
    return [
        *(
            -1 if limit is None else limit
            for limit in (limits.requests_per_minute, limits.pages_per_minute, limits.concurrent)
        ),
        limits.burst_seconds,
        limits.headroom,
        limits.urgent_share,
        limits.place_seconds,
    ]
