"""The invariants the simulator checks: after every step over the event log, and over all tables once all is quiet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec

from chaos.book import Book, Change
from docfleet.domain.work import (
    DOCUMENT_ENDS,
    DOCUMENT_TRANSITIONS,
    OPEN_SLICES,
    SLICE_TRANSITIONS,
    DocumentState,
    SliceState,
    Step,
)


class Expected(msgspec.Struct, frozen=True):
    """How a document has to end, whatever happens around it."""

    states: frozenset[str]
    codes: frozenset[str] = frozenset({""})


class Checker:
    """Collects violations as sentences that begin with the number of the invariant."""

    def __init__(self) -> None:
        self.violations: list[str] = []
        self.unlucky: list[str] = []
        """Innocents given up because nothing but them was ever hit (decision 11): counted, and not to be helped."""
        self._read = 0
        self._last: dict[object, str] = {}
        self._tokens: dict[int, int] = {}
        self._holders: dict[int, str] = {}
        self._done: Counter[int] = Counter()

    def step(self, log: Sequence[Change]) -> None:
        """Reads on in the log from where it stopped."""
        for change in log[self._read :]:
            self._check(change)
        self._read = len(log)

    def _say(self, sentence: str) -> None:
        self.violations.append(sentence)

    def _check(self, change: Change) -> None:
        entity: object = change.document_id if change.slice_id is None else change.slice_id
        before = self._last.get(entity, "")
        if before != change.before:
            self._say(f"I2 gap in the log of {entity}: {before} became {change.before}")
        self._last[entity] = change.after
        if change.slice_id is None:
            # a follower that is read itself after all tells so, and stays where it stands
            if (
                before not in ("", change.after)
                and DocumentState(change.after) not in DOCUMENT_TRANSITIONS[DocumentState(before)]
            ):
                self._say(f"I2 document {entity} went from {before} to {change.after}")
            return
        if before and SliceState(change.after) not in SLICE_TRANSITIONS[SliceState(before)]:
            self._say(f"I2 slice {entity} went from {before} to {change.after}")
        self._check_token(change, change.slice_id)

    def _check_token(self, change: Change, slice_id: int) -> None:
        token = self._tokens.get(slice_id, 0)
        if change.after == SliceState.DONE and not change.before:
            # born done: the pages of a short document, which came with its plan
            self._tokens[slice_id], self._holders[slice_id] = change.token, change.worker
        elif change.after == SliceState.RUNNING:
            if change.token <= token:
                self._say(f"I5 slice {slice_id} was claimed with token {change.token} after {token}")
            self._tokens[slice_id], self._holders[slice_id] = change.token, change.worker
        elif change.token != token:
            self._say(f"I5 a write to slice {slice_id} with token {change.token} while {token} is the newest")
        if change.after == SliceState.DONE:
            self._done[slice_id] += 1
            if self._done[slice_id] > 1:
                self._say(f"I2 slice {slice_id} was done twice")
            if change.worker != self._holders.get(slice_id):
                self._say(f"I5 slice {slice_id} was ended by {change.worker}, who did not hold it")

    # --- when all is quiet

    def finish(
        self,
        book: Book,
        receipts: Mapping[tuple[str, str], str],
        expected: Mapping[str, Expected],
        stored: set[str],
    ) -> None:
        """`receipts`: (tenant, key) -> document id of every 202; `expected` by document id."""
        self.step(book.changes())
        documents = {fact.id: fact for fact in book.documents()}
        of: dict[str, list[int]] = {}
        slices = book.slices()
        for number, row in enumerate(slices):
            of.setdefault(row.document_id, []).append(number)
        for receipt, document_id in receipts.items():
            if document_id not in documents:
                self._say(f"I1 {receipt} was accepted as {document_id}, which is not there")
        for key, count in Counter(fact.key for fact in documents.values()).items():
            if count > 1:
                self._say(f"I1 {key} was accepted {count} times")
        for fact in documents.values():
            if fact.state not in DOCUMENT_ENDS:
                self._say(f"I3 {fact.id} is still {fact.state}")
                continue
            wanted = expected.get(fact.id)
            if wanted and (fact.state not in wanted.states or fact.code not in wanted.codes):
                if fact.id in book.indistinct and fact.code == "worker_died":
                    self.unlucky.append(fact.id)
                else:
                    self._say(f"I4 {fact.id} ended {fact.state} {fact.code!r}, which is not what it deserves")
            mine = [slices[number] for number in of.get(fact.id, ())]
            if any(row.state in OPEN_SLICES for row in mine):
                self._say(f"I3 {fact.id} has ended, a slice of it has not")
            if fact.state in (DocumentState.SUCCEEDED, DocumentState.PARTIAL) and fact.result_key not in stored:
                self._say(f"I2 the result of {fact.id} ({fact.result_key!r}) is not in the store")
            if sum(row.step is Step.ASSEMBLE and row.state == SliceState.DONE for row in mine) > 1:
                self._say(f"I2 {fact.id} was assembled twice")
        for row in slices:
            if row.state == SliceState.DEAD and not row.code:
                self._say(f"I4 slice {row.id} is dead without a reason")
            if row.state == SliceState.DONE and row.result_key and row.result_key not in stored:
                self._say(f"I2 the result of slice {row.id} ({row.result_key!r}) is not in the store")
            of_another = not f"{row.result_key}/".endswith(f"/{row.token}/") and row.step is not Step.LOCAL
            if row.state == SliceState.DONE and row.result_key and of_another:
                self._say(f"I2 the result of slice {row.id} is that of another token: {row.result_key}")
