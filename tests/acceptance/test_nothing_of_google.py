"""Whoever set up no cloud engine loads nothing of it, in whatever process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from docfleet.client import Client
from running import SAMPLES

_SPY = """
import os, sys
class Spy:
    def find_spec(self, name, path=None, target=None):
        if name in ("grpc", "google.cloud", "google.auth", "google.api_core", "proto"):
            open(os.path.join({folder!r}, f"{{os.getpid()}}-{{name}}"), "w").write(" ".join(sys.argv))
        return None
open(os.path.join({folder!r}, f"process-{{os.getpid()}}"), "w").close()
sys.meta_path.insert(0, Spy())
"""


def _spied(folder: Path) -> dict[str, str]:
    """An environment in which every process says who it is and what it loads of Google's."""
    told = folder / "told"
    told.mkdir()
    (folder / "spy").mkdir()
    (folder / "spy" / "sitecustomize.py").write_text(_SPY.format(folder=str(told)))
    path = os.pathsep.join([str(folder / "spy"), *filter(None, [os.environ.get("PYTHONPATH", "")])])
    return {**os.environ, "PYTHONPATH": path}


def _found(folder: Path) -> tuple[int, list[str]]:
    names = [path.name for path in (folder / "told").iterdir()]
    return sum(name.startswith("process-") for name in names), [n for n in names if not n.startswith("process-")]


def test_process_loads_nothing_of_google(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "docfleet",
        "process",
        str(SAMPLES / "half-scan.pdf"),
        "--out",
        str(tmp_path / "out"),
    ]
    subprocess.run([*command, "--engine", "null", "-w", "1"], env=_spied(tmp_path), check=True, capture_output=True)
    processes, loaded = _found(tmp_path)
    assert processes >= 3, "the command, a worker and its sandbox"
    assert loaded == []


def test_the_service_loads_nothing_of_google(tmp_path: Path) -> None:
    data = tmp_path / "data"
    command = [sys.executable, "-m", "docfleet", "serve", "--port", "0", "--data", str(data), "--slots", "1", "--json"]
    process = subprocess.Popen(
        [*command, "--engine", "null"], env=_spied(tmp_path), stdout=subprocess.PIPE, text=True, cwd=tmp_path
    )
    assert process.stdout is not None
    try:
        said = json.loads(process.stdout.readline())
        with Client(said["url"], said["api_key"]) as client:
            assert client.submit(SAMPLES / "half-scan.pdf").wait(60).state == "succeeded"
    finally:
        process.terminate()
        process.wait(60)
        process.stdout.close()
    processes, loaded = _found(tmp_path)
    assert processes >= 4, "the service, a worker, a slot and its sandbox"
    assert loaded == []
