"""Equal submissions of one process come one after the other, so that the second sees what the first has made."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

_PATIENCE_SECONDS = 2.0
"""Longer waits mean that the database is in trouble: then everybody finds out for himself."""


class Turns:
    """Safe for several threads; holds nothing of those who are done."""

    def __init__(self, patience_seconds: float = _PATIENCE_SECONDS) -> None:
        self._patience = patience_seconds
        self._changing = threading.Lock()
        self._open: dict[str, tuple[threading.Lock, list[None]]] = {}

    @contextmanager
    def of(self, key: str) -> Iterator[None]:
        """Waits until nobody else has the turn of this key, but not for ever."""
        with self._changing:
            turn, here = self._open.setdefault(key, (threading.Lock(), []))
            here.append(None)
        mine = turn.acquire(timeout=self._patience)
        try:
            yield
        finally:
            if mine:
                turn.release()
            with self._changing:
                here.pop()
                if not here:
                    del self._open[key]
