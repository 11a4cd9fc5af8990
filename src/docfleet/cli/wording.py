"""Numbers and their nouns."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """ "1 page", "2 pages"."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
