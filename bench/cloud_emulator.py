"""What the cloud bench measures with: a running emulator, a supply of documents, and what became of them."""

from __future__ import annotations

import io
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pikepdf

LOCATIONS = ("us", "eu", "asia-southeast1")
PROJECT = "123456789012"
START_SECONDS = 60.0


@dataclass(frozen=True)
class Paper:
    """A document to be read."""

    id: int
    pages: int
    content: bytes
    locations: tuple[str, ...] = LOCATIONS
    """Where it may be read."""


@dataclass(frozen=True)
class Done:
    paper: Paper
    location: str
    at: float
    """`time.monotonic` when its pages were there."""


@dataclass
class Tally:
    """What one client made of its supply."""

    began: float = field(default_factory=time.monotonic)
    done: list[Done] = field(default_factory=list)
    failed: list[tuple[Paper, str]] = field(default_factory=list)
    """Documents that were given up, with the error's name."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, paper: Paper, location: str) -> None:
        with self._lock:
            self.done.append(Done(paper, location, time.monotonic()))

    def lose(self, paper: Paper, error: Exception) -> None:
        with self._lock:
            self.failed.append((paper, type(error).__name__))

    def between(self, start: float, end: float) -> list[Done]:
        """Those done in this span, in seconds since the beginning."""
        return [one for one in self.done if start <= one.at - self.began < end]


class Supply:
    """Documents of one to three pages without end, the same ones under one seed. Threads may share one."""

    def __init__(self, seed: int = 1, most_pages: int = 3, confined: float = 0.0) -> None:
        """`confined`: share of documents that may be read in one location only."""
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self._number = 0
        self._confined = confined
        self.most_pages = most_pages
        self._contents = {pages: _pdf(pages) for pages in range(1, most_pages + 1)}

    def next(self) -> Paper:
        with self._lock:
            self._number += 1
            pages = self._random.choice(tuple(self._contents))
            where: tuple[str, ...] = LOCATIONS
            if self._random.random() < self._confined:
                where = (self._random.choice(LOCATIONS),)
            return Paper(self._number, pages, self._contents[pages], where)


@dataclass(frozen=True)
class Emulator:
    """A server in a process of its own that answers empty pages by a plan."""

    grpc: str
    rest: str
    admin: str

    def play(self, plan: str) -> None:
        """From now on, with counts from 0."""
        told = httpx.put(f"{self.admin}/emulation", content=plan, headers={"content-type": "application/toml"})
        told.raise_for_status()
        httpx.delete(f"{self.admin}/emulation/counts").raise_for_status()

    def counts(self) -> dict[str, Any]:
        counts: dict[str, Any] = httpx.get(f"{self.admin}/emulation").json()["counts"]
        return counts

    def processor(self, location: str) -> str:
        return f"projects/{PROJECT}/locations/{location}/processors/ocr"


@contextmanager
def emulator(max_calls: int = 512) -> Iterator[Emulator]:
    """Starts `docfleet documentai-server` and ends it."""
    command = [sys.executable, "-m", "docfleet", "documentai-server", "--grpc-port", "0", "--rest-port", "0"]
    command += ["--engine", "null", "--readers", "1", "--emulation-port", "0"]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env={
            **os.environ,
            "DOCFLEET_DOCUMENTAI_SERVER__MAX_CALLS": str(max_calls),
            "DOCFLEET_DOCUMENTAI_SERVER__WAITING": str(max_calls),
        },
    )
    try:
        yield _told(process)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(20.0)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def _told(process: subprocess.Popen[bytes]) -> Emulator:
    found: dict[str, str] = {}
    until = time.monotonic() + START_SECONDS
    assert process.stdout is not None
    while len(found) < 3:
        line = process.stdout.readline().decode()
        if not line or time.monotonic() > until:
            raise RuntimeError("the emulator did not start")
        if told := re.match(r"(?:docfleet Document AI )?(gRPC|REST|Emulation) on (\S+)", line):
            found[told[1]] = told[2].removesuffix("/emulation")
    return Emulator(found["gRPC"], found["REST"], found["Emulation"])


def _pdf(pages: int) -> bytes:
    made = pikepdf.new()
    for _ in range(pages):
        made.add_blank_page(page_size=(595, 842))
    file = io.BytesIO()
    made.save(file)
    return file.getvalue()
