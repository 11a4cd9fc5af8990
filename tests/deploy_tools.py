"""Programs that look at what is deployed; they come from pip with the development tools."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest


def tool(name: str) -> str:
    """The path of a program. Skips the test where it is missing, but fails under DOCFLEET_REQUIRE_SERVICES=1."""
    found = shutil.which(name, path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
    if found is None:
        say = pytest.fail if os.environ.get("DOCFLEET_REQUIRE_SERVICES") == "1" else pytest.skip
        say(f"{name} is not installed: make setup-dev")
    return found


def module_of(path: Path) -> ModuleType:
    """A program of `deploy/` as a module."""
    spec = importlib.util.spec_from_file_location(f"deploy_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def server(*names: str) -> str:
    """The path of a program that comes with the system (Prometheus, Alertmanager), by one of its names. Skips the test
    where it is not installed: pip does not have it."""
    for name in names:
        if found := shutil.which(name):
            return found
    pytest.skip(f"{names[0]} is not installed (Debian: prometheus, prometheus-alertmanager)")
