"""Bytes by key, behind one protocol."""

from docfleet.store.base import Store
from docfleet.store.folder import FolderStore
from docfleet.store.memory import MemoryStore

__all__ = ["FolderStore", "MemoryStore", "Store"]
