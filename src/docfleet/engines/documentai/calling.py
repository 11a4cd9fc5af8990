"""One request to Document AI: the endpoint, leave of its quota and its breaker, the call, a second one if it is late.

    outcome = caller.call(Call(content, "application/pdf", pages=12, tenant="acme"))
    match outcome: Answer (the document) | Postponed (come back in so many seconds) | Failed (and what that means)

It never breaks the rule of residency, never sends without a grant, and tells the quota and the breaker exactly once how
each request ended. Threads may share one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, wait
from typing import Any

import msgspec

from docfleet.domain.quota import Breakers, BreakerState, Grant, Passage, Quota, Wait
from docfleet.engines.documentai.calls import Answer, Attempt, Call, Endpoint, Failed, Postponed
from docfleet.engines.documentai.client import Sent, Transport
from docfleet.engines.documentai.delays import Delays
from docfleet.engines.documentai.endpoints import Candidate, Ranked, endpoints_of, rank
from docfleet.engines.documentai.facts import Facts
from docfleet.engines.documentai.failures import BARE_INVALID, Failure, FailureKind, judge
from docfleet.engines.documentai.hedging import HedgePolicy, Latencies, decide
from docfleet.engines.documentai.measuring import gauges_of
from docfleet.engines.documentai.options import DocumentAIOptions
from docfleet.engines.documentai.tracing import tell_attempts
from docfleet.engines.documentai.use import Outcome as Ending
from docfleet.engines.documentai.use import Usage, outcome_of
from docfleet.telemetry import logger, metrics

log = logger("documentai")
MOST_ATTEMPTS = 4
"""Requests for one call, hedges not counted."""
BARRED_SECONDS = 60.0
"""For so long an endpoint is left out whose processor, key or region is wrong."""
_GRACE_SECONDS = 5.0
"""A call ends by its own deadline; beyond that much more it is given up."""
AWAY_SECONDS = 2.0
"""To wait where nothing says how long."""

Outcome = Answer | Postponed | Failed


class _Admitted(msgspec.Struct, frozen=True):
    """Leave to send one request."""

    ranked: Ranked
    grant: Grant
    passage: Passage
    turn: float
    """When it is to be sent."""

    @property
    def endpoint(self) -> Endpoint:
        return self.ranked.endpoint


class _Flight(msgspec.Struct):
    """One request under way."""

    admitted: _Admitted
    sent: Sent
    started: float
    hedge: bool


class Caller:
    """`clock` and `sleep`: of the same steady time; tests hand in their own."""

    def __init__(
        self,
        options: DocumentAIOptions,
        facts: Facts,
        transport: Transport,
        quota: Quota,
        breakers: Breakers,
        *,
        hedging: HedgePolicy = HedgePolicy(),  # noqa: B008 - frozen value
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.options = options
        self.facts = facts
        self.transport = transport
        self._quota = quota
        self._breakers = breakers
        self._hedging = hedging
        self._clock = clock
        self._sleep = sleep
        self._latencies = Latencies(hedging)
        self._delays = Delays()
        self.usage = Usage(clock)
        self._barred: dict[str, tuple[float, Failure]] = {}
        self._worked: set[str] = set()
        self._lock = threading.Lock()
        self._gauges = gauges_of(options, facts, breakers, self.usage)
        metrics.watch(self._gauges)

    @property
    def quota(self) -> Quota:
        return self._quota

    @property
    def breakers(self) -> Breakers:
        return self._breakers

    def endpoints(self, kind: str) -> tuple[Endpoint, ...]:
        """Every processor of a type, wherever it is."""
        return endpoints_of(self.options, self.facts, kind)

    def call(self, call: Call) -> Outcome:
        """One answer, from wherever the call may go; see the module. Raises nothing that the other side causes."""
        attempts: list[Attempt] = []
        left_out = {one.name for one in self.endpoints(call.kind) if one.location in call.exclude}
        doubted: str = ""
        while True:
            admitted = self._admit(call, left_out)
            if not isinstance(admitted, _Admitted):
                return _ended(admitted, attempts)
            answer, made = self._fly(call, admitted)
            attempts += made
            tell_attempts(call, made)
            if answer is not None:
                self._worked_at(answer.endpoint, doubted)
                return msgspec.structs.replace(answer, attempts=tuple(attempts))
            failure = made[0].failure
            assert failure is not None
            if len(attempts) >= MOST_ATTEMPTS or not self._again(admitted.endpoint, failure, attempts):
                return _ended(Failed(failure), attempts)
            if failure.code == BARE_INVALID:
                doubted = admitted.endpoint.name
            left_out |= self._not_again(call, admitted.endpoint, failure, left_out)

    # --- where to, and may it

    def _admit(self, call: Call, left_out: set[str]) -> _Admitted | Postponed | Failed:
        """Leave from the first endpoint that gives it."""
        allowed = self.options.allowed(call.tenant)
        known = [one for one in self.endpoints(call.kind) if one.name not in left_out]
        ranking = rank([self._candidate(one, call.pages) for one in known], allowed, call.urgent)
        waits: list[tuple[float, str, Ranked | None]] = []
        for ranked in ranking.order:
            found = self._ask(call, ranked, 0.0)
            if isinstance(found, _Admitted):
                return found
            waits.append((found.seconds, found.reason, ranked if found.reason != "away" else None))
        waits.sort(key=lambda one: one[0])
        if waits and waits[0][2] is not None and waits[0][0] <= call.patience:
            found = self._ask(call, waits[0][2], call.patience)
            if isinstance(found, _Admitted):
                return found
            return Postponed(found.seconds, found.reason)
        if waits:
            return Postponed(waits[0][0], waits[0][1])
        return self._nowhere(call, known, ranking.resident)

    def _nowhere(self, call: Call, known: Sequence[Endpoint], resident: int) -> Postponed | Failed:
        """Nobody may be asked: out of order for a while, or for ever."""
        if not resident:
            where = sorted({one.location for one in self.endpoints(call.kind)})
            message = f"no processor of type {call.kind} where documents of {call.tenant or 'anybody'} may go"
            return Failed(Failure(FailureKind.SETUP, "no_location", message=f"{message}; there are: {where}"))
        allowed = self.options.allowed(call.tenant)
        barred = [self._bar_of(one) for one in known if allowed is None or one.location in allowed]
        if barred and all(bar is not None for bar in barred):
            return Failed(next(bar for bar in barred if bar is not None))
        open_for = [self._breakers.may_call(one.breaker) for one in known if self._bar_of(one) is None]
        for one, passage in zip([one for one in known if self._bar_of(one) is None], open_for, strict=True):
            if passage:
                self._breakers.cancel(one.breaker, passage)
        return Postponed(min((p.seconds for p in open_for if p.seconds > 0), default=AWAY_SECONDS), "away")

    def _candidate(self, endpoint: Endpoint, pages: int) -> Candidate:
        bar = self._bar_of(endpoint)
        return Candidate(
            endpoint,
            self._breakers.state(endpoint.breaker),
            self._quota.free(endpoint.quota),
            self._latencies.typical(endpoint.name, pages),
            f"not set up there: {bar.code}" if bar is not None else "",
        )

    def _ask(self, call: Call, ranked: Ranked, patience: float) -> _Admitted | Wait:
        """Breaker first, quota last: right before the call is sent."""
        endpoint = ranked.endpoint
        passage = self._breakers.may_call(endpoint.breaker)
        if not passage:
            self.usage.sent_away(endpoint, "away")
            return Wait(passage.seconds or AWAY_SECONDS, "away")
        answer = self._quota.ask(endpoint.quota, 1, call.pages, call.urgent, patience)
        if isinstance(answer, Wait):
            self.usage.sent_away(endpoint, answer.reason)
            self._breakers.cancel(endpoint.breaker, passage)
            return answer
        turn = self._clock() + answer.after_seconds
        if answer.after_seconds > 0:
            self._sleep(answer.after_seconds)
        return _Admitted(ranked, answer, passage, turn)

    # --- under way

    def _fly(self, call: Call, admitted: _Admitted) -> tuple[Answer | None, list[Attempt]]:
        """Sends, and a second time elsewhere when it is late. The first attempt told of is that of `admitted`."""
        flights = [self._send(call, admitted, hedge=False)]
        hedge = decide(
            self._latencies.of(admitted.endpoint.name, call.pages),
            call.urgent,
            self.options.hedge and call.may_hedge,
            self._hedging,
        )
        if hedge.after_seconds is not None:
            done, _ = wait([flights[0].sent.outcome], hedge.after_seconds)
            second = None if done else self._second(call, admitted)
            if second is not None:
                flights.append(self._send(call, second, hedge=True))
        return self._land(call, flights)

    def _send(self, call: Call, admitted: _Admitted, *, hedge: bool) -> _Flight:
        started = self._clock()
        try:
            sent = self.transport.send(admitted.endpoint, call, self.options.seconds_for(call.pages))
        except BaseException:
            self._take_back(admitted)
            raise
        self.usage.sent(admitted.endpoint, call.pages, hedge)
        delay = self._delays.late_by(self._clock() - admitted.turn)
        if delay > 0:
            self._quota.late(admitted.grant, delay)
        return _Flight(admitted, sent, started, hedge)

    def _second(self, call: Call, first: _Admitted) -> _Admitted | None:
        """Leave for a hedge: at another endpoint that is connected and has plenty of quota, or none."""
        allowed = self.options.allowed(call.tenant)
        others = [
            self._candidate(one, call.pages)
            for one in self.endpoints(call.kind)
            if one.location not in call.exclude and one.name != first.endpoint.name
        ]
        for ranked in rank(others, allowed, urgent=True).order:
            plenty = self._quota.free(ranked.endpoint.quota) >= self._hedging.min_free
            works = self._breakers.state(ranked.endpoint.breaker) is BreakerState.CLOSED
            if plenty and works and self.transport.ready(ranked.endpoint):
                found = self._ask(call, ranked, 0.0)
                if isinstance(found, _Admitted):
                    return found
        return None

    def _land(self, call: Call, flights: list[_Flight]) -> tuple[Answer | None, list[Attempt]]:
        """The first document; whatever else is under way is given up."""
        attempts: dict[int, Attempt] = {}
        answer: Answer | None = None
        patience = self.options.seconds_for(call.pages) + self.options.connect_seconds + _GRACE_SECONDS
        while len(attempts) < len(flights) and answer is None:
            open_ = [n for n in range(len(flights)) if n not in attempts]
            done, _ = wait([flights[n].sent.outcome for n in open_], patience, return_when=FIRST_COMPLETED)
            for n in open_:
                if not done or flights[n].sent.outcome in done:
                    attempts[n], found = self._end(call, flights[n])
                    answer = answer or found
        for n, flight in enumerate(flights):
            if n not in attempts:
                attempts[n] = self._abandon(call, flight)
        return answer, [attempts[n] for n in range(len(flights))]

    def _end(self, call: Call, flight: _Flight) -> tuple[Attempt, Answer | None]:
        admitted = flight.admitted
        seconds = self._clock() - flight.started
        outcome = self._outcome(flight)
        failure = outcome if isinstance(outcome, Failure) else None
        self._tell(admitted, failure, seconds)
        attempt = Attempt(admitted.endpoint, call.pages, seconds, failure, flight.hedge, started=flight.started)
        if failure is not None:
            return attempt, None
        self._latencies.add(admitted.endpoint.name, call.pages, seconds)
        return attempt, Answer(outcome, admitted.endpoint, admitted.ranked.reason, seconds)

    def _outcome(self, flight: _Flight) -> Any | Failure:
        sent, admitted = flight.sent, flight.admitted
        if not sent.outcome.done():
            # an answer that comes in drops is late by no timeout of its own
            sent.cancel()
            return judge("DEADLINE_EXCEEDED", "the answer did not end in time")
        try:
            return sent.outcome.result()
        except BaseException:
            # a defect of ours: nobody may lose a place over it
            self.usage.ended(admitted.endpoint, Ending.ERROR, self._clock() - flight.started)
            self._quota.failed(admitted.grant)
            self._breakers.cancel(admitted.endpoint.breaker, admitted.passage)
            raise

    def _tell(self, admitted: _Admitted, failure: Failure | None, seconds: float) -> None:
        endpoint, grant = admitted.endpoint, admitted.grant
        well = failure is None or failure.endpoint_is_well
        self.usage.ended(endpoint, outcome_of(failure), seconds)
        self._breakers.record(endpoint.breaker, admitted.passage, well, seconds)
        if failure is None:
            self._quota.succeeded(grant)
        elif failure.kind is FailureKind.THROTTLED:
            log.info("throttled", endpoint=endpoint.name, after_seconds=round(seconds, 3))
            self._quota.throttled(grant, failure.retry_after)
        elif failure.code in _NEVER_SENT:
            self._quota.refund(grant)
        elif well:
            self._quota.succeeded(grant)
        else:
            self._quota.failed(grant)

    def _abandon(self, call: Call, flight: _Flight) -> Attempt:
        flight.sent.cancel()
        seconds = self._clock() - flight.started
        self.usage.ended(flight.admitted.endpoint, Ending.ABANDONED, seconds)
        self._quota.failed(flight.admitted.grant)
        # late is what it was, but nobody saw whether it would have worked
        self._breakers.cancel(flight.admitted.endpoint.breaker, flight.admitted.passage)
        endpoint = flight.admitted.endpoint
        return Attempt(endpoint, call.pages, seconds, None, flight.hedge, abandoned=True, started=flight.started)

    def _take_back(self, admitted: _Admitted) -> None:
        self._quota.refund(admitted.grant)
        self._breakers.cancel(admitted.endpoint.breaker, admitted.passage)

    # --- what was learnt

    def _again(self, endpoint: Endpoint, failure: Failure, attempts: Sequence[Attempt]) -> bool:
        """Whether the same call is worth another endpoint."""
        if failure.kind is FailureKind.SETUP:
            with self._lock:
                self._barred[endpoint.name] = (self._clock() + BARRED_SECONDS, failure)
            return True
        if failure.kind is FailureKind.BROKEN:
            broken = [one for one in attempts if one.failure and one.failure.kind is FailureKind.BROKEN]
            return len(broken) < 2
        if failure.code == BARE_INVALID:
            # The commonest cause is a processor of another region; whoever has worked before has none.
            unsure = endpoint.name not in self._worked
            return unsure and sum(one.failure is not None and one.failure.code == BARE_INVALID for one in attempts) < 2
        return failure.retryable

    def _not_again(self, call: Call, endpoint: Endpoint, failure: Failure, left_out: set[str]) -> set[str]:
        """Names of those that the next try of this call leaves out."""
        endpoints = self.endpoints(call.kind)
        if failure.kind is FailureKind.AWAY:
            return {one.name for one in endpoints if one.breaker == endpoint.breaker}
        allowed = self.options.allowed(call.tenant)
        others = [one for one in endpoints if one.name not in left_out and (allowed is None or one.location in allowed)]
        if failure.kind in (FailureKind.BROKEN, FailureKind.THROTTLED) and others == [endpoint]:
            # nobody else to ask the second time; its quota says when
            return set()
        return {endpoint.name}

    def _worked_at(self, endpoint: Endpoint, doubted: str) -> None:
        with self._lock:
            self._worked.add(endpoint.name)
            if doubted and doubted != endpoint.name:
                failure = Failure(FailureKind.SETUP, "wrong_region", "INVALID_ARGUMENT")
                self._barred[doubted] = (self._clock() + BARRED_SECONDS, failure)

    def barred(self) -> dict[str, str]:
        """Endpoints that are not asked for a while since they are not set up, by name, and the code of why."""
        with self._lock:
            now = self._clock()
            return {name: failure.code for name, (until, failure) in self._barred.items() if until > now}

    def _bar_of(self, endpoint: Endpoint) -> Failure | None:
        with self._lock:
            until, failure = self._barred.get(endpoint.name, (0.0, None))
            if failure is not None and until <= self._clock():
                del self._barred[endpoint.name]
                return None
            return failure

    def close(self) -> None:
        metrics.unwatch(self._gauges)
        self.transport.close()


_NEVER_SENT = ("not_reached", "credentials_away", "no_credentials")


def _ended(outcome: Postponed | Failed, attempts: list[Attempt]) -> Postponed | Failed:
    """With what was tried on the way; where that failed and nobody else may be asked, that is the reason."""
    last = next((one.failure for one in reversed(attempts) if one.failure is not None), None)
    if last is None:
        return outcome
    if last.kind is FailureKind.THROTTLED:
        seconds = outcome.seconds if isinstance(outcome, Postponed) else last.retry_after or AWAY_SECONDS
        return Postponed(seconds, "throttled", tuple(attempts))
    return Failed(last, tuple(attempts))
