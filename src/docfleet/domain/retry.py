"""What becomes of a slice whose attempt did not end well.

| what happened                                      | counter | then                                                 |
|----------------------------------------------------|---------|------------------------------------------------------|
| CRASH  its worker died while it ran, and it alone  | crashes | again at once · 2nd: alone, in isolation · 3rd: dead |
| ERROR  the engine or parser answered with an error | errors  | again after a back-off with full jitter · 3rd: dead  |
|        … that no retry can cure                    | errors  | dead at once                                         |
| WAIT   quota, outage, hand-back, a stop            | waits   | again, as often as it takes: costs nothing           |
| LOSS   its worker died in company (a host, a pool) | losses  | again at once; not its fault, so no crash            |

In the service workers may be killed for reasons of their own (out of memory, a bad host, somebody's `kill -9`), more
often than three times in a slice's life. There crashes count only as far as they are evidence against their slice: see
`evidence_of`. In a calm fleet the second and the third are more than enough; in a storm it takes more. When others died
as well and it is open yet whether that was their fault, the verdict waits for a minute: see `Evidence`.

A slice that is always there when a host dies must not hide in the company for ever: from the third loss on it runs in
isolation, and while it does, a further loss counts as a crash.

Back-off with full jitter: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from enum import StrEnum
from math import comb, expm1, log

import msgspec

from docfleet.errors import DocfleetError


class FailureKind(StrEnum):
    CRASH = "crash"
    ERROR = "error"
    WAIT = "wait"
    LOSS = "loss"


class Failure(msgspec.Struct, frozen=True):
    """One attempt that did not end well."""

    kind: FailureKind
    code: str
    """Stable; of `docfleet.errors`, or of the few the ledger gives itself ("worker_died", "handed_back")."""
    message: str = ""
    """One sentence for a person."""
    detail: str = ""
    retryable: bool = True
    """Whether an ERROR can go away by itself."""
    after_seconds: float = 0.0
    """Earliest next try of a WAIT."""

    @classmethod
    def of_error(cls, error: DocfleetError, detail: str = "") -> Failure:
        return cls(FailureKind.ERROR, error.code, error.message, detail, error.retryable)


class Counters(msgspec.Struct, frozen=True):
    crashes: int = 0
    errors: int = 0
    waits: int = 0
    losses: int = 0


class Evidence(msgspec.Struct, frozen=True):
    """What speaks against a slice whose workers died; both numbers are of `evidence_of`."""

    known: float
    """In view of the deaths that are known to have been innocent."""
    cautious: float
    """As if the deaths of others whose fate is open were innocent too: at the beginning of a storm nothing is known."""
    age_seconds: float = 0.0
    """Since its first death."""


class Action(StrEnum):
    RETRY = "retry"
    """Back to the queue."""
    DEAD = "dead"
    """A dead letter."""


class Decision(msgspec.Struct, frozen=True):
    action: Action
    delay_seconds: float
    isolated: bool
    """The next attempt runs alone."""
    counters: Counters
    """With this failure counted."""
    reason: str


class RetryPolicy(msgspec.Struct, frozen=True):
    isolate_at_crashes: int = 2
    max_crashes: int = 3
    max_errors: int = 3
    isolate_at_losses: int = 3
    backoff_seconds: float = 1.0
    """Longest delay after the first error; doubles with each."""
    backoff_limit_seconds: float = 60.0
    convicting_evidence: float = 6 * log(10)
    """Dead at this evidence: by chance one innocent slice in a million gets there. Isolated at two thirds of it."""
    suspect_seconds: float = 3.0
    """How long a suspect waits, so that it shows meanwhile whether others die as well."""
    suspect_limit_seconds: float = 8.0
    """Its longest wait; doubles with each death from the third on."""
    doubt_seconds: float = 60.0
    """How long after its first death a slice has the benefit of others' open fates. Several poisons at once are
    one another's doubt, so it must end."""

    def decide(
        self,
        failure: Failure,
        counters: Counters,
        jitter: float,
        isolated: bool = False,
        evidence: Evidence | None = None,
    ) -> Decision:
        """`counters` and `isolated` as they were before the failure; `jitter` in 0..1 is the share of the back-off.

        `evidence`: of all the slice's deaths, this one included; None where each counts in full.
        """
        match failure.kind:
            case FailureKind.WAIT:
                counted = msgspec.structs.replace(counters, waits=counters.waits + 1)
                return Decision(Action.RETRY, max(0.0, failure.after_seconds), isolated, counted, failure.code)
            case FailureKind.ERROR:
                return self._after_error(failure, counters, jitter, isolated)
            case FailureKind.LOSS:
                return self._after_loss(counters, isolated, evidence)
            case FailureKind.CRASH:
                return self._after_crash(counters, isolated, evidence)

    def _after_error(self, failure: Failure, counters: Counters, jitter: float, isolated: bool) -> Decision:
        counted = msgspec.structs.replace(counters, errors=counters.errors + 1)
        if not failure.retryable:
            return Decision(Action.DEAD, 0.0, isolated, counted, f"{failure.code}: no retry can cure it")
        if counted.errors >= self.max_errors:
            return Decision(Action.DEAD, 0.0, isolated, counted, f"{failure.code}: {counted.errors} errors")
        # min() of the exponent too: 2.0 ** 1024 overflows
        longest = min(self.backoff_limit_seconds, self.backoff_seconds * 2.0 ** min(counted.errors - 1, 64))
        return Decision(Action.RETRY, jitter * longest, isolated, counted, f"{failure.code}: error {counted.errors}")

    def _after_loss(self, counters: Counters, isolated: bool, evidence: Evidence | None) -> Decision:
        counted = msgspec.structs.replace(counters, losses=counters.losses + 1)
        if isolated and counted.losses > self.isolate_at_losses:
            return self._after_crash(counted, isolated, evidence)
        isolated = isolated or counted.losses >= self.isolate_at_losses
        return Decision(Action.RETRY, 0.0, isolated, counted, f"loss {counted.losses}")

    def _after_crash(self, counters: Counters, isolated: bool, evidence: Evidence | None) -> Decision:
        counted = msgspec.structs.replace(counters, crashes=counters.crashes + 1)
        reason = f"crash {counted.crashes}"
        convicting = suspicious = True
        delay = 0.0
        if evidence is not None:
            convicting = self._convicts(evidence)
            suspicious = evidence.known >= self.convicting_evidence * 2 / 3
            reason = (
                f"{reason}, evidence {evidence.known:.1f} ({evidence.cautious:.1f}) of {self.convicting_evidence:.1f}"
            )
            delay = self._suspect_delay(counted.crashes)
        if counted.crashes >= self.max_crashes and convicting:
            return Decision(Action.DEAD, 0.0, True, counted, f"{counted.crashes} crashes")
        isolated = isolated or (counted.crashes >= self.isolate_at_crashes and suspicious)
        return Decision(Action.RETRY, delay, isolated, counted, reason)

    def _convicts(self, evidence: Evidence) -> bool:
        is_open = evidence.cautious < self.convicting_evidence and evidence.age_seconds < self.doubt_seconds
        return evidence.known >= self.convicting_evidence and not is_open

    def _suspect_delay(self, crashes: int) -> float:
        if crashes < self.isolate_at_crashes:
            return 0.0
        doublings = min(crashes - self.isolate_at_crashes, 64)
        return min(self.suspect_limit_seconds, self.suspect_seconds * 2.0**doublings)


