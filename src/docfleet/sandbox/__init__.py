"""Untrusted bytes are decoded and rendered here, in a child process with limits; see `parent.Sandbox`."""

from docfleet.sandbox.parent import Sandbox
from docfleet.sandbox.types import (
    ArchiveLimits,
    ArchiveMember,
    Opened,
    PageBundle,
    PageFault,
    Rendered,
    SandboxLimits,
)

__all__ = [
    "ArchiveLimits",
    "ArchiveMember",
    "Opened",
    "PageBundle",
    "PageFault",
    "Rendered",
    "Sandbox",
    "SandboxLimits",
]
