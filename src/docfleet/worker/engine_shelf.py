"""The one engine a slot has loaded: models take half a gigabyte, so another one takes its place."""

from __future__ import annotations

from collections.abc import Callable

from docfleet.engines.base import Engine
from docfleet.engines.registry import load
from docfleet.errors import EngineUnavailable, UsageError


class EngineShelf:
    """Loads engines by name, on first use. `load`: as `engines.registry.load`, with what the settings say of each."""

    def __init__(self, load: Callable[[str], Engine] = load) -> None:
        self._load = load
        self._name = ""
        self._engine: Engine | None = None

    def get(self, name: str) -> Engine:
        """The engine of this name; the one before is closed. Raises EngineUnavailable."""
        if self._engine is None or self._name != name:
            self.close()
            try:
                self._engine = self._load(name)
            except UsageError as error:
                raise EngineUnavailable(error.message) from error
            self._name = name
        return self._engine

    def close(self) -> None:
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.close()
