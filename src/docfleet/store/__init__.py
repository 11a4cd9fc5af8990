"""Bytes by key, behind one protocol."""

from docfleet.store.base import NotStored, Store, StoreError
from docfleet.store.folder import FolderStore
from docfleet.store.memory import MemoryStore

__all__ = ["FolderStore", "MemoryStore", "NotStored", "Store", "StoreError"]
