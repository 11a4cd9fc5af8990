"""`docfleet fleet simulate`, as a user types it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from docfleet.cli.main import app
from docfleet.errors import DocfleetError

SMALL = ["fleet", "simulate", "--scenario", "peak", "--rate", "300"]


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, arguments)
    if isinstance(result.exception, DocfleetError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def test_policies_stand_side_by_side_and_on_a_page(tmp_path: Path) -> None:
    said = run(*SMALL, "--policy", "queue", "--policy", "reactive", "--out", str(tmp_path / "out"))
    assert "queue" in said
    assert "reactive" in said
    assert "predictive" not in said
    assert (tmp_path / "out" / "simulation.pdf").read_bytes().startswith(b"%PDF")
    assert (tmp_path / "out" / "simulation.png").read_bytes().startswith(b"\x89PNG")
    written = json.loads((tmp_path / "out" / "simulation.json").read_bytes())
    assert [one["policy"] for one in written] == ["queue", "reactive"]
    assert written[1]["reasons"]
    assert "pdf workers" in written[1]["reasons"][0][1]


def test_json_is_only_json_and_the_same_each_time() -> None:
    said = [run(*SMALL, "--policy", "reactive", "--json") for _ in range(2)]
    assert said[0] == said[1]
    assert json.loads(said[0])[0]["lost"] == 0


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--scenario", "doomsday"], "no scenario doomsday"),
        (["--demand", "nowhere.csv"], "nowhere.csv cannot be read"),
        (["--demand", "a.csv", "--scenario", "day"], "not both"),
        (["--config", "nowhere.toml"], "nowhere.toml cannot be read"),
        (["--policy", "queue-clock"], "needs"),
        (["--exact", "--rate", "1000000"], "too many to be followed one by one"),
    ],
)
def test_wrong_use_is_refused_in_a_sentence(arguments: list[str], reason: str) -> None:
    with pytest.raises(DocfleetError, match=reason):
        run("fleet", "simulate", *arguments)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("[policy]\nmin_wokers = 2", "min_wokers"),
        ("[world.work]\nmean_seconds = 0", "mean_seconds"),
        ("[world.work]\nurgencies = { normal = 0.5 }", "add up to 1"),
        ("tick_seconds = ", "not as it should be"),
    ],
)
def test_a_wrong_settings_file_is_refused_with_its_place(tmp_path: Path, content: str, reason: str) -> None:
    path = tmp_path / "world.toml"
    path.write_text(content)
    with pytest.raises(DocfleetError, match=reason):
        run("fleet", "simulate", "--config", str(path))


def test_help_loads_nothing_of_the_simulator() -> None:
    code = (
        "import sys; from typer.testing import CliRunner; from docfleet.cli.main import app; "
        "CliRunner().invoke(app, ['--help']); "
        "print([name for name in ('simpy', 'sklearn', 'pandas') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
