"""The service part of the quickstart, run as it stands: `docfleet serve`, the commands, curl, Python."""

from __future__ import annotations

import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from running import ROOT, docfleet

QUICKSTART = (ROOT / "docs" / "quickstart.md").read_text(encoding="utf-8")


def block(mark: str) -> str:
    """The code between `<!-- run: MARK -->` and `<!-- /run -->`."""
    found = re.search(rf"<!-- run: {mark} -->\n```\w+\n(.*?)^```\n<!-- /run -->", QUICKSTART, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """`docfleet serve` in a folder of its own, where the samples are at hand."""
    here = tmp_path_factory.mktemp("serve")
    (here / "samples").symlink_to(ROOT / "samples")
    with (here / "serve.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "docfleet", "serve", "--json", "--port", "0", "--slots", "1"],
            cwd=here, stdout=subprocess.PIPE, stderr=log, start_new_session=True,
        )  # fmt: skip
    try:
        assert process.stdout is not None
        ready, _, _ = select.select([process.stdout], [], [], 60)
        line = process.stdout.readline() if ready else b""
        assert line, (here / "serve.log").read_text()
        yield {**json.loads(line), "here": here}
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(45)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        assert process.stdout is not None
        process.stdout.close()


def plain_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("DOCFLEET_")}


def test_the_commands_find_the_service_by_its_file(served: dict[str, Any]) -> None:
    here = served["here"]
    line = next(line for line in QUICKSTART.splitlines() if line.startswith("docfleet submit "))
    ran = subprocess.run(
        [sys.executable, "-m", *line.split()], cwd=here, env=plain_environment(), capture_output=True, text=True,
        timeout=180, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    out = here / "results-service"
    assert (out / "invoice-01" / "document.json").is_file()
    assert (out / "contract" / "searchable.pdf").is_file()
    assert [row["outcome"] for row in json.loads((out / "index.json").read_text())] == ["succeeded", "succeeded"]
    shown = docfleet("inspect", out / "invoice-01")
    assert shown.exit_code == 0, shown.stderr


@pytest.mark.skipif(shutil.which("curl") is None, reason="this machine has no curl")
def test_the_curl_lines(served: dict[str, Any]) -> None:
    script = block("curl")
    for name, value in (("DOCFLEET_URL", served["url"]), ("DOCFLEET_API_KEY", served["api_key"])):
        script, changed = re.subn(rf"^export {name}=.*$", f"export {name}={value}", script, flags=re.MULTILINE)
        assert changed == 1
    # each line's failure counts, also that of HTTP
    script = "set -eu\n" + re.sub(r"\bcurl -s", "curl --fail-with-body -s", script)
    ran = subprocess.run(
        ["bash", "-c", script], cwd=served["here"], env=plain_environment(), capture_output=True, text=True,
        timeout=180, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    made = json.loads((served["here"] / "document.json").read_text())
    assert (made["priority"], made["labels"]) == ("high", {"customer": "4711"})
    waited = json.JSONDecoder().raw_decode(ran.stdout.lstrip())[0]
    assert (waited["id"], waited["state"]) == (made["id"], "succeeded")
    assert (served["here"] / "invoice.txt").stat().st_size > 100
    assert "event: document.succeeded" in ran.stdout
    assert made["id"] in ran.stdout.rpartition('"items"')[2]


def test_the_python_lines(served: dict[str, Any]) -> None:
    started = time.monotonic()
    ran = subprocess.run(
        [sys.executable, "-c", block("python")], cwd=served["here"], env=plain_environment(), capture_output=True,
        text=True, timeout=180, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("succeeded ")
    assert time.monotonic() - started < 120
