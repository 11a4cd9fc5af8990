"""Which engines there are, and how to get one: the built-in ones and whatever installed packages offer.

A package offers an engine by an entry point of the group ``docfleet.engines``; see `engines.base`. Listing imports
nothing, so that a broken package costs nobody else. Checking builds each engine in a process of its own, so that one
that hangs or kills its process is listed with what it did, beside the sound ones.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import msgspec

from docfleet.engines.base import Capabilities, Engine
from docfleet.errors import DocfleetError, EngineUnavailable, UsageError

GROUP = "docfleet.engines"
BUILTIN = {
    "rapidocr": "docfleet.engines.local.rapid:engine",
    "tesseract": "docfleet.engines.local.tesseract:engine",
    "null": "docfleet.engines.null:engine",
    "documentai": "docfleet.engines.documentai.engine:engine",
}
"""Known without any entry point, so that docfleet runs from its source tree too."""

_TARGET = re.compile(r"[A-Za-z_]\w*(\.\w+)*:[A-Za-z_]\w*(\.\w+)*")
_ANSWER = "docfleet-engine-check:"
_CHILD = (
    "import sys; options = sys.stdin.readline(); sys.path[:] = sys.stdin.read().splitlines(); "
    "from docfleet.engines.registry import answer_check; answer_check(sys.argv[1], options)"
)


class EngineEntry(msgspec.Struct, frozen=True):
    """One engine on offer."""

    name: str
    target: str
    """ "package.module:factory"."""
    package: str = "docfleet"
    """The distribution that offers it, with its version."""
    error: str = ""
    """Why it cannot be used, one sentence; empty: nothing known against it."""
    capabilities: Capabilities | None = None
    """Known once checked."""


def available(
    *, check: bool = False, seconds: float = 60.0, options: Mapping[str, Mapping[str, Any]] | None = None
) -> dict[str, EngineEntry]:
    """Every engine on offer by name, sorted; never raises because of one of them.

    With `check`, each is built in a process of its own, with its entry in `options` (plain values) or none, given
    `seconds` to answer, and its entry says what it can do or why it cannot start.
    """
    entries = _offers(entry_points(group=GROUP))
    if check:
        with ThreadPoolExecutor(max_workers=4) as pool:
            given = options or {}
            checked = pool.map(lambda entry: check_entry(entry, seconds, given.get(entry.name)), entries.values())
            entries = dict(zip(entries, checked, strict=True))
    return entries


def load(name: str, options: Mapping[str, Any] | None = None) -> Engine:
    """The engine called `name`, started with `options`.

    Raises `UsageError` for a name nobody offers (naming those there are) and for wrong options, `EngineUnavailable`
    when it is on offer but cannot be imported, built or used.
    """
    entries = available()
    entry = entries.get(name)
    if entry is None:
        raise UsageError(f"There is no engine called {name!r}; there are: {', '.join(entries)}.")
    if entry.error:
        raise EngineUnavailable(f"The engine {name!r} of {entry.package} cannot be used: {entry.error}")
    return _build(entry, dict(options or {}))


def _offers(points: Iterable[EntryPoint]) -> dict[str, EngineEntry]:
    """Built-in engines first, then those of packages in the order of their names; a name is given once."""
    found = {name: EngineEntry(name, target) for name, target in BUILTIN.items()}
    for point in sorted(points, key=lambda point: (_package(point), point.name, point.value)):
        name, package = point.name, _package(point)
        if BUILTIN.get(name) == point.value:
            continue
        error = "" if _TARGET.fullmatch(point.value) else f"its entry point {point.value!r} is no module:factory."
        if name in found:
            if (found[name].package, found[name].target) == (package, point.value):
                continue  # The same distribution seen twice on the path.
            error = f"{found[name].package} already offers an engine of this name."
            name = f"{name} ({package})"
        found[name] = EngineEntry(name, point.value, package, error)
    return dict(sorted(found.items()))


def _package(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist is not None else "unknown package"


def _build(entry: EngineEntry, options: dict[str, Any]) -> Engine:
    """Imports and calls the factory. Whatever goes wrong in foreign code becomes `EngineUnavailable`."""
    module_name, _, attribute = entry.target.partition(":")
    try:
        factory: Any = import_module(module_name)
        for part in attribute.split("."):
            factory = getattr(factory, part)
        engine = factory(options)
        sound = isinstance(engine, Engine) and isinstance(engine.capabilities, Capabilities)
    except DocfleetError:
        raise
    except (Exception, SystemExit) as error:
        raise EngineUnavailable(
            f"The engine {entry.name!r} of {entry.package} cannot start: {type(error).__name__}: {error}"
        ) from error
    if not sound:
        raise EngineUnavailable(
            f"The engine {entry.name!r} of {entry.package} is none: {type(engine).__name__} lacks the protocol."
        )
    return engine  # type: ignore[no-any-return]


def check_entry(entry: EngineEntry, seconds: float = 60.0, options: Mapping[str, Any] | None = None) -> EngineEntry:
    """`entry` with its capabilities, or with its error, found out by building the engine in a child process."""
    if entry.error:
        return entry
    # -P and no empty entry: a folder of documents may hold modules too, and the working folder is often one.
    command = [sys.executable, "-P", "-c", _CHILD, entry.name]
    path = "\n".join(folder for folder in sys.path if folder)
    # not in the command: options may hold a key, and everybody sees commands
    told = f"{msgspec.json.encode(dict(options or {})).decode()}\n{path}"
    try:
        child = subprocess.run(command, input=told, capture_output=True, text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        return msgspec.structs.replace(entry, error=f"it did not start within {seconds:g} s.")
    for line in reversed(child.stdout.splitlines()):
        if line.startswith(_ANSWER):
            return msgspec.json.decode(line.removeprefix(_ANSWER), type=EngineEntry)
    return msgspec.structs.replace(entry, error=f"it ended its process with status {child.returncode}.")


def answer_check(name: str, options: str = "{}") -> None:
    """The child's side of a check: builds and closes the engine, then one line of JSON on standard output. `options`:
    a JSON object."""
    entry = available()[name]
    try:
        engine = _build(entry, msgspec.json.decode(options))
        entry = msgspec.structs.replace(entry, capabilities=engine.capabilities)
        engine.close()
    except DocfleetError as error:
        entry = msgspec.structs.replace(entry, error=error.message)
    except Exception as error:
        entry = msgspec.structs.replace(entry, error=f"it cannot be closed: {type(error).__name__}: {error}")
    sys.stdout.write(f"\n{_ANSWER}{msgspec.json.encode(entry).decode()}\n")
    sys.stdout.flush()
