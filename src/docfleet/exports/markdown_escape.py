"""Text into Markdown that reads back as the same text (CommonMark 0.31 with GitHub's tables and strike-through)."""

from __future__ import annotations

import re

_ALWAYS = re.compile(r"[\\`*\[\]<|~]")
_UNDERSCORE = re.compile(r"(?<![^\W_])_|_(?![^\W_])")
_ENTITY = re.compile(r"&(?=#?\w+;)")
_LINE_START = re.compile(r"^(?:(#{1,6})(?=\s|$)|([-+=>])|(\d{1,9})([.)])(?=\s|$))")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_CLOSING_HASHES = re.compile(r"(#+)$")


def plain(text: str) -> str:
    """One line: white space of any kind becomes single spaces, control characters vanish."""
    return " ".join(_CONTROL.sub(" ", text).split())


def escape_inline(text: str) -> str:
    """Escapes what means something anywhere in a line. An underscore inside a word means nothing and stays."""
    text = _ALWAYS.sub(lambda found: "\\" + found[0], text)
    text = _UNDERSCORE.sub(r"\\_", text)
    return _ENTITY.sub(r"\\&", text)


def escape_line(text: str) -> str:
    """One line of body text: `escape_inline`, and what would make a heading, list, quote or rule at its start."""
    return _LINE_START.sub(_escape_start, escape_inline(plain(text)), count=1)


def _escape_start(found: re.Match[str]) -> str:
    hashes, mark, number, stop = found.groups()
    if hashes:
        return "\\" + hashes
    return "\\" + mark if mark else f"{number}\\{stop}"


def escape_heading(text: str) -> str:
    """The content of an ATX heading: number signs at its end would vanish."""
    return _CLOSING_HASHES.sub(lambda found: "\\" + found[0], escape_inline(plain(text)))


def escape_cell(text: str) -> str:
    """A table cell on one line; a pipe is an entity, because readers disagree about escaped backslashes before it."""
    return escape_inline(plain(text)).replace("\\|", "&#124;")


def comment(text: str) -> str:
    """An HTML comment; what would end it early is broken up."""
    content = re.sub(r"-(?=-|$)", "- ", plain(text)).replace(">", "&gt;")
    return f"<!-- {content} -->"
