"""Live use of the quotas of cloud engines, from what Redis counts and what cloud workers tell: put together for people.

Nothing is decided by it, and nothing is changed by looking. A figure that nobody here can know is None.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from docfleet.domain.quota import BreakerNow, BreakerState, QuotaKey, QuotaLimits, QuotaNow
from docfleet.engines.documentai.calls import Endpoint
from docfleet.engines.documentai.endpoints import endpoints_of
from docfleet.engines.documentai.facts import BATCH
from docfleet.engines.documentai.options import DocumentAIOptions
from docfleet.engines.documentai.use import Sums
from docfleet.fleet.cloud_notes import EndpointNote, WorkerNote
from docfleet.ledger.batch_standing import batches_standing
from docfleet.ledger.batch_values import PlaceStanding
from docfleet.ledger.ledger import Ledger
from docfleet.quota.board import Board, Note, open_board
from docfleet.quota.looking import Look, Looks, SharedLooks
from docfleet.telemetry import logger

_log = logger("quota")
_WORST = (BreakerState.OPEN, BreakerState.HALF_OPEN, BreakerState.CLOSED)


class EndpointPicture(msgspec.Struct, frozen=True):
    endpoint: Endpoint
    limits: QuotaLimits
    quota: QuotaNow | None
    """None: only its workers know, and they do not tell."""
    breaker: BreakerNow | None
    minute: Sums | None
    hour: Sums | None
    waits_for: str
    """Why leave to call was not given just now; empty: it was, or nobody asked."""
    barred: str
    """Code of why workers leave it out at present."""

    @property
    def is_away(self) -> bool:
        """Whether nothing is sent there now."""
        return bool(self.barred) or (self.breaker is not None and self.breaker.state is BreakerState.OPEN)


class WorkerPicture(msgspec.Struct, frozen=True):
    name: str
    age_seconds: float
    note: WorkerNote


class BatchPicture(msgspec.Struct, frozen=True):
    standing: PlaceStanding
    limit: int | None
    """Operations that may be under way there at a time."""


class Picture(msgspec.Struct, frozen=True):
    """All of it."""

    engine: str
    """Empty: no cloud engine is set up."""
    shared: bool
    """Whether all processes count together in Redis."""
    why: str
    """What is not known and why, or what there is to do; empty: everything is known."""
    endpoints: tuple[EndpointPicture, ...] = ()
    workers: tuple[WorkerPicture, ...] = ()
    batches: tuple[BatchPicture, ...] = ()


NOTHING_SET_UP = "No cloud engine is set up: [documentai] names no processors, and no cloud worker tells of any."
NOBODY_TELLS = (
    "No cloud worker has told of its calls in the last half minute: is one running, and does it use the same Redis or "
    "data folder as this API?"
)
REDIS_AWAY = (
    "The Redis that counts the quotas does not answer: each worker goes on with its part of them, and what they use is "
    "known only to them until it is back."
)


class CloudQuotas:
    """Looks when asked. `client`: of the Redis that counts quotas, or None; threads may share one."""

    def __init__(self, options: DocumentAIOptions, client: Any | None, board: Board, ledger: Ledger) -> None:
        self._options = options
        self._facts = options.facts()
        self._board = board
        self._ledger = ledger
        self._looks: Looks | None = SharedLooks(client) if client is not None else None

    def look(self) -> Picture:
        """Raises `LedgerError` when the ledger fails; a Redis that fails is part of the picture."""
        notes, notes_told = self._told(self._board.notes, [])
        workers = tuple(_read(notes))
        endpoints = self._endpoints(workers)
        batches = self._batches()
        if not endpoints:
            return Picture("", self._looks is not None, NOTHING_SET_UP, workers=workers, batches=batches)
        look = None
        if self._looks is not None and notes_told:
            looks, keys = self._looks, [endpoint.quota for endpoint, _ in endpoints]
            look, notes_told = self._told(
                lambda: looks.look(keys, [endpoint.breaker for endpoint, _ in endpoints]), None
            )
        why = "" if workers else NOBODY_TELLS
        return Picture(
            "documentai",
            self._looks is not None,
            why if notes_told else REDIS_AWAY,
            tuple(picture_of(endpoint, limits, workers, look) for endpoint, limits in endpoints),
            workers,
            batches,
        )

    def _told(self, ask: Callable[[], Any], nothing: Any) -> tuple[Any, bool]:
        """What is said, and whether Redis was there to say it."""
        if self._looks is None:
            return ask(), True
        # loaded where it is used: a service without Redis has no client for it either
        import redis

        try:
            return ask(), True
        except (redis.RedisError, OSError) as error:
            _log.info("quotas_not_seen", error=error)
            return nothing, False

    def _endpoints(self, workers: Sequence[WorkerPicture]) -> list[tuple[Endpoint, QuotaLimits]]:
        """Those of the settings here, and those workers tell of: they may have settings that the API has not."""
        own = [
            (one, self._facts.quota_limits(one.quota))
            for one in endpoints_of(self._options, self._facts, self._options.processor_type)
        ]
        told = [(one.use.endpoint, one.limits) for worker in workers for one in worker.note.endpoints]
        # what workers go by counts
        return list({endpoint.name: (endpoint, limits) for endpoint, limits in [*own, *told]}.values())

    def _batches(self) -> tuple[BatchPicture, ...]:
        return tuple(BatchPicture(one, self._most_open(one.place)) for one in batches_standing(self._ledger))

    def _most_open(self, place: str) -> int | None:
        return self._facts.quota_limits(QuotaKey(self._options.project, place, BATCH)).concurrent


def open_cloud_quotas(options: DocumentAIOptions, client: Any | None, data_folder: Any, ledger: Ledger) -> CloudQuotas:
    """`client`: of the Redis that counts quotas, or None; `data_folder`: where workers then leave their notes."""
    return CloudQuotas(options, client, open_board(client, data_folder), ledger)


def _read(notes: Iterable[Note]) -> Iterable[WorkerPicture]:
    for note in notes:
        try:
            yield WorkerPicture(note.author, note.age_seconds, msgspec.json.decode(note.text, type=WorkerNote))
        except msgspec.MsgspecError:
            # of another version of docfleet, while a fleet is updated
            _log.info("note_not_read", author=note.author)


def picture_of(
    endpoint: Endpoint, limits: QuotaLimits, workers: Sequence[WorkerPicture], look: Look | None
) -> EndpointPicture:
    """What is known of one endpoint. `look`: at what is shared; None: workers count by themselves. Pure."""
    told = [one for worker in workers for one in worker.note.endpoints if one.use.endpoint.name == endpoint.name]
    return EndpointPicture(
        endpoint,
        limits,
        look.quotas[endpoint.quota] if look is not None else _together([one.quota for one in told]),
        look.breakers[endpoint.breaker] if look is not None else _worst([one.breaker for one in told]),
        _sum([one.use.minute for one in told]),
        _sum([one.use.hour for one in told]),
        _first(told, lambda one: one.use.waits_for),
        _first(told, lambda one: one.barred),
    )


def _first(told: Sequence[EndpointNote], what: Callable[[EndpointNote], str]) -> str:
    return next((found for one in told if (found := what(one))), "")


def _sum(sums: Sequence[Sums]) -> Sums | None:
    if not sums:
        return None
    total = Sums()
    for one in sums:
        total = total.plus(one)
    return total


def _together(states: Sequence[QuotaNow | None]) -> QuotaNow | None:
    """Of workers that each count by themselves: calls add up, and the slowest pace is told."""
    known = [one for one in states if one is not None]
    if not known:
        return None
    return QuotaNow(
        min(one.factor for one in known),
        min(one.ceiling for one in known),
        sum(one.slowdowns for one in known),
        max(one.paused_seconds for one in known),
        sum(one.under_way for one in known),
    )


def _worst(states: Sequence[BreakerNow | None]) -> BreakerNow | None:
    known = [one for one in states if one is not None]
    return min(known, key=lambda one: _WORST.index(one.state)) if known else None
