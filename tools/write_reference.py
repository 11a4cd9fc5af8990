"""Writes the reference pages that are generated from the code; `--check` fails when one is out of date."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click
import typer
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from docfleet.cli.main import app
from docfleet.errors import DocumentError, document_error_codes
from docfleet.settings import Settings

FOLDER = Path(__file__).parent.parent / "docs" / "reference"
NOTE = "<!-- Written by `make docs` from the code; do not edit. -->\n"


def cli() -> str:
    root = typer.main.get_command(app)
    assert isinstance(root, click.Group)
    parts = [NOTE, "# Command line\n", _help(root, "docfleet")]
    for name, command in sorted(root.commands.items()):
        parts.append(f"## docfleet {name}\n\n{_help(command, f'docfleet {name}')}")
    return "\n".join(parts)


def _help(command: click.Command, name: str) -> str:
    lines = [_plain(command.help or ""), "", "```", f"{name} {_usage(command)}".strip(), "```", ""]
    rows = [row for parameter in command.params for row in _parameter(parameter)]
    if rows:
        lines += ["| option | what it does | default |", "|---|---|---|", *rows, ""]
    if command.epilog:
        lines += [_plain(command.epilog), ""]
    return "\n".join(lines)


def _usage(command: click.Command) -> str:
    arguments = [
        f"{p.human_readable_name.upper()}{'...' if p.nargs == -1 else ''}" for p in command.params if _is_argument(p)
    ]
    return " ".join([*(["[OPTIONS]"] if len(arguments) < len(command.params) else []), *arguments])


def _is_argument(parameter: click.Parameter) -> bool:
    return parameter.param_type_name == "argument"


def _parameter(parameter: click.Parameter) -> Iterator[str]:
    if getattr(parameter, "hidden", False):
        return
    name = parameter.human_readable_name.upper() if _is_argument(parameter) else ", ".join(parameter.opts)
    default = parameter.default
    shown = "" if default in (None, False, (), []) or callable(default) else f"`{default}`"
    yield f"| `{name}` | {_cell(getattr(parameter, 'help', '') or '')} | {shown} |"


def _plain(text: str) -> str:
    """Rich's markup left out."""
    from rich.text import Text

    return Text.from_markup(text).plain.strip()


def _cell(text: str) -> str:
    return _plain(text).replace("|", "\\|").replace("\n", " ")


def settings() -> str:
    lines = [
        NOTE,
        "# Settings\n",
        "Read from, first wins: the command line, environment variables, `docfleet.toml` in the working directory",
        "(or the file `DOCFLEET_CONFIG` names), the defaults below. In `docfleet.toml` a section is a table: `[limits]`.",
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
            lines.append(f"| `{section}.{name}` | `{variable}` | `{shown}` | {_cell(one.description or '')} |")
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
        "",
        "Whatever is no success carries a stable code, a sentence for a person, and what to do:",
        "",
        "| code | what happened | what to do | tried again by itself |",
        "|---|---|---|---|",
    ]
    for code, cls in document_error_codes().items():
        lines.append(
            f"| `{code}` | {_cell(_meaning(cls))} | {_cell(cls.remedy)} | {'yes' if cls.retryable else 'no'} |"
        )
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
