"""Where cloud workers pin up how they do, for whoever looks: short-lived notes, never the truth about anything.

In the Redis that counts the quotas, or, for a service without one, in a folder that its processes on this machine
share. A note that cannot be pinned up or read is missed by nobody but the onlooker.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote, unquote

import msgspec

from docfleet.quota.keys import PREFIX
from docfleet.telemetry import logger

NOTES_FOLDER = "cloud-notes"
"""Below the data folder of a service without a Redis."""
FRESH_SECONDS = 30.0
"""Notes that were not renewed for so long are nobody's any more."""
_KEPT_SECONDS = 3600
NOTES = f"{PREFIX}notes"
"""Hash: the note of each worker."""
NOTED = f"{PREFIX}noted"
"""Sorted set: when each of them was pinned up, by the server's clock."""
_PIN = """
local now = tonumber(redis.call('TIME')[1])
for _, name in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now - tonumber(ARGV[3]))) do
  redis.call('HDEL', KEYS[1], name)
  redis.call('ZREM', KEYS[2], name)
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[2], now, ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[3])
redis.call('EXPIRE', KEYS[2], ARGV[3])
return 1
"""
_log = logger("quota")


class Note(msgspec.Struct, frozen=True):
    author: str
    age_seconds: float
    text: bytes


class Board(Protocol):
    """Of notes, one for each author. Threads may share one."""

    def pin(self, author: str, text: bytes) -> None:
        """In place of the author's last one. Raises nothing."""
        ...

    def take_down(self, author: str) -> None:
        """Raises nothing."""
        ...

    def notes(self) -> list[Note]:
        """The fresh ones, by author. Raises the errors of its Redis; a folder that is not there has none."""
        ...


class RedisBoard:
    """`client` gives up soon and never tries again by itself."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._pin = client.register_script(_PIN)

    def pin(self, author: str, text: bytes) -> None:
        self._quietly(lambda: self._pin(keys=[NOTES, NOTED], args=[author, text, _KEPT_SECONDS]))

    def take_down(self, author: str) -> None:
        def drop() -> None:
            with self._client.pipeline(transaction=False) as pipeline:
                pipeline.hdel(NOTES, author)
                pipeline.zrem(NOTED, author)
                pipeline.execute()

        self._quietly(drop)

    def notes(self) -> list[Note]:
        with self._client.pipeline(transaction=False) as pipeline:
            pipeline.time()
            pipeline.zrange(NOTED, 0, -1, withscores=True)
            pipeline.hgetall(NOTES)
            (seconds, _), times, texts = pipeline.execute()
        found = [
            Note(author.decode(), max(0.0, int(seconds) - at), texts[author])
            for author, at in times
            if author in texts and int(seconds) - at <= FRESH_SECONDS
        ]
        return sorted(found, key=lambda note: note.author)

    @staticmethod
    def _quietly(what: Callable[[], object]) -> None:
        import redis

        try:
            what()
        except (redis.RedisError, OSError) as error:
            # that it is away is told by whoever counts quotas in it
            _log.debug("note_not_pinned", error=error)


class FolderBoard:
    """One file for each note; who may read the folder may read them."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        self._folder = folder
        self._clock = clock

    def pin(self, author: str, text: bytes) -> None:
        half = self._folder / f".{quote(author, safe='')}.half"
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with open(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(text)
            half.replace(self._path(author))
            for path in self._folder.glob("*.json"):
                if self._age(path) > _KEPT_SECONDS:
                    path.unlink(missing_ok=True)
        except OSError as error:
            _log.debug("note_not_pinned", error=error)

    def take_down(self, author: str) -> None:
        try:
            self._path(author).unlink(missing_ok=True)
        except OSError as error:
            _log.debug("note_not_pinned", error=error)

    def notes(self) -> list[Note]:
        found = []
        for path in sorted(self._folder.glob("*.json")):
            try:
                age, text = self._age(path), path.read_bytes()
            except OSError:
                continue  # taken down just now
            if age <= FRESH_SECONDS:
                found.append(Note(unquote(path.stem), age, text))
        return sorted(found, key=lambda note: note.author)

    def _path(self, author: str) -> Path:
        # a name of dots alone would be another folder
        return self._folder / f"{quote(author, safe='')}.json"

    def _age(self, path: Path) -> float:
        return max(0.0, self._clock() - path.stat().st_mtime)


def open_board(client: Any | None, data_folder: Path) -> Board:
    """`client`: the Redis that counts the quotas, or None: below the folder with the service's data."""
    return FolderBoard(data_folder / NOTES_FOLDER) if client is None else RedisBoard(client)
