"""Part of a name, whatever its case: the same on both databases.

What `lower` makes of letters beyond ASCII differs between SQLite, which knows none, and Postgres, which goes by the
locale a cluster was made with. So neither is asked of those: the text becomes a pattern in which every letter stands
for all its cases (`[äÄ]`), which both compare character by character. ASCII is left to LIKE, several times as fast.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from functools import cache
from typing import Any

from sqlalchemy import Boolean, ColumnElement, bindparam, or_
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

_GLOB_SIGNS = frozenset("*?[")
_CASED = 0x20000
"""Letters beyond the first two planes have one case."""


def has_part(column: ColumnElement[str], part: str) -> ColumnElement[bool]:
    """Whether `part` stands somewhere in the column, letter by letter without regard to case.

    Composed and decomposed letters (NFC, NFD: names of files that come from a Mac) are found by either way of writing;
    a letter that is two in the other case (ß, SS) is not those.
    """
    if part.isascii():
        return _is_like(column, bindparam(None, like_of(part)))
    written = dict.fromkeys((part, unicodedata.normalize("NFC", part), unicodedata.normalize("NFD", part)))
    return or_(*(_matches(column, bindparam(None, glob_of(one)), bindparam(None, regex_of(one))) for one in written))


def like_of(part: str) -> str:
    """A pattern for LIKE with the escape /."""
    return "%" + re.sub("[/%_]", r"/\g<0>", part) + "%"


def glob_of(part: str) -> str:
    """A pattern for SQLite's GLOB."""
    return f"*{''.join(_class_of(c) or (f'[{c}]' if c in _GLOB_SIGNS else c) for c in part)}*"


def regex_of(part: str) -> str:
    """A regular expression for Postgres; nothing in it repeats, so none takes long."""
    return "".join(_class_of(c) or (re.escape(c) if c.isascii() and not c.isalnum() else c) for c in part)


def _class_of(letter: str) -> str:
    """All its cases in brackets; empty where there is one."""
    cases = {letter.lower(), letter.upper()} if letter.isascii() else _cases().get(letter.casefold(), ())
    return f"[{''.join(sorted(cases))}]" if len(cases) > 1 else ""


@cache
def _cases() -> dict[str, tuple[str, ...]]:
    """Letters by what Unicode folds them to."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for letter in map(chr, range(_CASED)):
        if (folded := letter.casefold()) != letter:
            found[folded].append(letter)
    return {folded: (*letters, *(folded if len(folded) == 1 else ())) for folded, letters in found.items()}


class _matches(FunctionElement[bool]):
    """column, pattern for GLOB, regular expression"""

    type = Boolean()
    inherit_cache = True
    name = "name_matches"


@compiles(_matches, "sqlite")
def _glob_in_sqlite(element: Any, compiler: Any, **options: Any) -> str:
    column, glob, _ = element.clauses
    return f"({compiler.process(column, **options)} GLOB {compiler.process(glob, **options)})"


@compiles(_matches, "postgresql")
def _regex_in_postgres(element: Any, compiler: Any, **options: Any) -> str:
    column, _, regex = element.clauses
    return f"({compiler.process(column, **options)} ~ {compiler.process(regex, **options)})"


class _is_like(FunctionElement[bool]):
    """column, pattern for LIKE: letters of ASCII in any case"""

    type = Boolean()
    inherit_cache = True
    name = "is_like"


@compiles(_is_like, "sqlite")
def _like_in_sqlite(element: Any, compiler: Any, **options: Any) -> str:
    column, like = element.clauses
    return f"({compiler.process(column, **options)} LIKE {compiler.process(like, **options)} ESCAPE '/')"


@compiles(_is_like, "postgresql")
def _like_in_postgres(element: Any, compiler: Any, **options: Any) -> str:
    column, like = element.clauses
    # under the locale of a cluster an I may have another small letter
    return f"({compiler.process(column, **options)} COLLATE \"C\" ILIKE {compiler.process(like, **options)} ESCAPE '/')"
