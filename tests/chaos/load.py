"""The clients of a chaos run: each document under its own key until it is answered, and a log of every 202."""

from __future__ import annotations

import itertools
import queue
import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from chaos.auditor import Acceptance
from chaos.corpus import Item
from docfleet.client import Client
from docfleet.errors import DocfleetError, ServiceUnreachable


class Load:
    """Submits `items` at a steady rate by a few threads, to whichever API answers."""

    def __init__(
        self, urls: Sequence[str], api_key: str, log: Path, engine: str, per_second: float, threads: int = 4
    ) -> None:
        self._urls, self._key, self._engine, self._pace = list(urls), api_key, engine, 1.0 / per_second
        self._log = log.open("ab", buffering=0)
        self._lock = threading.Lock()
        self._items: queue.Queue[Item | None] = queue.Queue(maxsize=threads * 2)
        self._threads = [
            threading.Thread(target=self._submit, args=(number,), daemon=True) for number in range(threads)
        ]
        self.accepted: dict[str, Item] = {}
        self.accept_times: list[float] = []
        self.refused: list[tuple[Item, str]] = []
        self.repeats = 0
        self.seconds: list[float] = []

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def feed(self, items: Iterable[Item]) -> None:
        """Blocks until all have been handed to the threads, at the wanted rate."""
        begun = time.monotonic()
        for number, item in enumerate(items):
            time.sleep(max(0.0, begun + number * self._pace - time.monotonic()))
            self._items.put(item)

    def finish(self) -> None:
        for _ in self._threads:
            self._items.put(None)
        for thread in self._threads:
            thread.join()
        self._log.close()

    def _submit(self, number: int) -> None:
        urls = itertools.cycle(self._urls[number % len(self._urls) :] + self._urls[: number % len(self._urls)])
        clients = {url: Client(url, self._key, timeout=20, retry_seconds=0.0) for url in self._urls}
        while (item := self._items.get()) is not None:
            self._until_answered(item, urls, clients)

    def _until_answered(self, item: Item, urls: Iterable[str], clients: dict[str, Client]) -> None:
        begun = time.monotonic()
        for attempt, url in enumerate(urls):
            try:
                answer = clients[url].submit(
                    item.data, name=item.name, priority=item.priority, engine=self._engine,
                    idempotency_key=f"chaos-{item.number}",
                )  # fmt: skip
            except DocfleetError as error:
                if not (isinstance(error, ServiceUnreachable) or error.retryable):
                    with self._lock:
                        self.refused.append((item, f"{error.code}: {error}"))
                    return
                self.repeats += 1
                time.sleep(min(1.0, 0.05 * 2 ** min(attempt, 5)))
                continue
            self._note(item, answer.id, time.monotonic() - begun)
            return

    def _note(self, item: Item, document_id: str, seconds: float) -> None:
        now = time.time()
        line = Acceptance(now, f"chaos-{item.number}", document_id, item.sha256, item.states, item.codes)
        with self._lock, suppress(ValueError):
            self._log.write(msgspec.json.encode(line) + b"\n")
            self.accepted[document_id] = item
            self.accept_times.append(now)
            self.seconds.append(seconds)
