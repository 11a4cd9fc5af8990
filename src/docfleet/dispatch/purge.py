"""Bytes that must go: those of erased contents, and those that no row of the ledger names.

Both whole contents that it does not know, and what killed or fenced attempts left in contents that live.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from docfleet.ledger.desk import Desk
from docfleet.store.base import Store
from docfleet.telemetry import logger

_log = logger(__name__)
CONTENTS = "contents"
_BATCH = 200


def purge_erased(desk: Desk, store: Store, stopped: Callable[[], bool]) -> int:
    """Deletes the objects of erased contents; how many contents. Their keys are gone already: nobody can read them.

    Deleted first and noted then: after a crash in between it is done again.
    """
    purged = 0
    while not stopped():
        ids = desk.erased_contents(_BATCH)
        for content_id in ids:
            store.delete_prefix(f"{CONTENTS}/{content_id}")
        if ids:
            desk.mark_purged(ids)
            purged += len(ids)
        if len(ids) < _BATCH:
            break
    if purged:
        _log.info("contents_purged", count=purged)
    return purged


def purge_orphans(desk: Desk, store: Store, older_than: float, stopped: Callable[[], bool]) -> int:
    """Deletes what lies in the store under contents that the ledger does not know; how many contents.

    Only what was last written before `older_than` (seconds since 1970): an upload stores its bytes before its row.
    Walks the whole store in bounded memory, twice when there are orphans, since a store that holds more of them than of
    known contents is taken for another ledger's and left alone.
    """
    known = unknown = 0
    for ids, orphans in _looked_up(desk, store):
        if stopped():
            return 0
        known, unknown = known + len(ids) - len(orphans), unknown + len(orphans)
    if not unknown:
        return 0
    if not may_sweep(known, unknown):
        _log.error("store_of_another_ledger", known=known, unknown=unknown)
        return 0
    purged = 0
    for _, orphans in _looked_up(desk, store):
        if stopped():
            break
        purged += sum(_delete_if_old(store, f"{CONTENTS}/{one}", older_than) for one in sorted(orphans))
    if purged:
        _log.warning("orphans_purged", count=purged)
    return purged


def purge_attempts(desk: Desk, store: Store, older_than: float, stopped: Callable[[], bool]) -> int:
    """Deletes what attempts wrote into living contents and no row points to; how many attempts left something.

    Only what was last written before `older_than` (seconds since 1970). Contents that the ledger does not know are left
    alone here: they may be another ledger's.
    """
    purged = 0
    for prefixes in _batches(_old_attempts(store, older_than), _BATCH):
        if stopped():
            break
        known = desk.content_exists(sorted({_content_of(prefix) for prefix in prefixes}))
        kept = desk.kept_prefixes(known)
        lost = sorted(prefix for prefix in prefixes - kept if _content_of(prefix) in known)
        purged += sum(_delete_if_old(store, prefix, older_than) for prefix in lost)
    if purged:
        _log.info("lost_attempts_purged", count=purged)
    return purged


def attempt_prefix(key: str) -> str:
    """The prefix of the attempt that wrote this key; empty when no attempt did. Pure."""
    parts = key.split("/")
    match parts[2:3]:
        case ["slices"] if len(parts) > 5:
            return "/".join(parts[:5])
        case ["results"] if len(parts) > 4:
            return "/".join(parts[:4])
    return ""


def may_sweep(known: int, unknown: int) -> bool:
    """Whether a store with so many contents that the ledger knows, and so many that it does not, can be its own. Pure.

    A ledger restored from nothing, or a wrong address, must not delete another service's documents.
    """
    return unknown <= known


def _looked_up(desk: Desk, store: Store) -> Iterator[tuple[set[str], set[str]]]:
    """The contents in the store, some at a time, and which of them the ledger does not know."""
    for ids in _batches(_content_ids(store), _BATCH):
        yield ids, ids - desk.content_exists(sorted(ids))


def _delete_if_old(store: Store, prefix: str, older_than: float) -> bool:
    # looked at by itself, since a listing may show what belongs together far apart
    newest = max((at for _, at in store.list_with_times(prefix)), default=None)
    if newest is None or newest >= older_than:
        return False
    store.delete_prefix(prefix)
    return True


def _content_ids(store: Store) -> Iterator[str]:
    last = ""
    for key, _ in store.list_with_times(CONTENTS):
        parts = key.split("/", 2)
        if len(parts) == 3 and parts[1] != last:
            last = parts[1]
            yield last


def _old_attempts(store: Store, older_than: float) -> Iterator[str]:
    last = ""
    for key, at in store.list_with_times(CONTENTS):
        prefix = attempt_prefix(key) if at < older_than else ""
        if prefix and prefix != last:
            last = prefix
            yield prefix


def _content_of(key: str) -> str:
    return key.split("/", 2)[1]


def _batches(ids: Iterator[str], size: int) -> Iterator[set[str]]:
    batch: set[str] = set()
    for one in ids:
        batch.add(one)
        if len(batch) >= size:
            yield batch
            batch = set()
    if batch:
        yield batch
