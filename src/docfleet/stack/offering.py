"""Which engines may be asked for where API and workers share one installation."""

from __future__ import annotations

from docfleet.engines.registry import available
from docfleet.errors import UsageError
from docfleet.settings import Settings


def offering_engines(settings: Settings) -> Settings:
    """The settings with the engines installed here as those that may be asked for, unless they say which.

    A misspelt engine is then refused when a document is submitted, and not found out by a worker much later. On
    several machines an API cannot know what its workers have. Raises `UsageError` when the default is none of them.
    """
    names = tuple(name for name, entry in available().items() if not entry.error)
    if settings.reading.engine not in names:
        raise UsageError(f"There is no engine called {settings.reading.engine!r}; there are: {', '.join(names)}.")
    if settings.api.engines:
        return settings
    return settings.model_copy(update={"api": settings.api.model_copy(update={"engines": names})})
