"""Pictures of pages: drawn from the submitted file by the sandbox, so that a hostile file hurts a child only.

A picture shows the page in the page frame of `domain.geometry` (/Rotate, CropBox and EXIF orientation applied, pixels
made square), the frame the boxes of results are normalised to: a box of 0..1 lies on the picture as it is.
"""

from __future__ import annotations

import asyncio
import importlib.util
import io
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from docfleet.console.problems import ApiProblem

if TYPE_CHECKING:  # numpy and Pillow are loaded with the first picture only
    from docfleet.sandbox import Sandbox

WIDTHS = (160, 480, 960, 1600, 2600, 4200)
"""Pixels a picture may be wide: few steps, so that zooming finds most of them made."""
MEDIA_TYPE = "image/webp"
_PROBE_DPI = 36.0
_MOST_PIXELS = 24_000_000
_QUALITY = 82
_LONGEST_SIDE = 16_383
"""Of a WebP picture, in pixels."""
_NEEDED = ("numpy", "PIL", "pypdfium2", "pikepdf")
T = TypeVar("T")


def no_pictures() -> ApiProblem:
    return ApiProblem(
        501, "no_pictures", "Pages cannot be drawn here",
        "Pages cannot be drawn here: what opens files is not installed beside this console.",
        "The boxes and the text are here all the same; for the pictures run `docfleet console` where the workers run.",
    )  # fmt: skip


def pictures_busy() -> ApiProblem:
    return ApiProblem(
        503, "pictures_busy", "Too many pages wait to be drawn", "Too many pages wait to be drawn.",
        "Wait a moment: the page asks again by itself.",
    )  # fmt: skip


def width_for(wanted: float) -> int:
    """The smallest step that is at least as wide as wanted, else the widest.

    >>> width_for(1000), width_for(99_999)
    (1600, 4200)
    """
    return next((width for width in WIDTHS if width >= wanted), WIDTHS[-1])


class Press:
    """Draws pages, one at a time, in one sandbox that ends when nothing was drawn for a while."""

    def __init__(self, idle_seconds: float = 60.0, most_waiting: int = 64, page_seconds: float = 20.0) -> None:
        self._idle_seconds = idle_seconds
        self._most_waiting = most_waiting
        self._page_seconds = page_seconds
        self._waiting = 0
        # a sandbox's child lives and dies with the thread that started it: one thread, for good
        self._thread = ThreadPoolExecutor(1, "docfleet-pictures")
        self._sandbox: Sandbox | None = None
        self._open: tuple[str, str] | None = None
        self._inches: dict[int, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    async def draw(self, file: Path, mime_type: str, number: int, width: int, target: Path) -> None:
        """Writes page `number` (from 1) as WebP, `width` pixels wide where the file has as many, to `target`.

        `file` must be the same for one path. Raises `DocumentError` for what the file is (encrypted, damaged …),
        `ApiProblem` where pages cannot be drawn or too many wait.
        """
        require_packages()
        if self._waiting >= self._most_waiting:
            raise pictures_busy()
        self._waiting += 1
        try:
            data = await self._in_thread(lambda: self._drawn(file, mime_type, number, width))
        finally:
            self._waiting -= 1
        await asyncio.to_thread(target.write_bytes, data)
        self._close_when_idle()

    async def leave(self) -> None:
        """Closes the file that is open: its copy is being removed."""
        await self._in_thread(self._end)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._thread.submit(self._end)
        self._thread.shutdown(wait=True, cancel_futures=False)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        future: Future[T] = self._thread.submit(work)
        return await asyncio.wrap_future(future)

    def _drawn(self, file: Path, mime_type: str, number: int, width: int) -> bytes:
        sandbox = self._opened(file, mime_type)
        inches = self._inches.get(number)
        if inches is None:
            probe = sandbox.render(number, _PROBE_DPI)
            inches = self._inches[number] = max(probe.pixels.shape[1] / probe.dpi, 1e-3)
        rendered = sandbox.render(number, max(1.0, width / inches))
        return _encoded(rendered.pixels, width)

    def _opened(self, file: Path, mime_type: str) -> Sandbox:
        if self._sandbox is None:
            from docfleet.sandbox import Sandbox, SandboxLimits

            self._sandbox = Sandbox(
                SandboxLimits(page_seconds=self._page_seconds, open_seconds=30.0, max_page_pixels=_MOST_PIXELS * 4)
            )
        wanted = (str(file), mime_type)
        if self._open != wanted:
            self._open, self._inches = None, {}
            self._sandbox.open(file, mime_type)
            self._open = wanted
        return self._sandbox

    def _end(self) -> None:
        if self._sandbox is not None:
            self._sandbox.close()
        self._sandbox, self._open, self._inches = None, None, {}

    def _close_when_idle(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._idle_seconds, lambda: self._thread.submit(self._end))


def require_packages() -> None:
    """Raises `ApiProblem` where the packages that open files are missing."""
    if any(importlib.util.find_spec(name) is None for name in _NEEDED):
        raise no_pictures()


def _encoded(pixels: Any, width: int) -> bytes:
    from PIL import Image

    image = Image.fromarray(pixels)
    room = (_MOST_PIXELS / image.width / image.height) ** 0.5
    scale = min(1.0, width / image.width, _LONGEST_SIDE / image.height, room)
    if scale < 0.98:
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        image = image.resize(size, Image.Resampling.LANCZOS)
    out = io.BytesIO()
    image.save(out, "WEBP", quality=_QUALITY, method=1)
    return out.getvalue()
