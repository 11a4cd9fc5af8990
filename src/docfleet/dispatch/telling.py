"""Tells the traces of documents that have ended, out of the ledger.

The ledger knows when each attempt began and how it ended, whoever took part and whoever was killed: so the life of a
document is told in one piece, by the leading dispatcher, when it is over. What a worker, the API or a sender of
webhooks saw from within is told by them, as children of what is told here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from docfleet.dispatch.spans import spans_of
from docfleet.domain.work import DocumentState
from docfleet.ledger import Ledger, stories
from docfleet.ledger.stories import Ended
from docfleet.telemetry.traces import document_trace, is_on, tell, tells_failed

LOOK_SECONDS = 1.0
OVERLAP_SECONDS = 10.0
"""A row is seen once its transaction is committed, which is this much after its time at the most."""
NEAR_SECONDS = 1.0
LOOKS_TO_A_FULL_ONE = 5
"""Nearly all are committed within a moment: what others left uncommitted for longer is looked for now and then."""
CATCH_UP_SECONDS = 60.0
"""Who begins to lead tells what ended in this time before, too; a collector gets it twice at the worst."""
ROWS_AT_ONCE = 1000
PAGES_AT_ONCE = 400
"""Documents are read together while they have no more pages than this."""
_FAILED = frozenset({DocumentState.FAILED, DocumentState.PARTIAL})


class Telling:
    """Remembers how far it came; of one thread."""

    def __init__(self, ledger: Ledger, region: str) -> None:
        self._ledger = ledger
        self._region = region
        self._since: float | None = None
        self._newest = 0.0
        self._looks = 0
        self._told: dict[tuple[str, int], float] = {}
        """(document, round) -> its end, of those that another look may come upon."""

    def begin(self) -> None:
        """This process leads from now on; another may have, meanwhile."""
        self._since = None

    def look(self) -> int:
        """How many documents were told. Does nothing while no traces are wanted."""
        if not is_on():
            return 0
        if self._since is None:
            with self._ledger.reading() as session:
                self._since = self._newest = stories.now(session) - CATCH_UP_SECONDS
            self._looks = 0
        told = 0
        for group in _groups([one for one in self._ended() if _is_wanted(one)]):
            with self._ledger.reading() as session:
                found = stories.stories(session, [one.id for one in group])
            for story in found:
                for span in spans_of(story):
                    tell(span)
            told += len(group)
        return told

    def _ended(self) -> list[Ended]:
        """Those that no look has come upon yet."""
        assert self._since is not None
        is_full = self._looks % LOOKS_TO_A_FULL_ONE == 0
        self._looks += 1
        since, after_id = self._since if is_full else max(self._since, self._newest - NEAR_SECONDS), ""
        fresh: list[Ended] = []
        while True:
            with self._ledger.reading() as session:
                rows = stories.ended_since(session, self._region, since, after_id, ROWS_AT_ONCE)
            for row in rows:
                if (row.id, row.round) not in self._told:
                    self._told[row.id, row.round] = row.finished_at
                    fresh.append(row)
            if rows:
                since, after_id = rows[-1].finished_at, rows[-1].id
            if len(rows) < ROWS_AT_ONCE or len(fresh) >= ROWS_AT_ONCE:
                break
        self._newest = max(self._newest, since)
        if is_full:
            # whatever began to be older than this has been seen since
            self._since = max(self._since, since - OVERLAP_SECONDS)
        self._told = {key: at for key, at in self._told.items() if at >= self._since}
        return fresh


def _is_wanted(one: Ended) -> bool:
    return document_trace(one.id, one.trace).is_sampled or (tells_failed() and one.state in _FAILED)


def _groups(ended: Sequence[Ended]) -> Iterator[list[Ended]]:
    group: list[Ended] = []
    pages = 0
    for one in ended:
        if group and pages + one.pages + 1 > PAGES_AT_ONCE:
            yield group
            group, pages = [], 0
        group.append(one)
        pages += one.pages + 1
    if group:
        yield group
