"""A store in a folder of the local disk."""

from __future__ import annotations

from pathlib import Path

from obstore.store import LocalStore as _LocalObjects

from docfleet.errors import NotStored, StoreError
from docfleet.store.base import check_key
from docfleet.store.objects import ObjectStore


class FolderStore(ObjectStore):
    """One file per object; obstore writes it beside its place and renames it, so that no part is ever seen."""

    def __init__(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"the folder {folder} cannot be made: {error.strerror}") from error
        self._folder = folder.resolve()
        super().__init__(_LocalObjects(prefix=self._folder))

    def local_path(self, key: str) -> Path | None:
        path = self._folder / check_key(key)
        if not path.is_file():
            raise NotStored(f"nothing is stored under {key}")
        return path
