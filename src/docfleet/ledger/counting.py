"""How many statements a ledger sends, for benchmarks and for tests that keep the figure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event

from docfleet.ledger.ledger import Ledger


@contextmanager
def counting_statements(ledger: Ledger) -> Iterator[Counter[str]]:
    """First word -> how many were sent within the block, by all threads; one for many rows counts once."""
    counted: Counter[str] = Counter()

    def count(connection: Any, cursor: Any, statement: str, *more: Any) -> None:
        counted[statement.split(None, 1)[0].upper()] += 1

    event.listen(ledger.engine, "before_cursor_execute", count)
    try:
        yield counted
    finally:
        event.remove(ledger.engine, "before_cursor_execute", count)
