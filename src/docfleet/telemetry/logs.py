"""Structured logs: constant event names with declared fields (`telemetry.events`), to standard error.

Nothing is logged below the chosen level; a terminal gets aligned text, anything else one JSON object a line. The
logging library is loaded with the first event that is shown: most commands and workers never show one.

No event holds a word of a document, a file name, a password, a key, an address of a person: fields are ids, codes,
counts and names of docfleet's own. An exception is told by its code and by the places it came through, never by its
words, which may quote anything; only of databases, stores and brokers that fail, whose words nobody else can guess,
the words are told, without what looks like a secret. What other libraries log is told by its place alone.
"""

from __future__ import annotations

import logging
import re
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

from docfleet.errors import BrokerUnavailable, DocfleetError, LedgerUnavailable, ServerFailed, StoreError, UnsafeBroker

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger, Processor

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
SPEAKING = (LedgerUnavailable, StoreError, BrokerUnavailable, ServerFailed, UnsafeBroker)
"""Errors of the surroundings: their words are about machines."""
MOST_CHARACTERS = 300
MOST_FRAMES = 20
_SECRETS = (
    (re.compile(r"\bdf_[0-9a-f]{8,}_[\w-]+"), "df_…"),
    (re.compile(r"(?i)\b(bearer|basic|token|password|passwd|secret|api[_-]?key)(\s*[=:]\s*|\s+)\S+"), r"\1 …"),
    (re.compile(r"([a-z][\w+.-]*://)[^/@\s]*@"), r"\1…@"),
    (re.compile(r"([a-z][\w+.-]*://[^\s?#]*)[?#]\S*"), r"\1?…"),
    (re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]+"), "…@…"),
)


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
        """An error with the places of the exception being handled."""
        self._show(logging.ERROR, event, {**fields, "exc_info": sys.exc_info()[1]})

    def _show(self, level: int, event: str, fields: dict[str, Any]) -> None:
        if level >= Logger._level:
            _backend().log(level, event, part=self._name, **{**_about.get(), **_presentable(fields)})


def _presentable(fields: dict[str, Any]) -> dict[str, Any]:
    """Fields as they are shown: `error` and `exc_info` are exceptions until here."""
    shown: dict[str, Any] = {}
    for name, value in fields.items():
        if isinstance(value, BaseException):
            shown |= facts_of_error(value, with_places=name == "exc_info")
        elif isinstance(value, str):
            shown[name] = without_secrets(value)
        elif value is not None:
            shown[name] = value
    return shown


def facts_of_error(error: BaseException, with_places: bool = False) -> dict[str, Any]:
    """What may be said of an exception: its code or class, the words of those of the surroundings, where it passed."""
    said: dict[str, Any] = {"error": name_of_error(error)}
    if isinstance(error, SPEAKING):
        said["message"] = without_secrets(str(error).partition("\n")[0])
    elif isinstance(error, OSError) and error.strerror:
        said["message"] = error.strerror
    if with_places:
        said["places"] = places_of(error)
    return said


def name_of_error(error: BaseException) -> str:
    """Its code where it is one of ours, else its class."""
    if isinstance(error, DocfleetError):
        return error.code
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def places_of(error: BaseException) -> list[str]:
    """`module:line function` of every frame, the innermost last, then what it was caused by; no word of any value."""
    places: list[str] = []
    seen: BaseException | None = error
    while seen is not None and len(places) < MOST_FRAMES:
        if places:
            places.append(f"caused by {name_of_error(seen)}")
        places += [_place(frame, line) for frame, line in traceback.walk_tb(seen.__traceback__)][-MOST_FRAMES:]
        seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)
    return places


def _place(frame: Any, line: int) -> str:
    return f"{frame.f_globals.get('__name__', '?')}:{line} {frame.f_code.co_qualname}"


def without_secrets(text: str) -> str:
    """The same text without passwords, keys, query strings and e-mail addresses, and no longer than a few lines.

    >>> without_secrets("cannot reach postgresql://me:hush@db/fleet?sslpassword=x")
    'cannot reach postgresql://…@db/fleet?…'
    """
    for pattern, instead in _SECRETS:
        text = pattern.sub(instead, text)
    return text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]}…"


def configure_logs(level: str = "warning") -> None:
    """Sets the least severe level this process shows; one of `LEVELS`."""
    Logger._level = LEVELS[level]


def shown_level() -> str:
    """The level `configure_logs` set."""
    return next(name for name, level in LEVELS.items() if level == Logger._level)


def logger(name: str) -> Logger:
    """A logger whose events carry `part=name`."""
    return Logger(name)


def guard_process() -> None:
    """From now on everything this process writes about itself is an event: also what other libraries log or warn of,
    and exceptions nobody caught, in any thread."""
    root = logging.getLogger()
    root.handlers[:] = [_OfLibraries()]
    root.setLevel(logging.WARNING)
    logging.captureWarnings(True)
    threading.excepthook = _on_thread_death
    sys.excepthook = _on_death


class _OfLibraries(logging.Handler):
    """What other libraries log: where, and how severe. Their words may quote anything, so they stay unsaid."""

    def emit(self, record: logging.LogRecord) -> None:
        fields: dict[str, Any] = {"library": record.name, "place": f"{record.module}:{record.lineno}"}
        if record.exc_info and record.exc_info[1] is not None:
            fields["exc_info"] = record.exc_info[1]
        show = _log.error if record.levelno >= logging.ERROR else _log.warning
        show("library_complained", **fields)


def _on_thread_death(args: threading.ExceptHookArgs) -> None:
    if args.exc_type is not SystemExit:
        _log.error("thread_died", exc_info=args.exc_value)


def _on_death(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if not issubclass(kind, KeyboardInterrupt):
        _log.error("process_broke", exc_info=error)


_log = logger("process")


@cache
def _backend() -> FilteringBoundLogger:
    import structlog

    renderer: Processor = (
        structlog.dev.ConsoleRenderer() if sys.stderr.isatty() else structlog.processors.JSONRenderer(sort_keys=True)
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    backend: FilteringBoundLogger = structlog.get_logger()
    return backend
