"""Every call of a logger in the source, found in its syntax tree."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).parent.parent / "src" / "docfleet"
LEVELS = ("debug", "info", "warning", "error", "exception")


@dataclass(frozen=True)
class LogCall:
    file: str
    line: int
    level: str
    event: ast.expr | None
    fields: dict[str | None, ast.expr]
    part: str

    @property
    def where(self) -> str:
        return f"{self.file}:{self.line}"

    @property
    def name(self) -> str:
        """The event, where it is a constant; empty otherwise."""
        value = getattr(self.event, "value", "")
        return value if isinstance(value, str) else ""


def log_calls() -> Iterator[LogCall]:
    """Calls of whatever was made by `logger(…)`."""
    for path in sorted(SOURCE.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        loggers = _loggers(tree)
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LEVELS:
                part = _part(node.func.value, loggers)
                if part is not None:
                    yield LogCall(
                        str(path.relative_to(SOURCE)), node.lineno, node.func.attr,
                        node.args[0] if len(node.args) == 1 else None,
                        {one.arg: one.value for one in node.keywords}, part,
                    )  # fmt: skip


def _loggers(tree: ast.Module) -> dict[str, str]:
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and (part := _made(node.value)) is not None:
            found |= {target.id: part for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.ImportFrom):
            found |= {one.asname or one.name: "" for one in node.names if one.name in ("log", "_log")}
    return found


def _made(value: ast.expr) -> str | None:
    if isinstance(value, ast.Call) and getattr(value.func, "id", "") == "logger":
        [first] = value.args
        return str(getattr(first, "value", "") or "")
    return None


def _part(value: ast.expr, loggers: dict[str, str]) -> str | None:
    if isinstance(value, ast.Name):
        return loggers.get(value.id)
    return _made(value)
