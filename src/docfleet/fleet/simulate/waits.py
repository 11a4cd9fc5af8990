"""How long documents waited: a histogram that a million documents an hour fit into."""

from __future__ import annotations

from math import log

_LEAST, _RATIO = 0.05, 1.02
_LOG_RATIO = log(_RATIO)


class Waits:
    """Weights by waiting time, in bins whose edges grow by 2 %: a percentile is right to that."""

    def __init__(self) -> None:
        self._bins: dict[int, float] = {}
        self.documents = 0.0
        self.late = 0.0
        self.longest = 0.0

    def add(self, seconds: float, documents: float, limit: float) -> None:
        """So many documents waited so long; those that waited longer than `limit` are late."""
        place = 0 if seconds <= _LEAST else 1 + int(log(seconds / _LEAST) / _LOG_RATIO)
        self._bins[place] = self._bins.get(place, 0.0) + documents
        self.documents += documents
        if seconds > limit:
            self.late += documents
        if seconds > self.longest:
            self.longest = seconds

    def include(self, other: Waits) -> None:
        for place, documents in other._bins.items():
            self._bins[place] = self._bins.get(place, 0.0) + documents
        self.documents += other.documents
        self.late += other.late
        self.longest = max(self.longest, other.longest)

    def percentile(self, share: float) -> float:
        """Seconds that this share of the documents did not wait longer than; 0 where there were none."""
        wanted, seen = share * self.documents, 0.0
        for place in sorted(self._bins):
            seen += self._bins[place]
            if seen >= wanted - 1e-9:
                return 0.0 if place == 0 else min(_LEAST * _RATIO ** (place - 0.5), self.longest)
        return self.longest
