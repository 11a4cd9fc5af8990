"""A cloud worker tells how it does, for the page of quotas; see `quota.board`."""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec

from docfleet.engines.documentai.calling import Caller
from docfleet.fleet.cloud_notes import WorkerNote, endpoint_notes
from docfleet.quota.board import Board
from docfleet.quota.breakers_local import LocalBreakers
from docfleet.quota.local import LocalQuota
from docfleet.quota.looking import LocalLooks, Looks
from docfleet.worker.cloud.holding import Holding, Stage

NOTE_SECONDS = 3.0


class Noting:
    """Of one worker. `pin` may be called as often as one likes; `clock`: a steady one."""

    def __init__(self, board: Board, caller: Caller, region: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._board = board
        self._caller = caller
        self._region = region
        self._clock = clock
        self._pinned_at = float("-inf")
        self._looks: Looks | None = None
        if isinstance(caller.quota, LocalQuota) and isinstance(caller.breakers, LocalBreakers):
            self._looks = LocalLooks(caller.quota, caller.breakers)

    def pin(self, author: str, calls: int, holding: Holding) -> None:
        """Raises nothing."""
        now = self._clock()
        if now - self._pinned_at >= NOTE_SECONDS:
            self._pinned_at = now
            self._board.pin(author, msgspec.json.encode(self._note(calls, holding)))

    def take_down(self, author: str) -> None:
        self._board.take_down(author)

    def _note(self, calls: int, holding: Holding) -> WorkerNote:
        caller = self._caller
        endpoints = caller.endpoints(caller.options.processor_type)
        known = [(one, caller.facts.quota_limits(one.quota)) for one in endpoints]
        return WorkerNote(
            engine="documentai",
            region=self._region,
            calls=calls,
            waiting_pages=holding.pages(Stage.WAITING),
            preparing_pages=holding.pages(Stage.PREPARING),
            in_flight_pages=holding.pages(Stage.IN_FLIGHT),
            endpoints=endpoint_notes(known, caller.usage.told(), caller.barred(), self._looks),
        )
