"""Writes the reference pages that are generated from the code; `--check` fails when one is out of date."""

from __future__ import annotations

import ast
import inspect
import itertools
import re
import runpy
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

import typer
from pydantic import BaseModel
from pydantic_core import PydanticUndefined
from rich.text import Text

from docfleet.api.app import make_app
from docfleet.api.described import describe, operations
from docfleet.api.parts import ApiParts
from docfleet.api.problems import PROBLEM_JSON
from docfleet.api.resource import NEED
from docfleet.cli.main import app
from docfleet.domain.access import PERMISSIONS, Permission
from docfleet.domain.work import DOCUMENT_TRANSITIONS, SLICE_TRANSITIONS, DocumentState, SliceState
from docfleet.errors import (
    BadRequest,
    DocfleetError,
    Forbidden,
    KeyExpired,
    LedgerUnavailable,
    PayloadTooLarge,
    RateLimited,
    Unauthenticated,
    document_error_codes,
    request_error_codes,
)
from docfleet.ledger import Ledger
from docfleet.ledger.access import Access
from docfleet.ledger.desk import Desk
from docfleet.ledger.webhooks import Webhooks
from docfleet.settings import Settings
from docfleet.store.encryption import MasterKey
from docfleet.store.memory import MemoryStore
from docfleet.worker.batch import CHEAP_CODES
from docfleet.worker.results import PENDING

FOLDER = Path(__file__).parent.parent / "docs" / "reference"
NOTE = "<!-- Written by `make docs` from the code; do not edit. -->\n"


def cli() -> str:
    # Any: Typer carries a Click of its own, whose classes have no public name.
    root: Any = typer.main.get_command(app)
    parts = [NOTE, "# Command line\n", _help(root, "docfleet", sorted(root.commands))]
    parts += [f"## {name}\n\n{_help(command, name, told)}" for name, command, told in _commands(root, "docfleet")]
    return "\n".join(parts).rstrip("\n") + "\n"


def _commands(group: Any, name: str) -> Iterator[tuple[str, Any, list[str] | None]]:
    """Full name, command, and the names within where it is a group; in the order of the names."""
    for one, command in sorted(group.commands.items()):
        inner = getattr(command, "commands", None)
        yield f"{name} {one}", command, sorted(inner) if inner else None
        if inner:
            yield from _commands(command, f"{name} {one}")


def _help(command: Any, name: str, commands: list[str] | None = None) -> str:
    lines = [_prose(command.help or ""), "", "```", f"{name} {_usage(command, commands)}".strip(), "```", ""]
    rows = [row for parameter in command.params for row in _parameter(parameter)]
    if rows:
        lines += ["| option | what it does | default |", "|---|---|---|", *rows, ""]
    if command.epilog:
        lines += [_plain(command.epilog), ""]
    return "\n".join(lines)


def _usage(command: Any, commands: list[str] | None) -> str:
    arguments = [_argument(p) for p in command.params if _is_argument(p)]
    options = ["[OPTIONS]"] if commands or len(arguments) < len(command.params) else []
    return " ".join([*options, *arguments, *(["|".join(commands)] if commands else [])])


def _argument(parameter: Any) -> str:
    return f"{parameter.metavar or parameter.name.upper()}{'...' if parameter.nargs == -1 else ''}"


def _is_argument(parameter: Any) -> bool:
    return bool(parameter.param_type_name == "argument")


def _parameter(parameter: Any) -> Iterator[str]:
    if getattr(parameter, "hidden", False):
        return
    if _is_argument(parameter):
        name = _argument(parameter)
    else:
        name = ", ".join(option for option in (*parameter.opts, *parameter.secondary_opts))
    text = _cell(getattr(parameter, "help", "") or "")
    default = parameter.default
    shown = "" if default in (None, False, (), []) or callable(default) else f"`{default}`"
    # Defaults that depend on the settings are told in the help text, as "[default: ...]".
    if told := re.search(r" *\[default: (.+)\]$", text):
        text, shown = text[: told.start()], told[1]
    elif default is True:
        shown = f"`{parameter.opts[0]}`"
    variable = getattr(parameter, "envvar", None)
    yield f"| `{name}` | {text}{f' Environment: `{variable}`.' if variable else ''} | {shown} |"


def _plain(text: str) -> str:
    """Rich's markup left out."""
    return Text.from_markup(text).plain.strip()


