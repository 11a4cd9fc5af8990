"""The slots of one supervisor: started, handed out, watched, worn out, replaced."""

from __future__ import annotations

import fcntl
import os
import select
import shutil
import stat
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from docfleet.telemetry import logger
from docfleet.worker.messages import Ended, Ready, SlotConfig
from docfleet.worker.process_facts import ProcessFacts, facts_of
from docfleet.worker.slot_process import SlotProcess

START_SECONDS = 60.0
"""A slot that is not ready by then is replaced."""
UNANSWERED_SECONDS = 30.0
"""A slot that has not said so long whether there was something to claim is replaced: it hears nothing any more."""
DROP_SECONDS = 10.0
"""A slot that still works on a lost slice after this is replaced: nobody wants its work, others wait for the slot."""
_RESPAWN_SECONDS = 0.5
"""Pause before the next start of a slot that died before it was ready; doubles up to `_SLOWEST_RESPAWN`."""
_SLOWEST_RESPAWN = 15.0

log = logger("worker")


class SlotLimits(msgspec.Struct, frozen=True):
    """Times in seconds."""

    slice_seconds: float
    memory_bytes: int
    recycle_slices: int
    recycle_bytes: int
    stopped_seconds: float
    """A slot that was stopped (SIGSTOP) loses its lease after a while, and is replaced before that."""


