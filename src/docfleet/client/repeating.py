"""When a request is sent again, and after how long: pure decisions."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum

import msgspec


class Trouble(StrEnum):
    """What came instead of an answer."""

    NOT_SENT = "not_sent"
    """No connection: the service has not seen the request."""
    LOST = "lost"
    """The connection broke, or the answer took too long: the service may have carried the request out."""


REFUSED_FOR_NOW = frozenset({429})
"""Statuses that promise that nothing was done."""
PERHAPS_DONE = frozenset({502, 503, 504})
"""Statuses after which something may have been done: a 503 is also the answer when a commit's outcome is unknown."""


class RepeatPolicy(msgspec.Struct, frozen=True):
    """How long and how patiently a request is repeated."""

    total_seconds: float = 120.0
    """No further attempt begins after this; 0: never repeat."""
    first_seconds: float = 0.5
    """Longest pause after the first attempt; doubles with each."""
    longest_seconds: float = 15.0

    def shortened(self, seconds: float | None) -> RepeatPolicy:
        """The same, for at most so long."""
        if seconds is None or seconds >= self.total_seconds:
            return self
        return msgspec.structs.replace(self, total_seconds=seconds)

    def pause(self, attempts: int, elapsed: float, asked: float | None, jitter: float) -> float | None:
        """Seconds to wait after `attempts` attempts; None: give up.

        `asked` is the service's Retry-After, which is always waited out; `jitter` in 0..1 is the share of the back-off,
        so that clients refused together do not come back together.
        """
        longest = min(self.longest_seconds, self.first_seconds * 2.0 ** min(attempts - 1, 32))
        seconds = (asked or 0.0) + jitter * longest
        return seconds if elapsed + seconds <= self.total_seconds else None


def may_repeat(trouble: Trouble | int, *, repeatable: bool) -> bool:
    """Whether a request may be sent again after this trouble, or after an answer with this status.

    | what came            | request that may be repeated | any other |
    |----------------------|------------------------------|-----------|
    | no connection        | yes                          | yes       |
    | 429                  | yes                          | yes       |
    | lost, 502, 503, 504  | yes                          | no        |
    | any other status     | no                           | no        |
    """
    if trouble is Trouble.NOT_SENT or trouble in REFUSED_FOR_NOW:
        return True
    return repeatable and (trouble is Trouble.LOST or trouble in PERHAPS_DONE)


def retry_after(value: str | None, now: datetime | None = None) -> float | None:
    """Seconds that a Retry-After header asks for (RFC 9110, 10.2.3: seconds or a date); None where it says nothing."""
    if not value:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        then = parsedate_to_datetime(value)
    except ValueError:
        return None
    then = then if then.tzinfo else then.replace(tzinfo=UTC)
    return max(0.0, (then - (now or datetime.now(UTC))).total_seconds())
