#!/usr/bin/env python3
"""Builds the images where no registry is reachable: buildah with chroot isolation, on a base made by debootstrap.

    sudo deploy/images/build_offline.py [TARGET …]

It needs root, buildah, debootstrap, a Debian mirror and a Python package index, and no daemon. Packages are fetched
once, inside the base and by the pip configuration of this machine (index, proxy, certificates), which is mounted and
never copied; the build itself asks no index. `deploy/images/run_document.py` then tries the images.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = ROOT / "deploy" / "Dockerfile"
TARGETS = ("api", "dispatcher", "worker-pdf", "worker-image", "worker-cloud", "documentai-server", "console")
PACKAGES = "ca-certificates,python3,python3-venv,tini"
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
FETCH = """
set -eu
python3 -m venv /opt/fetch
for lock in "$@"; do
    /opt/fetch/bin/python -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes \
        --only-binary :all: --requirement "/requirements/$lock.txt" --dest /wheels
done
"""


class Buildah:
    """buildah with storage of its own, so that nothing of the machine's is touched."""

    def __init__(self, folder: Path, driver: str) -> None:
        self._command = ["buildah", "--root", str(folder / "storage"), "--runroot", str(folder / "run")]
        self._command += ["--storage-driver", driver]

    def __call__(self, *arguments: str) -> str:
        """What it printed. Its messages go to this terminal; raises CalledProcessError."""
        command = [*self._command, *arguments]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT).stdout.strip()

    def has(self, image: str) -> bool:
        command = [*self._command, "inspect", "--type", "image", image]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0


def make_base(buildah: Buildah, folder: Path, suite: str, mirror: str) -> str:
    """The name of the base image, made by debootstrap unless it is there."""
    name = f"localhost/docfleet-base:{suite}"
    if buildah.has(name):
        return name
    tree = folder / "base"
    shutil.rmtree(tree, ignore_errors=True)
    say(f"debootstrap {suite} {mirror}".rstrip())
    subprocess.run(
        ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", suite, str(tree), *([mirror] if mirror else [])],
        check=True,
        stdout=sys.stderr,
    )
    for left in (*(tree / "var/cache/apt/archives").glob("*.deb"), *(tree / "var/lib/apt/lists").glob("*_*")):
        left.unlink()
    container = buildah("from", "scratch")
    buildah("add", "--quiet", container, str(tree), "/")
    buildah("config", "--cmd", "/usr/bin/python3", container)
    buildah("commit", "--quiet", "--rm", "--format", "docker", container, name)
    shutil.rmtree(tree)
    return name


def pip_settings() -> dict[str, str]:
    """What pip of this machine is told by files and environment: name -> value."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], check=True, capture_output=True, text=True
    ).stdout
    found: dict[str, str] = {}
    for line in listed.splitlines():
        key, _, value = line.partition("=")
        section, _, name = key.partition(".")
        if section in ("global", ":env:", "download"):
            found[name] = value.strip("'\"").replace("\\n", " ")
    return found


def fetch_wheels(buildah: Buildah, base: str, folder: Path, locks: Sequence[str]) -> Path:
    """A folder with every wheel of these locks, fetched by the base's own Python: markers look at its exact version."""
    wheels, config, stamp = folder / "wheels", folder / "pip.conf", folder / "wheels.of"
    texts = [(ROOT / "deploy/requirements" / f"{lock}.txt").read_bytes() for lock in locks]
    image = buildah("inspect", "--type", "image", "--format", "{{.FromImageID}}", base)
    wanted = sha256(b"".join([image.encode(), *texts])).hexdigest()
    if stamp.is_file() and stamp.read_text() == wanted:
        return wheels
    wheels.mkdir(exist_ok=True)
    settings = {**pip_settings(), "cert": str(CERTIFICATES)}
    config.touch(mode=0o600)  # it may hold the password of an index
    config.write_text("[global]\n" + "".join(f"{name} = {value}\n" for name, value in settings.items()))
    mounts = [f"{wheels}:/wheels", f"{ROOT / 'deploy/requirements'}:/requirements:ro", f"{config}:/etc/pip.conf:ro"]
    mounts.append(f"{CERTIFICATES}:{CERTIFICATES}:ro")
    local = {Path(word.removeprefix("file://")) for value in settings.values() for word in value.split()}
    # the pages of an index in a folder point to files beside it
    local = {path.parent if path.name == "simple" else path for path in local}
    mounts += [f"{path}:{path}:ro" for path in sorted(local) if path.is_absolute() and path.is_dir()]
    proxies = [f"--env={name}={value}" for name, value in os.environ.items() if name.lower().endswith("_proxy")]
    container = buildah("from", "--pull-never", base)
    try:
        volumes = [f"--volume={mount}" for mount in mounts]
        buildah("run", "--isolation=chroot", *volumes, *proxies, container, "--", "sh", "-c", FETCH, "sh", *locks)
    finally:
        buildah("rm", container)
        config.unlink()
    stamp.write_text(wanted)
    return wheels


def build(buildah: Buildah, target: str, base: str, wheels: Path, version: str, revision: str) -> None:
    """One target of the Dockerfile as localhost/docfleet-TARGET."""
    buildah(
        *("build", "--isolation=chroot", "--layers", "--format=docker", "--pull-never", "--quiet"),
        f"--build-context=wheels={wheels}",
        *(f"--build-arg={name}={value}" for name, value in {
            "BASE_IMAGE": base, "PIP_NO_INDEX": "1", "VERSION": version, "REVISION": revision,
        }.items()),
        *("--file", str(DOCKERFILE), "--target", target, "--tag", f"localhost/docfleet-{target}:latest", str(ROOT)),
    )  # fmt: skip


def locks_of(dockerfile: str) -> list[str]:
    return sorted(set(re.findall(r"^COPY deploy/requirements/(.+)\.txt ", dockerfile, re.MULTILINE)))


def revision_of() -> str:
    told = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    return told.stdout.strip() or "unknown"


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", nargs="*", choices=[*TARGETS, []], help=f"default: all of {', '.join(TARGETS)}")
    parser.add_argument("--folder", type=Path, default=ROOT / ".images", help="storage, wheels and base go here")
    parser.add_argument(
        "--suite", default="bookworm", help="Debian release of the base; python3 has to be 3.11 or later"
    )
    parser.add_argument("--mirror", default="", help="of Debian; default: that of debootstrap")
    parser.add_argument("--storage-driver", default="overlay", help="vfs where the kernel has no overlay; far slower")
    options = parser.parse_args()
    missing = [name for name in ("buildah", "debootstrap") if shutil.which(name) is None]
    if missing or os.geteuid() != 0:
        say(f"needs root and {' and '.join(missing or ['nothing else'])} (apt-get install buildah debootstrap)")
        return 2
    folder = options.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    buildah = Buildah(folder, options.storage_driver)
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    try:
        base = make_base(buildah, folder, options.suite, options.mirror)
        say("packages")
        wheels = fetch_wheels(buildah, base, folder, locks_of(DOCKERFILE.read_text()))
        for target in options.target or TARGETS:
            say(f"image {target}")
            build(buildah, target, base, wheels, version, revision_of())
    except subprocess.CalledProcessError as error:
        say(f"{' '.join(error.cmd[:1])} failed with exit code {error.returncode}")
        return 1
    print(buildah("images", "--filter", "reference=localhost/docfleet-*"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
