"""Faxes and some scanners have pixels that are not square; pages are read in square ones and told in the file's own."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from docfleet.domain.document import Dimension
from docfleet.engines.base import Engine
from docfleet.engines.null import engine as null_engine
from docfleet.pipeline.recognise import ReadingPlan, read_pages
from docfleet.sandbox import PageBundle, Sandbox, SandboxLimits
from docfleet.sandbox.images import square_size


def write_fax(path: Path, dpi: tuple[int, int], size: tuple[int, int]) -> Path:
    """A page with a black square of a quarter of an inch, its corner half an inch from the top left."""
    image = Image.new("1", size, 1)
    box = [dpi[0] // 2, dpi[1] // 2, dpi[0] * 3 // 4 - 1, dpi[1] * 3 // 4 - 1]
    ImageDraw.Draw(image).rectangle(box, fill=0)
    image.save(path, dpi=dpi, compression="group4")
    return path


@pytest.mark.parametrize(
    ("dpi", "size", "square"),
    [((204, 98), (816, 392), (816, 816)), ((100, 200), (400, 800), (800, 800)), ((200, 200), (800, 800), None)],
)
def test_what_is_square_is_rendered_square(
    tmp_path: Path, dpi: tuple[int, int], size: tuple[int, int], square: tuple[int, int] | None
) -> None:
    path = write_fax(tmp_path / "fax.tif", dpi, size)
    with Sandbox() as sandbox:
        sandbox.open(path, "image/tiff")
        (bundle,) = sandbox.pages([1])
        assert isinstance(bundle, PageBundle)
        facts = bundle.facts
        rendered = sandbox.render(1, facts.dpi, grey=True)
        assert facts.file_pixels == (size if square else None)
        assert (facts.width, facts.height) == (square or size)
        assert rendered.pixels.shape == (facts.height, facts.width)
        assert facts.dpi == pytest.approx(max(dpi), rel=0.01)
        dark = rendered.pixels < 128
        rows, columns = dark.any(axis=1).sum(), dark.any(axis=0).sum()
        assert abs(int(rows) - int(columns)) <= 2
        (page,) = read_pages(sandbox, ReadingPlan(engine), [1])
        assert page.page.dimension == Dimension(*size, "pixels")


def engine() -> Engine:
    return null_engine({})


def test_a_page_too_large_to_stretch_is_shrunk(tmp_path: Path) -> None:
    assert square_size(2000, 1000, (200.0, 100.0), 141.42, 3_000_000) == (1000, 1000)
    assert square_size(2000, 1000, (200.0, 100.0), 141.42, 5_000_000) == (2000, 2000)
    path = write_fax(tmp_path / "fax.tif", (200, 100), (2000, 1000))
    with Sandbox(SandboxLimits(max_page_pixels=3_000_000)) as sandbox:
        sandbox.open(path, "image/tiff")
        assert sandbox.render(1, 200, grey=True).pixels.shape == (1000, 1000)


def test_resolutions_nobody_means_are_not_believed() -> None:
    assert square_size(1000, 1000, (200.0, 201.0), 200.5, 10**8) is None
    assert square_size(1000, 1000, (300.0, 1.0), 96.0, 10**8) is None
    assert square_size(1000, 1000, (600.0, 72.0), 207.85, 10**8) is None
    assert square_size(1000, 1000, None, 96.0, 10**8) is None
