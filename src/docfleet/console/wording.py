"""Small words for figures."""

from __future__ import annotations

from docfleet.console.figures import count


def counted(number: float, noun: str) -> str:
    """1, "call" -> "1 call"; 2,000 -> "2,000 calls"."""
    return f"{count(number)} {noun}{'' if round(number) == 1 else 's'}"
