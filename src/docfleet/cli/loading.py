"""Commands that are imported when they are called: a role's process holds what that role needs and nothing else."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any

import typer
from typer.core import TyperGroup

Command = Any
"""What Typer makes of a function or of an app; its class has no public name."""


class LazyCommands(MutableMapping[str, Command]):
    """Command name -> command, imported from its place ("module:attribute") when first looked at."""

    def __init__(self, places: Mapping[str, str]) -> None:
        self._places = dict(places)
        self._loaded: dict[str, Command] = {}

    def __getitem__(self, name: str) -> Command:
        if name not in self._loaded:
            self._loaded[name] = _load(name, self._places[name])
        return self._loaded[name]

    def __setitem__(self, name: str, command: Command) -> None:
        self._loaded[name] = command
        self._places.setdefault(name, "")

    def __delitem__(self, name: str) -> None:
        del self._places[name]
        self._loaded.pop(name, None)

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, name: object) -> bool:
        return name in self._places


def _load(name: str, place: str) -> Command:
    module, _, attribute = place.partition(":")
    found = getattr(importlib.import_module(module), attribute)
    if isinstance(found, typer.Typer):
        group = typer.main.get_group(found)
        group.name = name
        for command in group.commands.values():
            command.help = _flow(command.help or "")
        return group
    one = typer.Typer(add_completion=False, rich_markup_mode="rich")
    one.command(name, help=_flow(inspect.cleandoc(found.__doc__ or "")))(found)
    return typer.main.get_command(one)


def _flow(text: str) -> str:
    """Paragraphs without the line breaks of the source, which Typer keeps; indented lines stay."""
    paragraphs = text.split("\n\n")
    return "\n\n".join(part if part.startswith(" ") else part.replace("\n", " ") for part in paragraphs)


def lazy_group(places: Mapping[str, str]) -> type[TyperGroup]:
    """A class for `typer.Typer(cls=…)` whose commands are at these places, in this order."""

    class Group(TyperGroup):
        def __init__(self, **attributes: Any) -> None:
            super().__init__(**attributes)
            self.commands = LazyCommands(places)

    return Group