class Slots:
    """Hands out free slots to threads, one each. `tend` is for one thread alone, which must live as long as the slots:
    Linux ties a process to the thread that started it."""

    def __init__(
        self,
        count: int,
        make: Callable[[int, int], SlotConfig],
        limits: SlotLimits,
        on_death: Callable[[SlotProcess], None],
    ) -> None:
        """`make(number, serial)`: how a slot is configured; `on_death` is told of one that died holding nothing."""
        self.count = count
        self._make = make
        self._limits = limits
        self._on_death = on_death
        self._changed = threading.Condition()
        self._starting: list[SlotProcess] = []
        self._free: list[SlotProcess] = []
        self._busy: list[SlotProcess] = []
        self._retiring: list[SlotProcess] = []
        self._serial = 0
        self._closed = False
        self._early_deaths = 0
        self._start_after = 0.0

    # --- for those who work

    def take(self, seconds: float | None = None) -> SlotProcess | None:
        """A free slot; None when there is none within `seconds`, or no more are handed out."""
        with self._changed:
            self._changed.wait_for(lambda: self._free or self._closed, seconds)
            if self._closed or not self._free:
                return None
            slot = self._free.pop()
            slot.taken_at = time.monotonic()
            self._busy.append(slot)
            return slot

    def give_back(self, slot: SlotProcess, ended: Ended) -> None:
        """The slot is free again, or, when it is worn out, ends as soon as another can take its place."""
        slot.holding = None
        if ended.slices >= self._limits.recycle_slices or ended.resident_bytes > self._limits.recycle_bytes:
            slot.is_worn = True
        with self._changed:
            self._busy.remove(slot)
            if slot.is_worn and self._fresh() >= self.count:
                self._retiring.append(slot)
                return
            self._free.append(slot)
            self._changed.notify()

    def _fresh(self) -> int:
        return sum(not slot.is_worn for slot in (*self._free, *self._busy))

    def bury(self, slot: SlotProcess) -> None:
        """The slot died in the hands of whoever had taken it."""
        slot.holding = None
        with self._changed:
            self._busy.remove(slot)
        shutil.rmtree(slot.scratch, ignore_errors=True)

    def close(self) -> None:
        """No more are handed out."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    # --- asking

    def busy(self) -> list[SlotProcess]:
        with self._changed:
            return list(self._busy)

    def all(self) -> list[SlotProcess]:
        with self._changed:
            return [*self._starting, *self._free, *self._busy, *self._retiring]

    def idle_count(self) -> int:
        with self._changed:
            return len(self._free)

    # --- for the thread that tends them

    def tend(self, seconds: float) -> None:
        """Starts what is missing, takes in what is ready, replaces what is worn or dead, kills what is past its limits;
        waits for news up to `seconds`."""
        self._start_missing()
        self._await_ready(seconds)
        self._drop_dead()
        self._retire_worn()
        self._enforce_limits()

    def _start_missing(self) -> None:
        with self._changed:
            if self._closed or time.monotonic() < self._start_after:
                return
            fresh = sum(not slot.is_worn for slot in (*self._starting, *self._free, *self._busy))
            missing = self.count - fresh
        for _ in range(missing):
            self._serial += 1
            number = self._free_number()
            try:
                slot = SlotProcess(self._make(number, self._serial), number)
            except OSError as error:
                # no process, memory or file is left to have: that passes
                log.error("slot_not_started", error=error)
                self._start_after = time.monotonic() + _SLOWEST_RESPAWN
                return
            with self._changed:
                self._starting.append(slot)

    def _free_number(self) -> int:
        taken = {slot.number for slot in self.all() if not slot.is_worn}
        return next(number for number in range(self.count) if number not in taken)

    def _await_ready(self, seconds: float) -> None:
        starting = {slot.reply_fd: slot for slot in self._starting}
        if not starting:
            time.sleep(seconds)
            return
        readable, _, _ = select.select(list(starting), [], [], seconds)
        for fd in readable:
            slot = starting[fd]
            if isinstance(slot.receive(), Ready):
                self._early_deaths = 0
                with self._changed:
                    self._starting.remove(slot)
                    self._free.append(slot)
                    self._changed.notify()
        for slot in self._starting:
            if time.monotonic() - slot.started_at > START_SECONDS:
                slot.kill("did_not_start")

    def _drop_dead(self) -> None:
        with self._changed:
            early = [slot for slot in self._starting if slot.process.poll() is not None]
            dead = [slot for slot in self._free if slot.process.poll() is not None] + early
            self._starting = [slot for slot in self._starting if slot not in dead]
            self._free = [slot for slot in self._free if slot not in dead]
        for slot in dead:
            log.warning("slot_died", slot=slot.name, exit_code=slot.reap(), working=False)
            shutil.rmtree(slot.scratch, ignore_errors=True)
            self._on_death(slot)
        if early:
            pause = min(_SLOWEST_RESPAWN, _RESPAWN_SECONDS * 2.0 ** min(self._early_deaths, 8))
            self._early_deaths += 1
            self._start_after = time.monotonic() + pause

    def _retire_worn(self) -> None:
        """Ends worn slots that are free, once as many fresh ones are there."""
        with self._changed:
            worn = [slot for slot in self._free if slot.is_worn] if self._fresh() >= self.count else []
            self._free = [slot for slot in self._free if slot not in worn]
            worn += self._retiring
            self._retiring = []
        for slot in worn:
            log.info("slot_recycled", slot=slot.name)
            slot.close_orders()
            slot.reap()
            shutil.rmtree(slot.scratch, ignore_errors=True)

    def _enforce_limits(self) -> None:
        now = time.monotonic()
        with self._changed:
            free, busy = list(self._free), list(self._busy)
        for slot in free:
            self._end_stopped(slot, facts_of(slot.pid), now)
        for slot in busy:
            facts, holding = facts_of(slot.pid), slot.holding
            self._end_stopped(slot, facts, now)
            if facts is not None and facts.resident_bytes > self._limits.memory_bytes:
                slot.kill("out_of_memory")
            elif holding is None and now - slot.taken_at > UNANSWERED_SECONDS:
                slot.kill("unanswered")
            elif holding is not None and now - holding.since > self._limits.slice_seconds:
                slot.kill("timed_out")
            elif holding is not None and holding.lost_at is not None and now - holding.lost_at > DROP_SECONDS:
                slot.kill("lost")

    def _end_stopped(self, slot: SlotProcess, facts: ProcessFacts | None, now: float) -> None:
        if facts is None or not facts.is_stopped:
            slot.stopped_at = None
        elif slot.stopped_at is None:
            slot.stopped_at = now
        elif now - slot.stopped_at > self._limits.stopped_seconds:
            slot.kill("stopped")

    def end(self, seconds: float) -> None:
        """Tells all to stop and kills those that do not within `seconds`. Whoever has a busy one hears of its death."""
        self.close()
        slots = self.all()
        for slot in slots:
            slot.close_orders()
        deadline = time.monotonic() + seconds
        while any(slot.process.poll() is None for slot in slots) and time.monotonic() < deadline:
            time.sleep(0.02)
        for slot in slots:
            slot.kill("supervisor_stopped")
        with self._changed:
            unattended = [*self._starting, *self._free, *self._retiring]
            self._starting, self._free, self._retiring = [], [], []
        for slot in unattended:
            slot.reap()
            shutil.rmtree(slot.scratch, ignore_errors=True)


def scratch_folder(root: Path, supervisor: str) -> Path:
    """A private folder for plain copies of documents, below `root`; what dead supervisors left there is removed.

    This process holds the folder by a lock until it ends, however it ends: a process number tells nothing, since in a
    container that is started again the next supervisor has the same one.
    """
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not _is_mine_alone(root):
        # the name is known to everybody, and whoever made it first could look into it, or exchange what is in it
        log.warning("scratch_not_private", folder=str(root))
        root = Path(tempfile.mkdtemp(prefix=f"{root.name}-", dir=root.parent))
    guard = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(guard, fcntl.LOCK_EX)  # nobody takes a folder for left that is just being made
        for entry in root.iterdir():
            if not _is_held(entry):
                log.info("scratch_removed", folder=entry.name)
                shutil.rmtree(entry, ignore_errors=True)
        folder = root / f"{os.getpid()}-{supervisor.rpartition('-')[2]}"
        folder.mkdir(mode=0o700)
        fcntl.flock(os.open(folder, os.O_RDONLY | os.O_DIRECTORY), fcntl.LOCK_EX)
    finally:
        os.close(guard)
    return folder


def _is_held(folder: Path) -> bool:
    try:
        held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return False
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(held)
    return False


def _is_mine_alone(folder: Path) -> bool:
    facts = folder.lstat()
    return stat.S_ISDIR(facts.st_mode) and facts.st_uid == os.getuid() and not facts.st_mode & 0o077
