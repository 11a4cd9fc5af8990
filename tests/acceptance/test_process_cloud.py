"""`docfleet process` with a cloud engine, alone or as its last step, against the real `docfleet documentai-server`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw, ImageFont

from running import docfleet, end, index_of, start

CONFIG = """
[documentai]
project = "p"
endpoint = "{endpoint}"
insecure = true
anonymous = true
patience_seconds = 30.0
overrides = {{ prices = {{ ocr = {{ free_pages = {free} }} }} }}

[[documentai.processors]]
id = "ocr"
location = "eu"

[cascade]
escalate_below = {below}
"""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """Address of a server that answers every page as an empty one."""
    process = start("documentai-server", "--grpc-port", 0, "--rest-port", -1, "--readers", 1, "--engine", "null")
    try:
        assert process.stdout is not None
        said = process.stdout.readline().decode()
        yield said.split()[-1].rpartition("/")[2]
    finally:
        end(process)
        process.communicate()


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two scans of a word each."""
    folder = tmp_path_factory.mktemp("scans")
    for name in ("one", "two"):
        image = Image.new("L", (260, 90), 255)
        ImageDraw.Draw(image).text((20, 25), name, fill=0, font=ImageFont.load_default(36))
        image.save(folder / f"{name}.png")
    return folder


def config(folder: Path, endpoint: str, *, below: float = 1.0, free: int = 0) -> dict[str, str]:
    """The environment of a command that sends pages to `endpoint`."""
    path = folder / "docfleet.toml"
    path.write_text(CONFIG.format(endpoint=endpoint, below=below, free=free))
    return {"DOCFLEET_CONFIG": str(path)}


def page_of(out: Path, name: str) -> dict[str, Any]:
    [page] = json.loads((out / name / "outcome.json").read_text())["pages"]
    return page  # type: ignore[no-any-return]


def test_pages_read_poorly_are_read_again_as_far_as_the_limit_goes(tmp_path: Path, server: str, scans: Path) -> None:
    out = tmp_path / "out"
    ran = docfleet(
        "process", scans, "--out", out, "--escalate", "documentai", "--max-usd", 0.002, "--json", "--no-report",
        env=config(tmp_path, server),
    )  # fmt: skip
    assert ran.exit_code == 0, ran.stderr
    [stands, again] = sorted([page_of(out, name) for name in ("one", "two")], key=lambda page: page["cost_usd"])
    assert (again["engine"], again["reason"], again["outcome"]) == ("documentai", "low_confidence", "read")
    assert "rapidocr was" in again["detail"]
    assert "documentai was" in again["detail"]
    assert again["cost_usd"] == 0.0015 == ran.summary["spent_usd"]
    assert (stands["engine"], stands["outcome"], stands["cost_usd"]) == ("rapidocr", "read", 0)
    assert "limit of this run" in stands["detail"]
    assert stands["characters"] >= 3


@pytest.mark.slow
def test_a_cloud_engine_for_all_pages_keeps_to_the_limit_and_the_next_run_goes_on(
    tmp_path: Path, server: str, scans: Path
) -> None:
    out = tmp_path / "out"
    command = ("process", scans, "--out", out, "--engine", "documentai", "--max-usd", 0.002, "--no-report", "--json")
    env = config(tmp_path, server)
    first = docfleet(*command, env=env)
    assert (first.exit_code, first.summary["spent_usd"]) == (1, 0.0015)
    assert sorted(row["code"] for row in index_of(out).values()) == ["", "budget_exhausted"]
    second = docfleet(*command, env=env)
    assert (second.exit_code, second.summary["spent_usd"]) == (0, 0.0015)


@pytest.mark.slow
def test_free_pages_are_free_once(tmp_path: Path, server: str, scans: Path) -> None:
    out = tmp_path / "out"
    ran = docfleet(
        "process", scans, "--out", out, "--engine", "documentai", "--json", "--no-report",
        env=config(tmp_path, server, free=1),
    )  # fmt: skip
    assert ran.summary["spent_usd"] == 0.0015
    assert sorted(page_of(out, name)["cost_usd"] for name in ("one", "two")) == [0.0, 0.0015]


@pytest.mark.slow
def test_an_engine_that_is_not_set_up_is_told(tmp_path: Path, scans: Path) -> None:
    path = tmp_path / "docfleet.toml"
    path.write_text("[cascade]\nescalate_below = 1.0\n")
    ran = docfleet(
        "process", scans, "--out", tmp_path / "out", "--escalate", "documentai", env={"DOCFLEET_CONFIG": str(path)}
    )
    assert ran.exit_code == 2
    assert "names no processor" in ran.stderr
