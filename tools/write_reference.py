"""Writes the reference pages that are generated from the code; `--check` fails when one is out of date."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from pydantic import BaseModel
from pydantic_core import PydanticUndefined
from rich.text import Text

from docfleet.cli.main import app
from docfleet.errors import DocumentError, document_error_codes
from docfleet.settings import Settings
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
    options = ["[OPTIONS]"] if len(arguments) < len(command.params) else []
    return " ".join([*options, *arguments, *(["|".join(commands)] if commands else [])])


def _argument(parameter: Any) -> str:
    return f"{parameter.name.upper()}{'...' if parameter.nargs == -1 else ''}"


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
    return "\n".join([*lines, ""])


def _meaning(cls: type[DocumentError]) -> str:
    return (cls.__doc__ or "").strip()


PAGES = {"cli.md": cli, "settings.md": settings, "outcome-codes.md": outcomes}


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
