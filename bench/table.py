"""One row of the benchmark's table, and the table as text and as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    what: str
    docfleet: str
    peer: str
    target: str
    holds: bool | None
    """None: stated without a target, or not measured (then `docfleet` or `peer` says why)."""

    @property
    def verdict(self) -> str:
        return {True: "yes", False: "NO", None: "-"}[self.holds]


HEAD = ("what", "docfleet", "peer", "target", "holds")


def _cells(row: Row) -> tuple[str, ...]:
    return (row.what, row.docfleet, row.peer, row.target, row.verdict)


def as_text(rows: Sequence[Row]) -> str:
    lines = [HEAD, *map(_cells, rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(HEAD))]
    shown = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    return "\n".join([shown[0], "  ".join("-" * width for width in widths), *shown[1:]])


def as_markdown(rows: Sequence[Row]) -> str:
    lines = ["| " + " | ".join(HEAD) + " |", "|" + "---|" * len(HEAD)]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in _cells(row)) + " |" for row in rows]
    return "\n".join(lines)
