"""Structured logs: constant event names with fields, to standard error.

Nothing is logged below the chosen level; a terminal gets aligned text, anything else one JSON object a line. The
logging library is loaded with the first event that is shown: most commands and workers never show one.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger, Processor

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


class Told(Protocol):
    """A span under way."""

    @property
    def trace_id(self) -> str: ...

    @property
    def span_id(self) -> str: ...


_about: ContextVar[dict[str, str]] = ContextVar("about", default={})  # noqa: B039 - never changed


@contextmanager
def about(document_id: str, place: Told | None = None) -> Iterator[None]:
    """Events of this thread in the block are about this document, and carry the ids of its trace when it has one."""
    fields = {"document": document_id}
    if place is not None:
        fields |= {"trace_id": place.trace_id, "span_id": place.span_id}
    token = _about.set(fields)
    try:
        yield
    finally:
        _about.reset(token)


class Logger:
    """Events of one part of docfleet; they carry `part=name`."""

    _level = logging.WARNING

    def __init__(self, name: str) -> None:
        self._name = name

    def debug(self, event: str, **fields: Any) -> None:
        self._show(logging.DEBUG, event, fields)

    def info(self, event: str, **fields: Any) -> None:
        self._show(logging.INFO, event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        self._show(logging.WARNING, event, fields)

    def error(self, event: str, **fields: Any) -> None:
        self._show(logging.ERROR, event, fields)

    def exception(self, event: str, **fields: Any) -> None:
        """An error with the traceback of the exception being handled."""
        self._show(logging.ERROR, event, {**fields, "exc_info": True})

    def _show(self, level: int, event: str, fields: dict[str, Any]) -> None:
        if level >= Logger._level:
            _backend().log(level, event, part=self._name, **{**_about.get(), **fields})


def configure_logs(level: str = "warning") -> None:
    """Sets the least severe level this process shows; one of `LEVELS`."""
    Logger._level = LEVELS[level]


def shown_level() -> str:
    """The level `configure_logs` set."""
    return next(name for name, level in LEVELS.items() if level == Logger._level)


def logger(name: str) -> Logger:
    """A logger whose events carry `part=name`."""
    return Logger(name)


@cache
def _backend() -> FilteringBoundLogger:
    import structlog

    renderer: Processor = (
        structlog.dev.ConsoleRenderer() if sys.stderr.isatty() else structlog.processors.JSONRenderer(sort_keys=True)
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    backend: FilteringBoundLogger = structlog.get_logger()
    return backend
