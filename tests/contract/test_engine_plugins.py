"""Engines from packages of their own: found, run, and, where faulty, harmless to all others."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from docfleet.engines.asking import ask
from docfleet.engines.base import PageImage
from docfleet.engines.registry import BUILTIN, available, check_entry, load
from docfleet.errors import EngineFailed, EngineUnavailable, UsageError

LISTED_WITH_ERROR = {
    "missing-module": "ModuleNotFoundError",
    "missing-factory": "AttributeError",
    "import-error": "this module cannot be imported",
    "import-exit": "SystemExit",
    "factory-error": "KeyError",
    "factory-kill": "ended its process",
    "factory-hang": "did not start within",
    "wrong-protocol": "lacks the protocol",
    "wrong-capabilities": "lacks the protocol",
}
UNSOUND = {
    "raises": "ZeroDivisionError",
    "too-few": "1 answers",
    "too-many": "3 answers",
    "garbage": "is no page",
    "outside": "lies outside",
    "overconfident": "not within 0 and 1",
    "not-a-number": "is no box",
    "empty-answer": "neither words nor a page",
    "wrong-size": "measures",
}


def blank(number: int) -> PageImage:
    return PageImage(number, np.full((60, 80), 255, np.uint8), dpi=72, width=80, height=60)


def run_python(code: str, folder: Path, seconds: float) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=seconds, check=False
    )


def test_a_separately_installed_engine_is_found_and_runs_in_a_process_that_knows_nothing_else(
    shout_folder: Path,
) -> None:
    code = (
        "import numpy as np\n"
        "from docfleet.engines.base import PageImage\n"
        "from docfleet.engines.registry import available, load\n"
        "pixels = np.full((60, 80), 255, np.uint8); pixels[10:20, 10:50] = 0; pixels[30:40, 10:50] = 0\n"
        "entry = available()['shout']\n"
        "engine = load('shout', {'word': 'HEY'})\n"
        "(answer,) = engine.recognise([PageImage(1, pixels, dpi=72, width=80, height=60)])\n"
        "print(entry.package, '|', entry.error, '|', [(word.text, word.box) for word in answer.words.words])\n"
    )
    run = run_python(code, shout_folder, 60)
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == (
        "docfleet-engine-shout 1.2.3 |  | [('HEY', (10.0, 10.0, 50.0, 20.0)), ('HEY', (10.0, 30.0, 50.0, 40.0))]"
    )


def test_listing_imports_no_package(faulty_folder: Path) -> None:
    code = (
        "import sys\nfrom docfleet.engines.registry import available\nnames = set(available())\n"
        "assert {'rapidocr', 'tesseract', 'null', 'import-exit'} <= names, names\n"
        "loaded = [m for m in sys.modules if m.startswith(('docfleet_engine', 'cv2', 'openvino', 'rapidocr'))]\n"
        "assert not loaded, loaded\n"
    )
    run = run_python(code, faulty_folder, 60)
    assert run.returncode == 0, run.stderr


@pytest.mark.usefixtures("faulty_installed")
@pytest.mark.parametrize("name", LISTED_WITH_ERROR)
def test_a_broken_engine_is_listed_with_its_error(name: str) -> None:
    # An engine that hangs is given little time; on a busy machine every other may need much.
    checked = check_entry(available()[name], seconds=5 if name == "factory-hang" else 120)
    assert LISTED_WITH_ERROR[name] in checked.error
    assert checked.capabilities is None
    assert checked.package == "docfleet-engine-faulty 0.0.1"


@pytest.mark.usefixtures("shout_installed")
def test_sound_engines_are_listed_with_what_they_can_do() -> None:
    entries = available(check=True, seconds=120)
    assert list(entries) == ["documentai", "null", "rapidocr", "shout", "tesseract"]
    for name in ("null", "rapidocr", "shout"):
        assert entries[name].error == "", name
        capabilities = entries[name].capabilities
        assert capabilities is not None
        assert capabilities.name == name


@pytest.mark.usefixtures("faulty_installed")
def test_a_package_cannot_take_the_name_of_another_engine() -> None:
    entries = available()
    assert entries["null"].target == BUILTIN["null"]
    taken = entries["null (docfleet-engine-faulty 0.0.1)"]
    assert "already offers" in taken.error
    assert load("null").capabilities.name == "null"
    with pytest.raises(EngineUnavailable, match="already offers"):
        load("null (docfleet-engine-faulty 0.0.1)")


@pytest.mark.usefixtures("faulty_installed")
@pytest.mark.parametrize("name", sorted(set(LISTED_WITH_ERROR) - {"factory-kill", "factory-hang"}))
def test_loading_a_broken_engine_is_an_error_of_our_own(name: str) -> None:
    with pytest.raises(EngineUnavailable, match=name):
        load(name)
    assert load("shout").capabilities.name == "shout"


@pytest.mark.usefixtures("faulty_installed")
@pytest.mark.parametrize("name", UNSOUND)
def test_an_unsound_answer_is_an_error_of_our_own(name: str) -> None:
    with pytest.raises(EngineFailed, match=UNSOUND[name]):
        ask(load(name), [blank(1), blank(2)])


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"no engine called 'nul'.*null, rapidocr, (shout, )?tesseract"):
        load("nul")


@pytest.mark.parametrize("name", BUILTIN)
def test_unknown_options_are_wrong_use(name: str) -> None:
    try:
        with pytest.raises(UsageError, match="colour"):
            load(name, {"colour": "red"})
    except EngineUnavailable as reason:
        pytest.skip(f"this engine is optional and not installed: {reason}")


def test_an_engine_that_kills_or_hangs_its_process_does_so_in_its_own(faulty_folder: Path) -> None:
    code = (
        "import numpy as np, sys\n"
        "from docfleet.engines.asking import ask\nfrom docfleet.engines.base import PageImage\n"
        "from docfleet.engines.registry import load\n"
        "ask(load('{name}'), [PageImage(1, np.zeros((9, 9), np.uint8), dpi=72, width=9, height=9)])\n"
    )
    assert run_python(code.format(name="kills"), faulty_folder, 60).returncode == -9
    started = time.monotonic()
    with pytest.raises(subprocess.TimeoutExpired):
        run_python(code.format(name="hangs"), faulty_folder, 5)
    assert time.monotonic() - started < 30


def test_a_folder_of_documents_cannot_slip_modules_into_a_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    marker = tmp_path / "imported"
    for name in ("msgspec", "docfleet", "re"):
        (tmp_path / f"{name}.py").write_text(f"open({str(marker)!r}, 'w').close()\n")
    monkeypatch.chdir(tmp_path)
    assert check_entry(available()["null"]).error == ""
    assert not marker.exists()
