"""Results of a service into a folder, laid out as `docfleet process` lays them out."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from docfleet.client import Document
from docfleet.client.downloading import digest_of, safe_place
from docfleet.domain.media import MEDIA_TYPES
from docfleet.errors import DocfleetError
from docfleet.pipeline.intake import RESERVED_NAMES, folder_name
from docfleet.pipeline.outcome import OUTCOME_FILE, IndexRow, engines_used, replace_file, write_index

_DRAFTS = ".docfleet-drafts"
_GIVEN_FILE = ".docfleet-fetched.json"
"""Documents of a service may share their names: which folder is whose is not told by the index."""


class Folders:
    """Hands out names of result folders: each once, case not counting, none of somebody else's."""

    def __init__(self, out: Path, taken: dict[str, str]) -> None:
        """`taken`: folder names with case folded -> the input that has it."""
        self._out = out
        self._taken = {**dict.fromkeys(RESERVED_NAMES, ""), **taken}

    def give(self, wanted: str, owner: str) -> str:
        """The wanted name, with -2, -3 … where another has it."""
        number = 1
        while True:
            name = wanted if number == 1 else f"{wanted}-{number}"
            has = self._taken.get(name.casefold())
            if has == owner or (has is None and not self._is_foreign(name)):
                self._taken[name.casefold()] = owner
                return name
            number += 1

    def _is_foreign(self, name: str) -> bool:
        place = self._out / name
        return place.exists() and not (place / OUTCOME_FILE).is_file()


def fetch(document: Document, out: Path, folder: str, formats: Sequence[str] | None = None) -> bool:
    """Puts the document's results into OUT/folder, whole or not at all; whether there was anything to put there.

    A fetch that broke off goes on where it was. Raises what the client raises, and `OSError` of the disk.
    """
    if not document.facts.results:
        return False
    target = out / folder
    if _has_all(document, target, formats):
        return True
    draft = out / _DRAFTS / f"{document.id}-{document.facts.round}"
    draft.mkdir(parents=True, exist_ok=True)
    document.download_all(draft, formats)
    old = draft.with_name(f"{draft.name}.old")
    if target.exists():
        shutil.rmtree(old, ignore_errors=True)
        target.rename(old)
    draft.rename(target)
    shutil.rmtree(old, ignore_errors=True)
    return True


def fetch_original(document: Document, folder: Path) -> Path:
    """Puts the submitted file into the folder as "original" with the ending of its type, unless it is there already."""
    media = MEDIA_TYPES.get(document.facts.media_type)
    target = folder / f"original{media.extension if media else ''}"
    if target.is_file() and digest_of(target) == document.facts.sha256:
        return target
    return document.download_source(target)


def _has_all(document: Document, target: Path, formats: Sequence[str] | None) -> bool:
    """Whether the folder holds just these results already."""
    if not (target / OUTCOME_FILE).is_file():
        return False
    for file in document.wanted(formats):
        place = safe_place(target, file.path)
        if not place.is_file() or place.stat().st_size != file.size_bytes or digest_of(place) != file.sha256:
            return False
    return True


def folders_given(out: Path) -> dict[str, str]:
    """Folder names with case folded -> the document each was fetched for, by earlier runs into `out`."""
    try:
        return msgspec.json.decode((out / _GIVEN_FILE).read_bytes(), type=dict[str, str])
    except (OSError, msgspec.MsgspecError):
        return {}


def remember_folders(places: Mapping[str, str], out: Path) -> None:
    """Keeps which folder belongs to which document. `places`: document id -> folder."""
    given = folders_given(out) | {folder.casefold(): one for one, folder in places.items()}
    replace_file(out / _GIVEN_FILE, msgspec.json.encode(given))


def clean_drafts(out: Path) -> None:
    """Removes the folder of drafts when nothing is in it any more."""
    with suppress(OSError):
        (out / _DRAFTS).rmdir()


def row_of(document: Document, name: str, folder: str, *, fetched: bool, duplicate_of: str = "") -> IndexRow:
    """The document's row of the index."""
    facts = document.facts
    engines = [engine for engine, count in facts.engines.items() for _ in range(count)]
    return IndexRow(
        file=name,
        outcome=facts.state if facts.is_finished else "pending",
        code=facts.code or "",
        message=facts.message or "",
        remedy=facts.remedy or "",
        pages=facts.pages.total or 0,
        pages_failed=facts.pages.failed,
        engine=engines_used(engines),
        confidence=round(facts.confidence, 4) if facts.confidence is not None else None,
        seconds=round(facts.work_seconds, 3),
        cost_usd=facts.cost_usd,
        bytes=facts.size_bytes,
        media_type=facts.media_type,
        sha256=facts.sha256,
        folder=folder if fetched else "",
        duplicate_of=duplicate_of,
    )


def row_of_refusal(name: str, error: DocfleetError) -> IndexRow:
    return IndexRow(file=name, outcome="failed", code=error.code, message=error.message, remedy=error.remedy)


def add_to_index(rows: Sequence[IndexRow], out: Path, places: Sequence[str] | None = None) -> list[IndexRow]:
    """Writes the index with these rows in it; rows of other inputs from earlier runs stay. Returns all.

    An input is known by its name. Documents of a service may share theirs: then `places` says which folders are those
    of these rows, and of the same name a row with another folder is of another document.
    """
    earlier = _index_in(out)
    if places is None:
        known = {row.file: row for row in earlier} | {row.file: row for row in rows}
        every = list(known.values())
    else:
        names, own = {row.file for row in rows}, set(places)
        every = [row for row in earlier if row.file not in names or (row.folder and row.folder not in own)]
        every += rows
    write_index(every, out)
    return every


def _index_in(out: Path) -> list[IndexRow]:
    try:
        return msgspec.json.decode((out / "index.json").read_bytes(), type=list[IndexRow])
    except (OSError, msgspec.MsgspecError):
        return []


def wanted_folder(document: Document) -> str:
    return folder_name(document.name or document.id)
