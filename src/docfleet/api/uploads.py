"""Receiving a document: from the socket through encryption into the store, and only then into the ledger.

A small body is gathered first and handled in one go by one thread. A large one is pulled by its thread piece by piece,
so that no more of it than a few pieces is ever in memory, and a slow sender slows down nobody else.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import TypeVar

import anyio
import anyio.from_thread
import anyio.to_thread
from starlette.requests import ClientDisconnect, Request

from docfleet.api.parts import ApiOptions
from docfleet.api.problems import Refusal
from docfleet.api.storing import too_large
from docfleet.errors import BadRequest

SMALL_BYTES = 512 * 1024
"""Bodies up to here are gathered before a thread takes them."""
_PIECE_BYTES = 256 * 1024
_GRACE_SECONDS = 30.0
_LEAST_BYTES_PER_SECOND = 1024
"""Who is slower than this after the grace time keeps a place for nothing."""
_OVERHEAD_BYTES = 1024 * 1024
"""Of a multipart body, beside the file."""

T = TypeVar("T")


def _broken_off(reason: str) -> Refusal:
    return Refusal(BadRequest(reason), remedy="Send it again under the same Idempotency-Key.")


def check_announced_size(request: Request, options: ApiOptions) -> None:
    """Raises `PayloadTooLarge` for a body whose announced length alone is too much."""
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length) > options.max_file_bytes + _OVERHEAD_BYTES:
        raise too_large(options.max_file_bytes)


async def body_chunks(request: Request, options: ApiOptions) -> AsyncIterator[bytes]:
    """The body as it arrives. Raises `PayloadTooLarge`, and refuses what stalls or breaks off."""
    stream = request.stream()
    started = time.monotonic()
    received = 0
    while True:
        try:
            # of asyncio and not of anyio, which takes three times as long for it, with every chunk
            async with asyncio.timeout(options.stall_seconds):
                chunk = await anext(stream, None)
        except TimeoutError as error:
            raise _broken_off(f"Nothing arrived for {options.stall_seconds:g} seconds.") from error
        except ClientDisconnect as error:
            raise _broken_off("The client went away in mid-upload.") from error
        if chunk is None:
            return
        received += len(chunk)
        if received > options.max_file_bytes + _OVERHEAD_BYTES:
            raise too_large(options.max_file_bytes)
        elapsed = time.monotonic() - started
        if elapsed > _GRACE_SECONDS and received < elapsed * _LEAST_BYTES_PER_SECOND:
            raise _broken_off("The upload is too slow.")
        if chunk:
            yield chunk


async def receive(
    chunks: AsyncIterator[bytes], work: Callable[[Iterable[bytes]], T], threads: anyio.CapacityLimiter
) -> T:
    """Runs `work` over the chunks in a thread; raises what `chunks` or `work` raise."""
    gathered: list[bytes] = []
    size = 0
    async for chunk in chunks:
        gathered.append(chunk)
        size += len(chunk)
        if size > SMALL_BYTES:
            break
    else:
        return await anyio.to_thread.run_sync(work, gathered, limiter=threads)
    return await anyio.to_thread.run_sync(work, _pulled(gathered, chunks), limiter=threads)


def _pulled(gathered: list[bytes], chunks: AsyncIterator[bytes]) -> Iterator[bytes]:
    """In the thread: what was gathered, then what the event loop hands over when asked."""
    while gathered:
        yield gathered.pop(0)
    while piece := anyio.from_thread.run(_next_piece, chunks):
        yield piece


async def _next_piece(chunks: AsyncIterator[bytes]) -> bytes:
    """Some chunks joined, since each hand-over between threads has its price; empty at the end."""
    piece = bytearray()
    while len(piece) < _PIECE_BYTES:
        chunk = await anext(chunks, None)
        if chunk is None:
            break
        piece += chunk
    return bytes(piece)
