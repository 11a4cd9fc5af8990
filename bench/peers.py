"""The programs docfleet is measured against, each in an environment of its own under `.bench/peers`.

    python -m bench.peers        set them up and say what is there and what is missing

Python packages are installed with pip, from wherever this machine's pip installs. Tesseract and the programs beside it
are Debian packages: installed when they are missing and this runs as root, else named as missing. What is there already
is left as it is, so a second call takes no time; remove `.bench/peers` to get new versions.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.corpora import WORK

FOLDER = WORK / "peers"
PACKAGES = ("ocrmypdf", "kreuzberg")
PROGRAMS = {
    "tesseract": "tesseract-ocr",
    "gs": "ghostscript",
    "unpaper": "unpaper",
    "pngquant": "pngquant",
}
"""Programs and their Debian packages. Both peers need Tesseract; the others ocrmypdf uses where it finds them."""
NEEDED = ("tesseract",)
_INSTALL_SECONDS = 900.0
_ASK_SECONDS = 60.0


class PeerMissing(Exception):
    """A peer cannot be measured here; the message says what is missing."""


@dataclass(frozen=True)
class Peer:
    """A peer that is ready to run."""

    name: str
    version: str
    python: Path
    """Interpreter of its environment."""


def ready(name: str) -> Peer:
    """The peer's environment, made on the first call. Raises PeerMissing with what is missing."""
    missing = [program for program in missing_programs() if program in NEEDED]
    if missing:
        raise PeerMissing(f"{', '.join(missing)} is not installed and could not be ({_by_hand(missing)})")
    folder = FOLDER / name
    python = folder / "bin" / "python"
    stamp = folder / "installed"
    if not stamp.exists():
        shutil.rmtree(folder, ignore_errors=True)
        venv.create(folder, with_pip=True)
        pip: list[str | Path] = [python, "-m", "pip", "--disable-pip-version-check", "--no-input", "install", "--quiet"]
        failed = _run([*pip, name], _INSTALL_SECONDS)
        if failed:
            raise PeerMissing(f"pip could not install {name}: {failed}")
        stamp.write_text(_version_of(python, name), encoding="utf-8")
    return Peer(name, stamp.read_text(encoding="utf-8"), python)


def installed() -> dict[str, str]:
    """Versions of the peers whose environments are there; nothing is installed."""
    stamps = {name: FOLDER / name / "installed" for name in PACKAGES}
    return {name: stamp.read_text(encoding="utf-8") if stamp.exists() else "missing" for name, stamp in stamps.items()}


def missing_programs() -> list[str]:
    """Programs that are not on PATH, after having tried to install them as root."""
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    tried = FOLDER / "programs-tried"
    if missing and os.geteuid() == 0 and shutil.which("apt-get") and not tried.exists():
        _install_programs([PROGRAMS[program] for program in missing])
        FOLDER.mkdir(parents=True, exist_ok=True)
        tried.write_text("\n".join(missing), encoding="utf-8")
        missing = [program for program in missing if shutil.which(program) is None]
    return missing


def program_versions() -> dict[str, str]:
    """First line of each program's `--version`; "missing" where it is not there."""
    return {program: _program_version(program) for program in PROGRAMS}


def _program_version(program: str) -> str:
    if shutil.which(program) is None:
        return "missing"
    answer = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=_ASK_SECONDS, check=False)
    lines = (answer.stdout or answer.stderr).splitlines()
    return lines[0].removeprefix(program).strip() if lines else "unknown"


def _install_programs(packages: Sequence[str]) -> None:
    """One at a time, so that one that cannot be had does not take the others along; failures show as still missing."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    _run(["apt-get", "update", "-qq"], _INSTALL_SECONDS, environment)
    for package in packages:
        _run(["apt-get", "install", "-qq", "-y", "--no-install-recommends", package], _INSTALL_SECONDS, environment)


def _by_hand(programs: Sequence[str]) -> str:
    return f"as root: apt-get install {' '.join(PROGRAMS[program] for program in programs)}"


def _version_of(python: Path, package: str) -> str:
    source = "import importlib.metadata, sys; print(importlib.metadata.version(sys.argv[1]))"
    command = [str(python), "-c", source, package]
    return subprocess.run(command, capture_output=True, text=True, timeout=_ASK_SECONDS, check=True).stdout.strip()


def _run(command: Sequence[str | Path], seconds: float, env: dict[str, str] | None = None) -> str:
    """Runs quietly; "" when it went well, else the end of what it said."""
    try:
        done = subprocess.run(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=seconds,
            env=env,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"not done after {seconds:.0f} s"
    except OSError as error:
        return str(error)
    said = [line for line in done.stdout.splitlines() if line.strip()] or [f"exit code {done.returncode}"]
    return said[-1][:300] if done.returncode else ""


def main() -> int:
    complete = True
    for name in PACKAGES:
        try:
            peer = ready(name)
        except PeerMissing as missing:
            print(f"{name}: {missing}")
            complete = False
        else:
            print(f"{name} {peer.version}: {peer.python.parent.parent}")
    for program, version in program_versions().items():
        print(f"{program}: {version}")
    lacking = missing_programs()
    if lacking:
        print(f"to install what is missing, {_by_hand(lacking)}")
    return 0 if complete else 1


if __name__ == "__main__":
    sys.exit(main())
