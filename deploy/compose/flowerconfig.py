"""Flower's own settings: who may look. The user is `docfleet`, the password is drawn at the first start."""

from __future__ import annotations

from pathlib import Path

basic_auth = [f"docfleet:{Path('/run/flower/password').read_text(encoding='utf-8').strip()}"]
max_tasks = 10_000
