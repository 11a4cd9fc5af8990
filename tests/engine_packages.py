"""Engine packages of tests/engines, built and installed as a stranger's would be."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

PACKAGES = Path(__file__).parent / "engines"


def install(package: str, work: Path, target: Path) -> None:
    """Builds the wheel of tests/engines/`package` without a network and installs it into `target`.

    A pure wheel is installed by unpacking it (the wheel format's own definition), so no installer is needed.
    """
    source = work / package
    shutil.copytree(PACKAGES / package, source)
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(work)],
        cwd=source,
        check=True,
        capture_output=True,
        timeout=120,
    )
    (wheel,) = work.glob(f"{package}-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
