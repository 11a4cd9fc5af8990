"""`docfleet up --autoscale` as its users run it: a burst comes, workers come, the burst is read, workers go."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from autoscale_driver import POOL, Burst, Story, run_burst, running_up
from docfleet.errors import UsageError
from docfleet.settings.scaling import PoolScalingSettings, ScalingSettings
from docfleet.stack.autoscaling import bounds_of, scaling_here
from docfleet.stack.sizing import Bounds
from engine_packages import install
from running import docfleet

BACK_SECONDS = 30.0


@pytest.fixture(scope="module")
def plugins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("chaos-site")
    install("docfleet_engine_chaos", tmp_path_factory.mktemp("chaos-build"), target)
    return target


def check(story: Story, burst: Burst) -> None:
    """All read, each once, nothing held against any; up to the maximum and down again; and the log says why."""
    assert story.states == {"succeeded": burst.documents}
    assert story.faults == {"crash": 0, "error": 0, "loss": 0, "begun anew": 0}
    assert story.peak == burst.max_workers
    assert story.changes[-1]["workers"] == 1
    # one that was still starting when it was not wanted any more has no say in how it ends
    assert set(story.drain_codes) <= {0, -signal.SIGTERM}
    assert len(story.drain_codes) >= burst.max_workers - 1
    sizes = [workers for _, _, workers, _ in story.decisions]
    assert max(sizes) == burst.max_workers
    assert sizes[-1] == 1
    grown = [reason for _, before, workers, reason in story.decisions if workers > before]
    shrunk = [reason for _, before, workers, reason in story.decisions if workers < before]
    assert any("waiting" in reason for reason in grown), grown
    told = [f"{before} → {workers} {POOL} workers: " for _, before, workers, _ in story.decisions[1:]]
    assert all(reason.startswith(line) for line, (_, _, _, reason) in zip(told, story.decisions[1:], strict=True))
    assert shrunk


@pytest.mark.slow
def test_workers_come_with_a_burst_and_go_after_it_and_every_document_is_read_once(
    tmp_path: Path, plugins: Path
) -> None:
    burst = Burst(documents=40, max_workers=3, down_window_seconds=4.0, target_share=0.2)
    with running_up(tmp_path, plugins, burst) as up:
        story = run_burst(up, burst)
        env = {"DOCFLEET_URL": up.url, "DOCFLEET_API_KEY": up.key}
        told = docfleet("fleet", "explain", "image", "--json", env=env)
        assert told.exit_code == 0, told.stderr
        assert "workers" in json.dumps(json.loads(told.stdout))
        # what is in the way of a stop in order is told in the log
        log = up.log.read_text()
    check(story, burst)
    assert "drain_took_too_long" not in log
    assert "Traceback" not in log


@pytest.mark.slow
def test_the_master_dies_in_mid_burst_and_nothing_is_lost(tmp_path: Path, plugins: Path) -> None:
    burst = Burst(documents=150, max_workers=3, sentinel=True)
    with running_up(tmp_path, plugins, burst) as up:
        story = run_burst(up, burst)
    check(story, burst)
    assert story.longest_gap < BACK_SECONDS
    assert story.hints_after_kill is not None
    assert story.hints_after_kill < BACK_SECONDS
    assert story.old_master_follows


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--max-workers", 3], "--autoscale"),
        (["--autoscale", "--workers", 3], "--max-workers"),
        (["--autoscale", "--min-workers", 5, "--max-workers", 3], "at least 5"),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_sentence(arguments: list[object], said: str, tmp_path: Path) -> None:
    ran = docfleet("up", "--port", 0, *arguments, env={**os.environ, "DOCFLEET_CONFIG": ""})
    assert (ran.exit_code, said in ran.stderr) == (2, True), ran.stderr
    assert "Traceback" not in ran.stderr


def test_settings_meant_for_a_fleet_of_machines_become_those_of_one() -> None:
    here = scaling_here(ScalingSettings(), None, None, machine_most=4)
    assert (here.min_workers, here.max_workers, here.start_seconds) == (1, 4, 5.0)
    assert not here.scale_to_zero
    kept = scaling_here(ScalingSettings(max_workers=20, start_seconds=9.0), None, None, machine_most=4)
    assert (kept.max_workers, kept.start_seconds) == (20, 9.0)
    none = scaling_here(ScalingSettings(), 0, 2, machine_most=4)
    assert (none.min_workers, none.max_workers, none.scale_to_zero) == (0, 2, True)
    assert scaling_here(ScalingSettings(), 6, None, machine_most=4).max_workers == 6


def test_a_pool_may_have_bounds_of_its_own_unless_the_command_line_says_so() -> None:
    own = ScalingSettings(pools={"pdf": PoolScalingSettings(max_workers=7)})
    assert bounds_of(scaling_here(own, None, None, 4), ["pdf", "image"]) == {"pdf": Bounds(1, 7), "image": Bounds(1, 4)}
    asked = scaling_here(own, None, 3, 4)
    assert bounds_of(asked, ["pdf", "image"]) == {"pdf": Bounds(1, 3), "image": Bounds(1, 3)}
    with pytest.raises(UsageError, match="pdf"):
        bounds_of(ScalingSettings(pools={"pdf": PoolScalingSettings(min_workers=11)}), ["pdf"])
