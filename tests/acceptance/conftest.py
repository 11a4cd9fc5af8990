"""What acceptance tests share."""

from __future__ import annotations

from pathlib import Path

import pytest
import typst

from engine_packages import install


@pytest.fixture(scope="session")
def long_pdf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """160 digital pages: twenty slices."""
    folder = tmp_path_factory.mktemp("long")
    source = folder / "long.typ"
    source.write_text(
        "#set page(width: 300pt, height: 400pt)\n"
        "#for n in range(1, 161) [Page number #n of the long document. #lorem(60) #pagebreak(weak: true)]"
    )
    typst.compile(str(source), output=str(folder / "long.pdf"))
    return folder / "long.pdf"


@pytest.fixture(scope="session")
def faulty_engines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which the package of faulty engines is installed."""
    target = tmp_path_factory.mktemp("faulty-site")
    install("docfleet_engine_faulty", tmp_path_factory.mktemp("faulty-build"), target)
    return target
