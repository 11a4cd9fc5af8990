"""Which processors there are: those that are always there, those named in the settings, those callers make.

In memory, and in a JSON file where one is given: written whole after each change, read when the server starts.
"""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec

from docfleet.documentai_server.names import Place, ProcessorName
from docfleet.documentai_server.refusals import Code, Refusal, not_found
from docfleet.documentai_server.types import ALIASES, BUILT_IN, TypeFacts, is_version, known_types
from docfleet.engines.documentai.facts import Facts
from docfleet.errors import UsageError

MOST_PROCESSORS = 10_000
"""Made or changed by callers, in all: what they may fill memory with."""


class Processor(msgspec.Struct, frozen=True):
    place: Place
    id: str
    kind: str
    """Its type, such as OCR_PROCESSOR."""
    display_name: str = ""
    enabled: bool = True
    default_version: str = ""
    created_at: float = 0.0
    """Seconds since 1970."""
    deleted: bool = False
    """One that is always there was deleted by a caller."""

    @property
    def name(self) -> ProcessorName:
        return ProcessorName(self.place, self.id)


class Catalog:
    """Thread-safe."""

    def __init__(
        self,
        facts: Facts,
        *,
        processors: Mapping[str, str] | None = None,
        unknown: str = "",
        locations: tuple[str, ...] = (),
        projects: tuple[str, ...] = (),
        path: Path | None = None,
    ) -> None:
        """`processors`: ids there are in every project and location beside `BUILT_IN`, with their types; `unknown`: the
        type of every other id, empty: there is none; `locations` that are served, empty: all that are known;
        `projects` by number, empty: any. Raises `UsageError` for a type or location nobody knows, or a damaged file.
        """
        self.types: Mapping[str, TypeFacts] = known_types(facts)
        self.locations = locations or tuple(facts.locations)
        self._projects = frozenset(projects)
        self._standing = {**BUILT_IN, **(processors or {})}
        self._unknown = unknown
        for kind in {*self._standing.values(), *([unknown] if unknown else [])}:
            if kind not in self.types:
                raise UsageError(f"There is no processor type {kind}; there are: {', '.join(self.types)}.")
        self._path = path
        self._lock = threading.Lock()
        self._changed: dict[ProcessorName, Processor] = {one.name: one for one in _read(path)}
        self._started_at = time.time()

    # --- reading

    def check_place(self, place: Place, resource: str) -> None:
        """Raises `Refusal` for a location this server does not play, or a project it does not know."""
        if place.location not in self.locations:
            raise Refusal(Code.INVALID_ARGUMENT, "Request contains an invalid argument.")
        if self._projects and place.project not in self._projects:
            raise Refusal(
                Code.PERMISSION_DENIED,
                "Permission 'documentai.processors.get' denied on resource "
                f"'//documentai.googleapis.com/{resource}' (or it may not exist).",
            )

    def get(self, name: ProcessorName) -> Processor:
        """Raises `Refusal` when there is none of this name, or no such version."""
        self.check_place(name.place, name.name)
        found = self.find(name)
        if found is None:
            raise not_found(name.name)
        if name.version and not is_version(name.version, self.types[found.kind]):
            raise not_found(name.version_name(name.version))
        return found

    def find(self, name: ProcessorName) -> Processor | None:
        bare = ProcessorName(name.place, name.processor)
        found = self._changed.get(bare)
        if found is not None:
            return None if found.deleted else found
        kind = self._standing.get(name.processor) or self._unknown
        return self._standing_one(bare, kind) if kind else None

    def version_of(self, processor: Processor, asked: str = "") -> str:
        """Id of the version that answers: the one asked for, or the default one; aliases are resolved."""
        first = self.types[processor.kind].versions[0]
        version = asked or processor.default_version or first
        return first if version in ALIASES else version

    def processors(self, place: Place) -> list[Processor]:
        """In the order of their ids."""
        with self._lock:
            own = {one.id: one for one in self._changed.values() if one.place == place}
        standing = {
            id: self._standing_one(ProcessorName(place, id), kind)
            for id, kind in self._standing.items()
            if id not in own
        }
        return sorted((one for one in {**standing, **own}.values() if not one.deleted), key=lambda one: one.id)

    # --- changing

    def create(self, place: Place, kind: str, display_name: str) -> Processor:
        """Raises `Refusal` for a type that is not served or when there are too many."""
        if kind not in self.types:
            raise Refusal(Code.INVALID_ARGUMENT, f"Processor type {kind[:100]!r} is not available.")
        made = Processor(place, secrets.token_hex(8), kind, display_name, created_at=time.time())
        return self._keep(made)

    def set_enabled(self, processor: Processor, enabled: bool) -> Processor:
        return self._keep(msgspec.structs.replace(processor, enabled=enabled))

    def set_default(self, processor: Processor, version: str) -> Processor:
        return self._keep(msgspec.structs.replace(processor, default_version=version))

    def delete(self, processor: Processor) -> None:
        """One that is always there is kept as deleted."""
        if processor.id in self._standing or self._unknown:
            self._keep(msgspec.structs.replace(processor, deleted=True))
            return
        with self._lock:
            left = {name: one for name, one in self._changed.items() if name != processor.name}
            self._write(left)
            self._changed = left

    def _keep(self, processor: Processor) -> Processor:
        with self._lock:
            if processor.name not in self._changed and len(self._changed) >= MOST_PROCESSORS:
                raise Refusal(Code.RESOURCE_EXHAUSTED, f"There are {MOST_PROCESSORS} processors already.")
            kept = {**self._changed, processor.name: processor}
            self._write(kept)
            self._changed = kept
        return processor

    def _standing_one(self, name: ProcessorName, kind: str) -> Processor:
        return Processor(name.place, name.processor, kind, name.processor, created_at=self._started_at)

    def _write(self, processors: Mapping[ProcessorName, Processor]) -> None:
        if self._path is None:
            return
        half = self._path.with_name(f"{self._path.name}.half")
        with half.open("wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(list(processors.values())), indent=1))
            file.flush()
            os.fsync(file.fileno())
        half.replace(self._path)


def _read(path: Path | None) -> list[Processor]:
    if path is None or not path.exists():
        return []
    try:
        return msgspec.json.decode(path.read_bytes(), type=list[Processor])
    except (OSError, msgspec.DecodeError) as error:
        raise UsageError(f"{path} cannot be read as a list of processors: {error}.") from error
