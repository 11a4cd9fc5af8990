"""What `ModelLedger` knows of workers that died under a slice, and what it makes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from chaos.model_rows import Document, Slice
from docfleet.domain.retry import Evidence, FailureKind, Hazard, evidence_of
from docfleet.domain.work import OPEN_SLICES

SILENT_SECONDS = 9.0
SPANS = (30.0, 120.0, 600.0)
FREE_SECONDS = 120.0
SLOTS = 2


class Death:
    """An attempt whose worker died under it; `innocent` once its slice ended well."""

    __slots__ = ("at", "innocent", "seconds", "slice_id", "worker")

    def __init__(self, at: float, worker: str, slice_id: int, seconds: float, innocent: bool = False) -> None:
        self.at, self.worker, self.slice_id, self.seconds = at, worker, slice_id, seconds
        self.innocent = innocent


class Deaths:
    """`slices`: all there are, by their ids; only looked at."""

    def __init__(self, slices: Mapping[int, Slice]) -> None:
        self._slices = slices
        self._deaths: list[Death] = []
        self._lives: dict[str, tuple[float, float]] = {}
        """Supervisor -> (first seen, last seen)."""

    def announce(self, supervisor: str, now: float) -> None:
        self._lives[supervisor] = (now, now)

    def see(self, supervisor: str, now: float) -> None:
        self._lives[supervisor] = (self._lives[supervisor][0], now)

    def is_silent(self, worker: str, now: float) -> bool:
        return now - self._lives[worker.split("/")[0]][1] > SILENT_SECONDS

    def add_of_a_free_slot(self, worker: str, now: float) -> None:
        self._deaths.append(Death(now, worker, 0, 0.0, innocent=True))

    def clear(self, slice_id: int) -> None:
        """It ended well: what its workers died of was not it."""
        for death in self._deaths:
            death.innocent |= death.slice_id == slice_id

    def inherit(self, slice_id: int, heir: int) -> None:
        known = [death for death in self._deaths if death.slice_id == slice_id]
        self._deaths += [Death(death.at, death.worker, heir, death.seconds, death.innocent) for death in known]

    def are_of(self, document: Document) -> bool:
        """Whether all there are fell on this document: then nothing tells it from a storm."""
        fell_on = {self._slices[death.slice_id].document.id if death.slice_id else "" for death in self._deaths}
        return fell_on == {document.id}

    def weigh(self, row: Slice, kind: FailureKind, now: float) -> Evidence | None:
        """Adds the death that this failure is, if it is one; what then speaks against the slice."""
        if kind not in (FailureKind.CRASH, FailureKind.LOSS):
            return None
        until = min(now, row.lease_until or now)
        self._deaths.append(Death(until, row.worker, row.id, max(0.0, until - row.started_at)))
        against = [death for death in self._deaths if death.slice_id == row.id and not death.innocent]
        seconds = [death.seconds for death in against]
        innocent, undecided = self._others({death.worker for death in against}, now)
        return Evidence(
            evidence_of(seconds, [self._hazard(innocent, span, now) for span in SPANS]),
            evidence_of(seconds, [self._hazard(innocent + undecided, span, now) for span in SPANS]),
            now - min(death.at for death in against),
        )

    def _others(self, mine: set[str], now: float) -> tuple[list[float], list[float]]:
        """When workers died innocently, and when under slices that are still open."""
        by_worker: dict[str, list[Death]] = {}
        for death in self._deaths:
            by_worker.setdefault(death.worker, []).append(death)
        innocent, undecided = [], []
        for worker, own in by_worker.items():
            guilty = [death for death in own if not death.innocent]
            if own[0].slice_id == 0 and own[0].at <= now - FREE_SECONDS:
                continue
            if not guilty:
                innocent.append(max(death.at for death in own))
            elif worker not in mine and any(self._slices[death.slice_id].state in OPEN_SLICES for death in guilty):
                undecided.append(max(death.at for death in guilty))
        return innocent, undecided

    def _hazard(self, died_at: Sequence[float], span: float, now: float) -> Hazard:
        since = now - span
        lived = sum(
            SLOTS * max(0.0, (now if now - last < SILENT_SECONDS else last) - max(first, since))
            for first, last in self._lives.values()
        )
        return Hazard(sum(at > since for at in died_at), lived)
