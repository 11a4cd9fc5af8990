"""Reads nothing, like the null engine; but a page that is red, green or blue all over is poison, and others
take their time.

red     ends the process at once, as a fault in native code would
green   never comes back and holds the interpreter all the time
blue    takes memory until somebody ends it
yellow  takes ten seconds
cyan    takes one second
"""

from __future__ import annotations

import ctypes
import os
import signal
import time
from collections.abc import Sequence

from docfleet.domain.geometry import Frame
from docfleet.domain.words import WordPage
from docfleet.engines.base import Capabilities, PageImage, RecognisedPage


def engine(options: dict[str, object]) -> ChaosEngine:
    return ChaosEngine()


class ChaosEngine:
    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(name="chaos", version="0.0.1", max_pages_per_call=8)

    def recognise(self, pages: Sequence[PageImage]) -> list[RecognisedPage]:
        for page in pages:
            _suffer(page)
        return [
            RecognisedPage(words=WordPage(page.width, page.height, Frame(page.width, page.height), words=[]))
            for page in pages
        ]

    def close(self) -> None:
        pass


def _suffer(page: PageImage) -> None:
    if page.pixels.ndim != 3:
        return
    red, green, blue = (float(level) > 128 for level in page.pixels.reshape(-1, page.pixels.shape[2])[:, :3].mean(0))
    if (red, green, blue) == (True, False, False):
        os.kill(os.getpid(), signal.SIGKILL)
    elif (red, green, blue) == (False, True, False):
        # through PyDLL a native call keeps the interpreter's lock
        ctypes.PyDLL(None).sleep(100_000)
    elif (red, green, blue) == (False, False, True):
        eaten = []
        while True:
            eaten.append(bytearray(os.urandom(1024)) * 16_384)
            time.sleep(0.02)
    elif (red, green, blue) == (True, True, False):
        time.sleep(10.0)
    elif (red, green, blue) == (False, True, True):
        time.sleep(1.0)
