from __future__ import annotations

from pathlib import Path

import pytest

from engine_packages import install


@pytest.fixture(scope="session")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which the package of faulty engines is installed."""
    target = tmp_path_factory.mktemp("faulty-site")
    install("docfleet_engine_faulty", tmp_path_factory.mktemp("faulty-build"), target)
    return target
