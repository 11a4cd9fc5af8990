"""A store that forgets: for one process, for tests."""

from __future__ import annotations

from obstore.store import MemoryStore as _MemoryObjects

from docfleet.store.objects import ObjectStore


class MemoryStore(ObjectStore):
    def __init__(self) -> None:
        super().__init__(_MemoryObjects())
