"""A function over many things, a few at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TypeVar

Given = TypeVar("Given")
Made = TypeVar("Made")


def in_parallel(function: Callable[[Given], Made], things: Iterable[Given], concurrency: int) -> Iterator[Made]:
    """Results as they come, in any order; `things` is read only as fast as they are worked on.

    When the caller stops asking, what has begun is finished and nothing else is begun.
    """
    under_way: set[Future[Made]] = set()
    pool = ThreadPoolExecutor(max(1, concurrency), thread_name_prefix="docfleet")
    try:
        for thing in things:
            under_way.add(pool.submit(function, thing))
            full = len(under_way) >= concurrency
            done, under_way = wait(under_way, timeout=None if full else 0, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()
        while under_way:
            done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
