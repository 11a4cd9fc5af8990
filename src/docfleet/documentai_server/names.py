"""Names of resources, as Document AI spells them."""

from __future__ import annotations

import re

import msgspec

from docfleet.documentai_server.numbering import project_number
from docfleet.documentai_server.refusals import Refusal, invalid

_PART = r"[^/\x00-\x20\x7f]{1,200}"
_LOCATION = rf"projects/(?P<project>{_PART})/locations/(?P<location>{_PART})"
_PARENT = re.compile(_LOCATION)
_PROCESSOR = re.compile(rf"{_LOCATION}/processors/(?P<processor>{_PART})(/processorVersions/(?P<version>{_PART}))?")
_TYPE = re.compile(rf"{_LOCATION}/processorTypes/(?P<processor_type>{_PART})")
_PROJECT = re.compile(rf"projects/(?P<project>{_PART})")
_ANY_LOCATION = re.compile(rf"{_LOCATION}(/.*)?")


class Place(msgspec.Struct, frozen=True, order=True):
    """A project and a location, in which everything else has its name."""

    project: str
    """Its number."""
    location: str

    @property
    def name(self) -> str:
        return f"projects/{self.project}/locations/{self.location}"


class ProcessorName(msgspec.Struct, frozen=True, order=True):
    place: Place
    processor: str
    version: str = ""
    """Empty: the processor itself."""

    @property
    def name(self) -> str:
        """Of the processor, without version."""
        return f"{self.place.name}/processors/{self.processor}"

    def version_name(self, version: str) -> str:
        return f"{self.name}/processorVersions/{version}"


def parse_place(name: str, field: str = "parent") -> Place:
    """Raises `Refusal` where `name` is no project and location, as do the others here for theirs."""
    return _place(_matched(_PARENT, name, field, "projects/{project}/locations/{location}"))


def parse_processor(name: str, field: str = "name") -> ProcessorName:
    """A processor or one of its versions."""
    form = "projects/{project}/locations/{location}/processors/{processor}"
    found = _matched(_PROCESSOR, name, field, form)
    return ProcessorName(_place(found), found["processor"], found["version"] or "")


def parse_type(name: str, field: str = "name") -> tuple[Place, str]:
    """A type of processor."""
    form = "projects/{project}/locations/{location}/processorTypes/{processor_type}"
    found = _matched(_TYPE, name, field, form)
    return _place(found), found["processor_type"]


def parse_project(name: str, field: str = "name") -> str:
    """The number of the project."""
    return project_number(_matched(_PROJECT, name, field, "projects/{project}")["project"])


def place_in(name: str) -> Place | None:
    """The project and location that any name begins with; None: it does not."""
    found = _ANY_LOCATION.fullmatch(name)
    return _place(found) if found else None


def _place(found: re.Match[str]) -> Place:
    return Place(project_number(found["project"]), found["location"])


def _matched(pattern: re.Pattern[str], name: str, field: str, form: str) -> re.Match[str]:
    found = pattern.fullmatch(name)
    if found is None:
        raise _malformed(name, field, form)
    return found


def _malformed(name: str, field: str, form: str) -> Refusal:
    shown = name if len(name) <= 200 else name[:200] + "…"
    return invalid(field, f"Invalid resource name {shown!r}; expected {form}.")