def _prose(text: str) -> str:
    """Plain paragraphs; indented lines (examples) become code."""
    paragraphs = _plain(text).split("\n\n")
    written: list[str] = []
    for paragraph in paragraphs:
        if paragraph.startswith("  "):
            written.append("```\n" + "\n".join(line.strip() for line in paragraph.splitlines()) + "\n```")
        else:
            written.append(paragraph)
    return "\n\n".join(written).replace("\n```\n\n```\n", "\n")


def _cell(text: str) -> str:
    return _plain(text).replace("|", "\\|").replace("\n", " ")


def settings() -> str:
    lines = [
        NOTE,
        "# Settings\n",
        "Read from, first wins: the command line, environment variables, `docfleet.toml` in the working directory",
        "(or the file `DOCFLEET_CONFIG` names), the defaults below. In `docfleet.toml` a section is a table,",
        "`[limits]`; lists are written as lists or as in the environment, `json,md`. See",
        "[Set limits](../how-to/set-limits.md).",
        "",
    ]
    for section, field in Settings.model_fields.items():
        kind = field.annotation
        assert isinstance(kind, type)
        assert issubclass(kind, BaseModel)
        lines += [f"## {section}", "", (kind.__doc__ or "").strip(), ""]
        lines += ["| setting | environment | default | meaning |", "|---|---|---|---|"]
        for name, one in kind.model_fields.items():
            default = one.default if one.default is not PydanticUndefined else ""
            shown = ",".join(default) if isinstance(default, tuple) else default
            variable = f"DOCFLEET_{section}__{name}".upper()
            value = f"`{shown}`" if str(shown) else ""
            lines.append(f"| `{section}.{name}` | `{variable}` | {value} | {_cell(one.description or '')} |")
        lines.append("")
    return "\n".join(lines)


def outcomes() -> str:
    lines = [
        NOTE,
        "# Outcomes and codes\n",
        "Every input ends as one of these, in `index.json`, `index.csv` and the report:",
        "",
        "| outcome | meaning |",
        "|---|---|",
        "| `succeeded` | every page was read |",
        "| `partial` | some pages were read; `outcome.json` says which were not, and why |",
        "| `failed` | nothing could be read; the code says why |",
        f"| `{PENDING}` | only after an interrupted run: not come to yet |",
        "| `cancelled` | given up: read under options that no longer hold, or needed by no input |",
        "",
        "Whatever is no success carries a stable code, a sentence for a person, and what to do. The same codes stand",
        "as `outcome` of single pages in `outcome.json`; a page that was read says `read`.",
        "",
        "*Retried*: the slice of pages is tried up to three times within the run. *Next run*: the same command looks",
        "again without being asked, because a password, a setting or the file itself may have changed; everything else",
        "that failed waits for `--retry-failed`. What is refused at intake is looked at in every run anyway.",
        "",
        "| code | what happened | what to do | retried | next run |",
        "|---|---|---|---|---|",
    ]
    for code, cls in document_error_codes().items():
        retried, again = ("yes" if flag else "no" for flag in (cls.retryable, code in CHEAP_CODES))
        lines.append(f"| `{code}` | {_cell(_meaning(cls))} | {_cell(cls.remedy)} | {retried} | {again} |")
    return "\n".join([*lines, "", *_requests(), ""])


def _requests() -> list[str]:
    """The codes a request to the service may be refused with."""
    lines = [
        "## Requests",
        "",
        "What the service refuses, it refuses with a problem (RFC 9457) that has one of these codes, or, for a",
        "document that cannot be read at all, one of those above with the status 422. *Again*: the same request may",
        "succeed later, after the time that `Retry-After` says.",
        "",
        "| code | status | what happened | what to do | again |",
        "|---|---|---|---|---|",
    ]
    known = {**request_error_codes(), LedgerUnavailable.code: LedgerUnavailable}
    for code, cls in sorted(known.items(), key=lambda item: (item[1].status, item[0])):
        again = "yes" if cls.retryable else "no"
        lines.append(f"| `{code}` | {cls.status} | {_cell(_meaning(cls))} | {_cell(cls.remedy)} | {again} |")
    return lines


def _meaning(cls: type[DocfleetError]) -> str:
    return (cls.__doc__ or "").strip()