def kind_of(reason: str) -> FailureKind:
    """The kind of failure that `RetryPolicy.decide` gave this reason for: what the events of slices are told with."""
    if reason.startswith("crash ") or reason.endswith(" crashes"):
        return FailureKind.CRASH
    if reason.startswith("loss "):
        return FailureKind.LOSS
    # a wait gives its bare code
    return FailureKind.ERROR if ": " in reason else FailureKind.WAIT


_OF_CRASH = re.compile(r"crash \d+(,.*)?|\d+ crashes", re.DOTALL)
_OF_LOSS = re.compile(r"loss \d+")
_OF_ERROR = re.compile(r".*: (error \d+|\d+ errors|no retry can cure it)", re.DOTALL)


def kind_of_reason(reason: str) -> FailureKind:
    """What a `Decision.reason` was about, as `RetryPolicy` words it; the history keeps no more than that."""
    if _OF_CRASH.fullmatch(reason):
        return FailureKind.CRASH
    if _OF_LOSS.fullmatch(reason):
        return FailureKind.LOSS
    return FailureKind.ERROR if _OF_ERROR.fullmatch(reason) else FailureKind.WAIT


class Hazard(msgspec.Struct, frozen=True):
    """Innocent deaths in some span of time: attempts that died although their slice was read well later."""

    deaths: int
    slot_seconds: float
    """How long slots lived in that span, summed over all of them."""


