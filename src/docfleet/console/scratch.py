"""Plain copies of documents the console needs for a moment: bounded, private, and gone when nobody looks any more.

What lies here is decrypted. It is in a folder only this user can enter, leaves it when it has not been used for a
while, when there is too much of it, when its document is deleted from here, and when the process ends. What a killed
process left is removed by the next one: whoever uses a folder holds a lock on it.
"""

from __future__ import annotations

import asyncio
import atexit
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from docfleet.console.problems import ApiProblem

_PREFIX = "docfleet-console-"
_LOCK = "lock"
MEBIBYTE = 1024 * 1024
Fill = Callable[[Path], Awaitable[None]]


def scratch_full() -> ApiProblem:
    return ApiProblem(
        507, "scratch_full", "No room to show the document",
        "There is no room on the console's disk to show the document.",
        "Close other documents, or give the console's temporary folder more room.",
    )  # fmt: skip


class _Entry:
    def __init__(self, path: Path, owner: str) -> None:
        self.path = path
        self.owner = owner
        self.lock = asyncio.Lock()
        self.size = 0
        self.used_at = 0.0
        self.holders = 0
        self.is_filled = False
        self.is_forgotten = False


class Scratch:
    """Files by key, each made once however many ask. For one event loop."""

    def __init__(
        self,
        max_bytes: int = 2048 * MEBIBYTE,
        max_age_seconds: float = 600.0,
        clock: Callable[[], float] = time.monotonic,
        parent: Path | None = None,
    ) -> None:
        """`parent`: where its folder is made; the system's place for temporary files when not given."""
        self.max_bytes = max_bytes
        self._max_age = max_age_seconds
        self._clock = clock
        self._entries: dict[str, _Entry] = {}
        self._count = 0
        place = parent or Path(tempfile.gettempdir())
        remove_left_behind(place)
        self.folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=place))
        self._lock = os.open(self.folder / _LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self._owner_pid = os.getpid()
        self._timer: asyncio.TimerHandle | None = None
        atexit.register(self.close)

    @property
    def size_bytes(self) -> int:
        return sum(entry.size for entry in self._entries.values())

    @asynccontextmanager
    async def held(self, key: str, owner: str, fill: Fill) -> AsyncIterator[Path]:
        """The file under `key`, made by `fill` if it is not there; it stays as long as the block runs.

        `owner`: what `forget` is called with. Raises what `fill` raises, then nothing is kept, and `ApiProblem` when
        the disk is full.
        """
        entry = self._entries.get(key)
        if entry is None:
            self._count += 1
            entry = self._entries[key] = _Entry(self.folder / f"{self._count:x}", owner)
        entry.holders += 1
        try:
            async with entry.lock:
                if not entry.is_filled:
                    await self._fill(entry, fill)
            entry.used_at = self._clock()
            yield entry.path
        finally:
            entry.holders -= 1
            entry.used_at = self._clock()
            if not entry.is_filled or entry.is_forgotten:
                self._drop(key, entry)
            self._sweep_later()

    async def _fill(self, entry: _Entry, fill: Fill) -> None:
        try:
            await fill(entry.path)
        except OSError as error:
            raise scratch_full() from error
        finally:
            with suppress(OSError):
                entry.size = entry.path.stat().st_size
        entry.is_filled = True
        self.sweep()

    def forget(self, owner: str) -> None:
        """Whatever there is of this owner goes now, or when the last who holds it is done."""
        for key, entry in list(self._entries.items()):
            if entry.owner == owner:
                entry.is_forgotten = True
                self._drop(key, entry)

    def sweep(self) -> None:
        """Removes what is too old, and the longest unused beyond the room there is; never what is held."""
        now = self._clock()
        idle = sorted((e.used_at, key, e) for key, e in self._entries.items() if not e.holders)
        size = self.size_bytes
        for used_at, key, entry in idle:
            if now - used_at >= self._max_age or size > self.max_bytes:
                size -= entry.size
                self._drop(key, entry)

    def close(self) -> None:
        """Removes everything. Closing twice does nothing."""
        atexit.unregister(self.close)
        if self._timer is not None:
            self._timer.cancel()
        if self._lock < 0 or os.getpid() != self._owner_pid:
            return
        self._entries.clear()
        shutil.rmtree(self.folder, ignore_errors=True)
        os.close(self._lock)
        self._lock = -1

    def _drop(self, key: str, entry: _Entry) -> None:
        if self._entries.get(key) is entry:
            del self._entries[key]
        if not entry.holders:
            entry.path.unlink(missing_ok=True)
            entry.size = 0

    def _sweep_later(self) -> None:
        """Nobody may ask again, and what is here must go all the same."""
        if self._timer is None and self._lock >= 0:
            self._timer = asyncio.get_running_loop().call_later(self._max_age + 1, self._sweep_on_time)

    def _sweep_on_time(self) -> None:
        self._timer = None
        self.sweep()
        if self._entries:
            self._sweep_later()


def remove_left_behind(place: Path) -> int:
    """Removes folders of processes that are gone; returns how many."""
    removed = 0
    for folder in place.glob(f"{_PREFIX}*"):
        try:
            if folder.stat().st_uid != os.getuid() or folder.is_symlink():
                continue
            lock = os.open(folder / _LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            continue  # not ours, or just being made
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
            removed += 1
        except OSError:
            pass  # in use
        finally:
            os.close(lock)
    return removed
