"""One seeded run: clients, two dispatchers, two supervisors with their slots, Redis, and a nemesis at every step.

Every actor is a generator that yields the seconds until it goes on, between any two transactions and messages; that
is where it may be killed, or stopped for longer than a lease and woken again. Time is a number, so that a minute of a
storm takes milliseconds. Equal seeds give equal runs.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Generator, Iterator
from itertools import count
from typing import Any

import msgspec

from chaos.book import Book, Held, Stale
from chaos.checker import Checker, Expected
from docfleet.domain.work import DocumentState, Step
from docfleet.worker.direct_mode import IDLE_LOOK_SECONDS

BEAT_SECONDS = 3.0
SLICE_PAGES = 4
PATIENCE_SECONDS = 30.0
SLOTS = 2
WINDOW = 8

Life = Generator[float, None, None]


class Faults(msgspec.Struct, frozen=True):
    """What goes wrong, and how often. Shares are per step of an actor while the storm lasts."""

    kill: float = 0.02
    pause: float = 0.006
    storm_seconds: float = 40.0
    poison: float = 0.15
    """Share of the documents that kill whoever reads them."""
    redis: bool = True
    repair: bool = True
    two_leaders: bool = False


class Nature(msgspec.Struct, frozen=True):
    """What a document is like, known to its reader alone."""

    pages: int
    poison_page: int = 0
    unreadable: bool = False
    flaky: bool = False


GOOD = Expected(frozenset({DocumentState.SUCCEEDED}))


def expect(nature: Nature) -> Expected:
    if nature.unreadable:
        return Expected(frozenset({DocumentState.FAILED}), frozenset({"unreadable"}))
    if nature.poison_page:
        ends = {DocumentState.FAILED} if nature.pages == 1 else {DocumentState.PARTIAL, DocumentState.FAILED}
        return Expected(frozenset(ends), frozenset({"worker_died"}))
    return GOOD


class Redis:
    """A list of hints that may forget everything."""

    def __init__(self) -> None:
        self.hints: list[int] = []
        self.has_epoch = False
        self.is_up = True

    def wipe(self) -> None:
        self.hints.clear()
        self.has_epoch = False


class Actor:
    """A process or thread. `life` makes it anew from what survives."""

    def __init__(self, name: str, life: Callable[[Any], Life]) -> None:
        self.name = name
        self.steps = life(self)
        self.is_alive = True
        self.paused_until = 0.0


class Slot(Actor):
    def __init__(self, name: str, life: Callable[[Any], Life]) -> None:
        super().__init__(name, life)
        self.held: Held | None = None


class Supervisor(Actor):
    def __init__(self, name: str, life: Callable[[Any], Life]) -> None:
        super().__init__(name, life)
        self.slots: list[Slot] = []
        self.dead: list[Slot] = []


class Died(Exception):
    """What a slot works on kills it."""


class World:
    """Runs one seed over a book; `violations` tells what went wrong."""

    def __init__(self, book: Book, seed: int, faults: Faults = Faults(), documents: int = 6) -> None:  # noqa: B008
        self.book, self.faults = book, faults
        self.random = random.Random(seed)
        self.checker = Checker()
        self.redis = Redis()
        self.stored: set[str] = set()
        self.receipts: dict[tuple[str, str], str] = {}
        self.natures: dict[str, Nature] = {}
        self.expected: dict[str, Expected] = {}
        self.refused = 0
        self.kills = 0
        self.longest_wait = 0.0
        self._queue: list[tuple[float, int, Actor]] = []
        self._numbers = count()
        self._serials = count(1)
        self._leader: Actor | None = None
        self._storm_until = book.now + faults.storm_seconds
        self._calm_since = self._storm_until
        self._supervisors: list[Supervisor] = []
        self._todo = [self._invent(number) for number in range(documents)]

    @property
    def violations(self) -> list[str]:
        return self.checker.violations

    @property
    def is_stormy(self) -> bool:
        return self.book.now < self._storm_until

    def _invent(self, number: int) -> tuple[str, str, str, str]:
        """(tenant, key, sha256, urgency); every fifth document has the bytes of an earlier one."""
        dice = self.random
        tenant = dice.choice(["a", "a", "b"])
        sha = f"{tenant}-{dice.randrange(number)}" if number and dice.random() < 0.2 else f"{tenant}-{number}"
        if sha not in self.natures:
            pages = dice.choice([1, 1, 2, 4, 9])
            kind, poison = dice.random(), self.faults.poison
            self.natures[sha] = Nature(
                pages,
                poison_page=dice.randint(1, pages) if kind < poison else 0,
                unreadable=poison <= kind < poison + 0.1,
                flaky=poison + 0.1 <= kind < poison + 0.25,
            )
        return tenant, f"k{number}", sha, dice.choice(["critical", "normal", "normal", "bulk"])

    # --- the clock

    def run(self, limit_seconds: float = 400.0) -> World:
        """Until every document has ended, or the limit is over; then the whole is checked."""
        self._start(Actor("client", self._client))
        for number in (1, 2):
            self._start(Actor(f"dispatcher{number}", self._dispatcher))
            self._start_supervisor()
        self._start(Actor("nemesis", self._nemesis))
        limit = self.book.now + limit_seconds
        while self._queue:
            at, _, actor = heapq.heappop(self._queue)
            self.book.now = max(self.book.now, at)
            if self.book.now > limit or (not self._todo and not self.is_stormy and not self.book.is_open()):
                break
            self._advance(actor)
            self.checker.step(self.book.changes())
            if self.checker.violations:
                return self
        self.checker.finish(self.book, self.receipts, self.expected, self.stored)
        if self.longest_wait > PATIENCE_SECONDS:
            self.violations.append(f"I7 a due slice waited {self.longest_wait:.0f} s in a calm fleet")
        return self

    def _start(self, actor: Actor, delay: float = 0.0) -> None:
        heapq.heappush(self._queue, (self.book.now + delay, next(self._numbers), actor))

    def _advance(self, actor: Actor) -> None:
        if not actor.is_alive:
            return
        if actor.paused_until > self.book.now:
            self._start(actor, actor.paused_until - self.book.now)
            return
        if self.is_stormy and actor.name != "nemesis":
            dice = self.random.random()
            if dice < self.faults.kill:
                self._kill(actor)
                return
            # whoever is stopped in the middle of its work may come back with a stale write
            pause = self.faults.pause * (8 if isinstance(actor, Slot) and actor.held else 1)
            if dice < self.faults.kill + pause:
                actor.paused_until = self.book.now + self.random.uniform(5.0, 45.0)
                # a stopped leader keeps its lock: the calm begins when the last stopped process goes on
                self._calm_since = max(self._calm_since, actor.paused_until)
        try:
            delay = next(actor.steps)
        except Died:
            self._kill(actor)
        except StopIteration:
            actor.is_alive = False
        else:
            self._start(actor, delay)

    def _kill(self, actor: Actor) -> None:
        self.kills += 1
        actor.is_alive = False
        back_after = self.random.uniform(0.5, 4.0)
        if isinstance(actor, Slot):
            for supervisor in self._supervisors:
                if actor in supervisor.slots:
                    supervisor.dead.append(actor)
        elif isinstance(actor, Supervisor):
            for slot in actor.slots:
                slot.is_alive = False
            self._supervisors.remove(actor)
            self._start_supervisor(back_after)
        elif actor.name == "client":
            self._start(Actor("client", self._client), back_after)
        else:
            if self._leader is actor:
                self._leader = None
            self._start(Actor(actor.name, self._dispatcher), back_after)

    # --- who acts

    def _client(self, me: Actor) -> Life:
        """Submits until it has an answer: the API may die before or after it has committed."""
        while self._todo:
            tenant, key, sha, urgency = self._todo[0]
            yield self.random.uniform(0.0, 3.0)
            receipt = self.book.accept(key, tenant, sha, urgency)
            self.expected[receipt.document_id] = expect(self.natures[sha])
            self.natures[receipt.document_id] = self.natures[sha]
            yield 0.01
            if (tenant, key) in self.receipts and self.receipts[tenant, key] != receipt.document_id:
                self.violations.append(f"I1 {key} was answered with two documents")
            self.receipts[tenant, key] = receipt.document_id
            self._todo.pop(0)

    def _dispatcher(self, me: Actor) -> Life:
        book, redis = self.book, self.redis
        while True:
            yield self.random.uniform(0.2, 0.6)
            if not self.faults.two_leaders:
                if self._leader is not None and self._leader is not me:
                    continue
                self._leader = me
            if self.faults.repair:
                yield from self._repair()
            self._watch_patience()
            if not redis.is_up:
                continue
            room = WINDOW - book.count_hinted()
            chosen = book.window(room) if room > 0 else []
            for slice_id in chosen:
                yield 0.0
                if redis.is_up:
                    redis.hints.append(slice_id)
            yield 0.0
            book.mark_dispatched(chosen)

    def _watch_patience(self) -> None:
        idle = any(slot.is_alive and slot.held is None for each in self._supervisors for slot in each.slots)
        since = self.book.oldest_due()
        if idle and since is not None and self.faults.repair:
            self.longest_wait = max(self.longest_wait, self.book.now - max(since, self._calm_since))

    def _repair(self) -> Iterator[float]:
        book, redis = self.book, self.redis
        book.expire_leases()
        yield 0.0
        book.stranded()
        yield 0.0
        if not redis.is_up:
            return
        if not redis.has_epoch:
            book.forget_hints()
            yield 0.0
            redis.has_epoch = True
        missing = book.count_hinted() - len(redis.hints)
        for slice_id in book.hinted(missing) if missing > 0 else []:
            yield 0.0
            if redis.is_up:
                redis.hints.append(slice_id)

    def _start_supervisor(self, delay: float = 0.0) -> None:
        supervisor = Supervisor(f"s{next(self._serials)}", self._supervise)
        self._supervisors.append(supervisor)
        self._start(supervisor, delay)

    def _supervise(self, me: Supervisor) -> Life:
        """Starts slots, beats for those that run, and takes back at once what a dead one held."""
        self.book.announce(me.name)
        for number in range(SLOTS):
            self._start_slot(me, number)
        next_beat = self.book.now
        while True:
            yield 0.4
            while me.dead:
                slot = me.dead[0]
                crashed_on = [slot.held.slice_id] if slot.held else []
                self.book.release_worker(slot.name, True, crashed_on)
                yield 0.0
                me.dead.pop(0)
                me.slots.remove(slot)
                self._start_slot(me, int(slot.name.split("/")[1].split("-")[0]))
            if self.book.now >= next_beat:
                next_beat = self.book.now + BEAT_SECONDS
                self.book.see(me.name)
                for slot in list(me.slots):
                    yield 0.0
                    stopped = slot.paused_until > self.book.now
                    if slot.is_alive and slot.held and not stopped and not self.book.beat(slot.name, slot.held):
                        slot.held = None

    def _start_slot(self, supervisor: Supervisor, number: int) -> None:
        slot = Slot(f"{supervisor.name}/{number}-{next(self._serials)}", self._work)
        supervisor.slots.append(slot)
        self._start(slot, self.random.uniform(0.1, 1.0))

    def _work(self, me: Slot) -> Life:
        looks_at = self.book.now + self.random.uniform(*IDLE_LOOK_SECONDS)
        while True:
            has_hint = self.redis.is_up and bool(self.redis.hints)
            yield 0.01 if has_hint else self.random.uniform(0.05, 0.5)
            if self.redis.is_up and not self.redis.hints and self.book.now < looks_at:
                continue
            # a slot that has been free for some seconds looks for itself
            looks_at = self.book.now + self.random.uniform(*IDLE_LOOK_SECONDS)
            if self.redis.is_up and self.redis.hints:
                slice_id = self.redis.hints.pop(0)
                # whoever dies here takes the hint along
                yield 0.0
                held = self.book.claim_slice(me.name, slice_id)
            else:
                held = self.book.claim_next(me.name)
            if held is None:
                continue
            me.held = held
            try:
                yield from self._read(held)
            except Stale:
                self.refused += 1
            me.held = None
            looks_at = self.book.now + self.random.uniform(*IDLE_LOOK_SECONDS)

    def _read(self, held: Held) -> Iterator[float]:
        book, dice = self.book, self.random
        nature = self.natures[held.document_id]
        yield dice.uniform(0.05, 2.0) if dice.random() < 0.9 else dice.uniform(5.0, 25.0)
        if held.step is Step.PLAN and nature.unreadable:
            book.fail(held, "unreadable", False, False)
            return
        if nature.flaky and held.step is not Step.ASSEMBLE and held.token == 1:
            book.fail(held, "engine_failed", True, dice.random() < 0.5)
            return
        in_one = held.step is Step.PLAN and held.token == 1 and nature.pages <= SLICE_PAGES
        pages = range(1, nature.pages + 1) if in_one else range(held.first_page, held.last_page + 1)
        if nature.poison_page and nature.poison_page in pages:
            raise Died
        result_key = f"{held.document_id}/{held.slice_id}/{held.token}"
        if held.step is not Step.PLAN or in_one:
            self.stored.add(result_key)
            yield dice.uniform(0.0, 0.2)
        end = self._ending(held, nature, in_one, result_key)
        end()
        if dice.random() < 0.1:
            # the reply was lost, so it is said again
            yield 0.05
            end()
        yield 0.0

    def _ending(self, held: Held, nature: Nature, in_one: bool, result_key: str) -> Callable[[], None]:
        if in_one:
            return lambda: self.book.finish_in_one(held, nature.pages, result_key)
        if held.step is Step.PLAN:
            first_pages = range(1, nature.pages + 1, SLICE_PAGES)
            ranges = [(first, min(nature.pages, first + SLICE_PAGES - 1)) for first in first_pages]
            return lambda: self.book.finish_plan(held, nature.pages, ranges)
        if held.step is Step.ASSEMBLE:
            return lambda: self.book.finish_document(held, result_key)
        return lambda: self.book.finish_pages(held, result_key, ())

    # --- Redis and its enemies

    def _nemesis(self, me: Actor) -> Life:
        redis, dice = self.redis, self.random
        while self.is_stormy and self.faults.redis:
            yield dice.uniform(2.0, 9.0)
            match dice.choice(["wipe", "replace", "down", "down empty", "stale", "tenfold", "shuffle", "rubbish"]):
                case "wipe":
                    redis.wipe()
                case "replace":
                    redis.is_up = False
                    yield 0.3
                    redis.wipe()
                    redis.is_up = True
                case "down":
                    redis.is_up = False
                    yield dice.uniform(0.5, 8.0)
                    redis.is_up = True
                case "down empty":
                    redis.is_up = False
                    yield dice.uniform(0.5, 8.0)
                    redis.wipe()
                    redis.is_up = True
                case "stale":
                    # a replica that missed the last writes, but has the epoch key
                    del redis.hints[len(redis.hints) // 2 :]
                case "tenfold":
                    redis.hints *= 10
                case "shuffle":
                    dice.shuffle(redis.hints)
                case "rubbish":
                    redis.hints += [dice.randrange(1, 60) for _ in range(5)]