CALM_RATE = 1 / (7 * 86400.0)
"""A worker dies of itself once a week, even where none has been seen to."""
SAFETY = 3.0
"""Kills that come in step, and slots that are counted while they only start, make deaths likelier than on average."""
SHORTEST_SECONDS = 0.05
"""Clocks and start-up blur anything shorter."""
CERTAIN = 1e-4
"""How likely the end of an attempt is by chance that somebody saw to (it was ended for its memory, or its time)."""


def evidence_of(deaths: Sequence[float], hazards: Sequence[Hazard] = (), certain: int = 0) -> float:
    """How strongly the deaths of its workers speak against a slice: -ln of how likely they are if it is innocent.

    `deaths`: seconds each of its attempts had run when its worker died for no known reason; `certain`: how many more
    ended for a reason that was seen. `hazards`: of several spans up to now; the worst counts, so that a storm is
    noticed soon after it begins.

    An innocent attempt dies within t seconds with the probability q = 1 - exp(-rate * t). That k of n attempts,
    whichever, die within the t of the longest of them has at most the probability (n choose k) * q^k. The k that says
    most counts, so that deaths in a storm do not hide those in a calm. (A product of each death's own q would not do:
    of a long slice that a storm kills again and again it becomes as small as you like, since some deaths come early.)
    """
    rate = max([CALM_RATE, *(SAFETY * item.deaths / max(1.0, item.slot_seconds) for item in hazards)])
    chances = [-expm1(-rate * max(SHORTEST_SECONDS, seconds)) for seconds in deaths]
    chances = sorted([*chances, *([CERTAIN] * certain)])
    n = len(chances)
    return max((-k * log(chance) - log(comb(n, k)) for k, chance in enumerate(chances, 1)), default=0.0)


class Lapse(msgspec.Struct, frozen=True):
    """A lease that ran out."""

    slice_id: int
    lease_until: float


def judge_lapses(lapses: Sequence[Lapse], now: float, together_seconds: float = 3.0) -> dict[int, FailureKind]:
    """Which lapsed slices are judged now, and whether each lapsed alone (CRASH) or in company (LOSS).

    Leases are renewed every `together_seconds`, so those of one dead host end within that time of one another. A lease
    is judged only once it has been over for that long: before, its company may not have lapsed yet. Whoever belongs
    to the company of a judged one is judged with it.
    """
    verdicts: dict[int, FailureKind] = {}
    company: list[Lapse] = []
    for lapse in [
        *sorted((item for item in lapses if item.lease_until < now), key=lambda item: item.lease_until),
        None,
    ]:
        if company and (lapse is None or lapse.lease_until - company[-1].lease_until > together_seconds):
            if company[0].lease_until + together_seconds <= now:
                kind = FailureKind.CRASH if len(company) == 1 else FailureKind.LOSS
                verdicts |= {item.slice_id: kind for item in company}
            company = []
        if lapse is not None:
            company.append(lapse)
    return verdicts


def judge_release(
    held: Collection[int], crashed: bool, working_on: Collection[int] | None = None
) -> dict[int, FailureKind]:
    """What the death of one worker means for the slices it held.

    `working_on`: what it is known to have been working on; None: not known, and only a slice held alone is blamed.
    """
    blamed = set(held) if working_on is None else set(held) & set(working_on)
    if not crashed:
        return dict.fromkeys(held, FailureKind.WAIT)
    kind = FailureKind.CRASH if len(blamed) == 1 else FailureKind.LOSS
    return {slice_id: kind if slice_id in blamed else FailureKind.WAIT for slice_id in held}
