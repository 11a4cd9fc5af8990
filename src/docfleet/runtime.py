"""The composition root: from settings to parts, each built on first use, so that a role loads only what it needs."""

from __future__ import annotations

from functools import cached_property
from types import TracebackType
from typing import Self

from docfleet.domain.cascade import CascadePolicy, Route
from docfleet.engines.base import Engine
from docfleet.engines.registry import load
from docfleet.pipeline.recognise import ReadingPlan
from docfleet.sandbox import ArchiveLimits, Sandbox, SandboxLimits
from docfleet.settings import LimitSettings, Settings

_FORCED = {"auto": None, "ocr": Route.OCR, "text": Route.TEXT_LAYER}


def sandbox_limits(limits: LimitSettings) -> SandboxLimits:
    return SandboxLimits(
        memory_bytes=limits.sandbox_memory_bytes,
        page_seconds=limits.page_seconds,
        open_seconds=limits.open_seconds,
        max_page_pixels=limits.max_page_pixels,
        max_pages=limits.max_pages,
        recycle_requests=limits.sandbox_recycle_requests,
        recycle_memory_bytes=limits.sandbox_recycle_bytes,
    )


def archive_limits(limits: LimitSettings) -> ArchiveLimits:
    return ArchiveLimits(
        max_files=limits.archive_max_members,
        max_total_bytes=limits.archive_max_bytes,
        max_member_bytes=limits.max_file_bytes,
        max_depth=limits.archive_max_depth,
        max_ratio=limits.archive_max_ratio,
    )


class Runtime:
    """The parts one process works with. Close it (or use it as a context manager) to end its child processes."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @cached_property
    def sandbox(self) -> Sandbox:
        return Sandbox(sandbox_limits(self.settings.limits))

    @cached_property
    def engine(self) -> Engine:
        return load(self.settings.reading.engine, {})

    @cached_property
    def plan(self) -> ReadingPlan:
        reading = self.settings.reading
        policy = CascadePolicy(force=_FORCED[reading.mode])
        return ReadingPlan(lambda: self.engine, policy, reading.render_dpi, reading.languages)

    def close(self) -> None:
        if "engine" in self.__dict__:
            self.engine.close()
        if "sandbox" in self.__dict__:
            self.sandbox.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
