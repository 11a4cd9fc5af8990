"""What a service hands on to its processes is what it was set to itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from docfleet.settings import read_settings
from docfleet.stack.serving import environment_of

TOML = """
[reading]
languages = ["de", "en"]
[cascade]
cloud_engine = "documentai"
max_wait_ms = {normal = 250}
[documentai]
project = "p"
locations = ["eu", "us"]
premium = ["style"]
[documentai.residency]
acme = ["eu"]
[[documentai.processors]]
id = "abc"
location = "eu"
version = "pretrained-ocr-v2.1-2024-08-07"
[[documentai.processors]]
id = "def"
location = "us"
[documentai.overrides.quotas.online_requests_per_minute]
eu = 600
"""


@pytest.mark.parametrize("toml", ["", TOML])
def test_every_setting_survives_the_way_to_another_process(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, toml: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "docfleet.toml").write_text(toml)
    told = read_settings()
    (tmp_path / "docfleet.toml").unlink()
    for name, value in environment_of(told).items():
        monkeypatch.setenv(name, value)
    assert read_settings() == told
