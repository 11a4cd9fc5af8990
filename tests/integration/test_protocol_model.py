"""The simulator's model against the real ledger: the same random steps on both, and after each they stand alike."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from chaos.book import Book, Held, Stale
from chaos.model_ledger import ModelLedger
from chaos.real_ledger import RealLedger
from docfleet.domain.work import Step

STEPS = 120
SUPERVISORS = ("s1", "s2")


class Pair:
    """Both books, and what is held in both."""

    def __init__(self, model: ModelLedger, real: RealLedger, seed: int) -> None:
        self.model, self.real, self.dice = model, real, random.Random(seed)
        self.held: list[tuple[Held, Held]] = []
        self.count = 0

    def both(self, act: Callable[[Book, int], object]) -> None:
        """The same on both; both answer alike, or both refuse."""
        said = []
        for number, book in enumerate((self.model, self.real)):
            try:
                said.append(act(book, number))
            except Stale:
                said.append("stale")
        assert said[0] == said[1]

    def step(self) -> None:
        dice = self.dice
        what = dice.choices(
            (self.accept, self.claim, self.finish, self.fail, self.die, self.beat, self.wait, self.expire),
            (2, 8, 8, 2, 3, 2, 3, 2),
        )[0]
        what()
        assert stand(self.model) == stand(self.real), what.__name__

    def accept(self) -> None:
        key = f"k{self.dice.randrange(self.count + 1)}"
        sha = f"sha{self.dice.randrange(4)}" if key == f"k{self.count}" else "sha"
        self.count += key == f"k{self.count}"
        urgency = self.dice.choice(["high", "normal"])
        self.both(lambda book, _: book.accept(key, "a", sha, urgency).replayed)

    def claim(self) -> None:
        waiting = [{name_of(book, id_): id_ for id_ in book.window(100)} for book in (self.model, self.real)]
        # suspects run alone, so the ledger offers one of them at a time; the model offers all
        suspects = {name for name, id_ in waiting[0].items() if self.model.is_isolated(id_)}
        assert waiting[0].keys() - suspects == waiting[1].keys() - suspects
        common = sorted(waiting[0].keys() & waiting[1].keys())
        if not common:
            return
        name = self.dice.choice(common)
        worker = f"{self.dice.choice(SUPERVISORS)}/{self.dice.randrange(2)}-{self.dice.randrange(3)}"
        got = (
            self.model.claim_slice(worker, waiting[0][name]),
            self.real.claim_slice(worker, waiting[1][name]),
        )
        assert (got[0] is None) == (got[1] is None)
        if got[0] and got[1]:
            assert (got[0].token, got[0].isolated) == (got[1].token, got[1].isolated)
            self.held.append((got[0], got[1]))

    def _pick(self) -> tuple[Held, Held] | None:
        return self.dice.choice(self.held) if self.held else None

    def finish(self) -> None:
        pair = self._pick()
        if pair is None:
            return
        in_one = self.dice.random() < 0.5

        def end(book: Book, number: int) -> None:
            held = pair[number]
            if held.step is Step.ASSEMBLE:
                book.finish_document(held, "result")
            elif held.step is not Step.PLAN:
                book.finish_pages(held, "pages", ())
            elif in_one:
                book.finish_in_one(held, 2, "result")
            else:
                book.finish_plan(held, 5, [(1, 3), (4, 5)])

        self.both(end)

    def fail(self) -> None:
        pair = self._pick()
        retryable, is_wait = self.dice.random() < 0.8, self.dice.random() < 0.4
        if pair:
            self.both(lambda book, number: book.fail(pair[number], "engine_failed", retryable, is_wait))

    def die(self) -> None:
        pair = self._pick()
        if pair:
            crashed = self.dice.random() < 0.8
            ids = [[item[number].slice_id for item in self.held] for number in (0, 1)]
            self.both(lambda book, number: book.release_worker(pair[0].worker, crashed, ids[number]))

    def beat(self) -> None:
        pair = self._pick()
        if pair:
            self.both(lambda book, number: book.beat(pair[number].worker, pair[number]))
            self.both(lambda book, _: book.see(pair[0].worker.split("/")[0]))

    def wait(self) -> None:
        self.model.now = self.real.now = self.model.now + self.dice.choice([0.5, 4.0, 20.0])

    def expire(self) -> None:
        self.both(lambda book, _: book.expire_leases())


def name_of(book: Book, slice_id: int) -> tuple[str, str, int, int]:
    keys = {fact.id: fact.key for fact in book.documents()}
    row = next(row for row in book.slices() if row.id == slice_id)
    return keys[row.document_id], row.step, row.first_page, row.last_page


def stand(book: Book) -> tuple[list[object], list[object]]:
    """Documents and slices by their names, since ids differ."""
    facts = book.documents()
    keys = {fact.id: fact.key for fact in facts}
    documents: list[object] = sorted((fact.key, fact.state, fact.pages) for fact in facts)
    slices: list[object] = sorted(
        (keys[r.document_id], r.step, r.first_page, r.last_page, r.state, r.token, r.attempt, r.crashes, r.errors)
        for r in book.slices()
    )
    return documents, slices


@pytest.mark.parametrize("seed", range(6))
def test_model_and_ledger_stand_alike_after_every_step(seed: int) -> None:
    real = RealLedger()
    try:
        pair = Pair(ModelLedger(), real, seed)
        for name in SUPERVISORS:
            pair.both(lambda book, _, name=name: book.announce(name))  # type: ignore[misc]
        for _ in range(STEPS):
            pair.step()
    finally:
        real.close()
