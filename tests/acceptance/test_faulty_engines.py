"""An engine that fails, dies or hangs costs the pages it was asked for, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from running import SAMPLES, docfleet, index_of


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    """Two images the engine is asked for, and a digital document it is not."""
    folder = tmp_path / "inbox"
    folder.mkdir()
    for shade in (200, 220):
        Image.new("L", (300, 200), shade).save(folder / f"grey-{shade}.png")
    (folder / "letter.pdf").write_bytes((SAMPLES / "letter-fr.pdf").read_bytes())
    return folder


@pytest.mark.parametrize(
    ("engine", "code", "env"),
    [
        ("raises", "engine_failed", {}),
        pytest.param("garbage", "engine_failed", {}, marks=pytest.mark.slow),
        ("kills", "worker_died", {}),
        pytest.param("hangs", "worker_died", {"DOCFLEET_WORK__SLICE_SECONDS": "4"}, marks=pytest.mark.slow),
    ],
)
def test_a_faulty_engine_costs_only_its_own_pages(
    engine: str, code: str, env: dict[str, str], inbox: Path, tmp_path: Path, faulty_engines: Path
) -> None:
    out = tmp_path / "out"
    command = ("process", inbox, "--out", out, "--no-report", "--engine", engine)
    ran = docfleet(*command, env={"PYTHONPATH": str(faulty_engines), **env})
    assert ran.exit_code == 1, ran.stderr
    assert "Traceback" not in ran.stderr
    rows = {Path(name).name: row for name, row in index_of(out).items()}
    assert rows["letter.pdf"]["outcome"] == "succeeded"
    for name in ("grey-200.png", "grey-220.png"):
        assert (rows[name]["outcome"], rows[name]["code"]) == ("failed", code)
        assert rows[name]["message"]
        assert rows[name]["remedy"]


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["import-error", "factory-error", "wrong-protocol"])
def test_an_engine_that_cannot_start_ends_the_run_with_a_sentence(
    engine: str, inbox: Path, tmp_path: Path, faulty_engines: Path
) -> None:
    command = ("process", inbox, "--out", tmp_path / "out", "--no-report", "--engine", engine)
    ran = docfleet(*command, env={"PYTHONPATH": str(faulty_engines)}, seconds=120)
    assert ran.exit_code == 2
    assert engine in ran.stderr
    assert "Traceback" not in ran.stderr


@pytest.mark.slow
def test_engines_lists_the_broken_beside_the_sound(faulty_engines: Path) -> None:
    ran = docfleet("engines", env={"PYTHONPATH": str(faulty_engines)})
    assert ran.exit_code == 0
    assert "import-error" in ran.stdout
    assert "rapidocr" in ran.stdout