def states() -> str:
    """States, and the moves between them that the database allows."""
    lines = [
        NOTE,
        "# States\n",
        "The database refuses every move that is not listed. Each change of state is an event, written in the same",
        "transaction; clients can follow them ([Use the API](../how-to/use-the-api.md)).",
        "",
    ]
    tables: list[tuple[str, type[StrEnum], Mapping[Any, frozenset[Any]]]] = [
        ("Documents", DocumentState, DOCUMENT_TRANSITIONS),
        ("Slices", SliceState, SLICE_TRANSITIONS),
    ]
    for title, kind, moves in tables:
        said = _comments(kind)
        lines += [f"## {title}", "", "| state | meaning | may become |", "|---|---|---|"]
        for state in kind:
            then = ", ".join(f"`{one}`" for one in kind if one in moves[state])
            lines.append(f"| `{state}` | {_cell(said[state.name])} | {then} |")
        lines.append("")
    return "\n".join(lines)


def _comments(kind: type[StrEnum]) -> dict[str, str]:
    """Name of each member -> the sentence below it in the source."""
    body = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0]
    assert isinstance(body, ast.ClassDef)
    said: dict[str, str] = {}
    for one, below in itertools.pairwise(body.body):
        if isinstance(one, ast.Assign) and isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
            name = one.targets[0]
            assert isinstance(name, ast.Name)
            said[name.id] = inspect.cleandoc(str(below.value.value)).replace("\n", " ")
    return said


def api() -> str:
    """Every route of the REST API, from its OpenAPI description."""
    schema = _openapi()
    lines = [
        NOTE,
        "# REST API\n",
        "The same, with every field and example, is at `/docs` and `/openapi.json` of a running service.",
        "[Use the API](../how-to/use-the-api.md) shows how; refusals are [problems](outcome-codes.md#requests). Any",
        f"request may be refused with {', '.join(f'`{cls.code}`' for cls in _USUAL)};",
        "the tables name what comes on top.",
        "",
    ]
    by_tag: dict[str, list[str]] = {}
    for path, method, operation in operations(schema):
        cells = (f"`{method.upper()} {path}`", _cell(operation["summary"]), _asked(operation), _refusals(operation))
        row = f"| {' | '.join(cells)} |"
        by_tag.setdefault(operation["tags"][0], []).append(row)
    for tag, rows in by_tag.items():
        lines += [f"## {tag}", "", "| route | what it does | permission | may refuse with |"]
        lines += ["|---|---|---|---|", *rows, ""]
    lines += ["## Roles", "", "What a key of each role may do, unless its scopes narrow it:", ""]
    lines += ["| role | permissions |", "|---|---|"]
    for role, permissions in PERMISSIONS.items():
        held = ", ".join(f"`{one}`" for one in Permission if one in permissions)
        lines.append(f"| `{role}` | {held} |")
    return "\n".join([*lines, ""])


_USUAL = (BadRequest, Unauthenticated, KeyExpired, Forbidden, PayloadTooLarge, RateLimited, LedgerUnavailable)
"""What any request may be refused with."""


def _refusals(operation: dict[str, Any]) -> str:
    """Codes beside the usual ones."""
    found: set[str] = set()
    for answer in operation["responses"].values():
        found |= set(answer.get("content", {}).get(PROBLEM_JSON, {}).get("examples", {}))
    return ", ".join(f"`{code}`" for code in sorted(found - {cls.code for cls in _USUAL}))


def _asked(operation: dict[str, Any]) -> str:
    need = operation.get(NEED, "")
    return {"public": "no key", "any_key": "any key"}.get(need, f"`{need}`")


def _openapi() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder, Ledger.open(Path(folder) / "ledger.db") as ledger:
        parts = ApiParts(ledger, Desk(ledger), Access(ledger), Webhooks(ledger), MemoryStore(), MasterKey.generate())
        return describe(make_app(parts))


def metrics() -> str:
    """Written by a file of its own."""
    page: str = runpy.run_path(str(Path(__file__).with_name("reference_metrics.py")))["page"](NOTE)
    return page


def _traces(page: str) -> Callable[[], str]:
    return lambda: str(runpy.run_path(str(Path(__file__).with_name("reference_traces.py")))[page](NOTE))


PAGES = {
    "cli.md": cli,
    "settings.md": settings,
    "outcome-codes.md": outcomes,
    "states.md": states,
    "api.md": api,
    "metrics.md": metrics,
    "spans.md": _traces("spans"),
    "log-events.md": _traces("log_events"),
}


def main() -> int:
    stale = []
    for name, write in PAGES.items():
        path, text = FOLDER / name, write()
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        stale.append(name)
        if "--check" not in sys.argv:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    if stale:
        print(("out of date, run `make docs`: " if "--check" in sys.argv else "written: ") + ", ".join(stale))
    return 1 if stale and "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
