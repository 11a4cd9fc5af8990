#!/usr/bin/env python3
"""Runs a document through the built images: API, dispatcher and a worker for PDFs, over a SQLite ledger in one volume.

    deploy/images/run_document.py [--engine docker|podman|buildah] [--prefix docfleet- --tag local]

Every container has a read-only root file system, no capability and no way to gain one, and its own unprivileged user.
What is checked: each becomes healthy, nothing but /tmp and the data folder can be written, the text of the document is
right, and each ends by itself with exit code 0 when it is told to stop. `buildah` runs the same images with chroot
isolation where no container can be made; that has no read-only root and no health checks, and the check of these is
left out and said so. Needs nothing but Python and the engine; buildah needs root.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "samples" / "invoice-01.pdf"
SCAN = ROOT / "samples" / "form-scan.pdf"
DATA = "/var/lib/docfleet"
USER = 10001
PATIENCE_SECONDS = 180.0
STOP_SECONDS = 35
ENVIRONMENT = {"DOCFLEET_SERVICE__MASTER_KEY_FILE": f"{DATA}/master.key", "DOCFLEET_FLEET__SLOTS": "1"}
PYTHON = "/opt/docfleet/bin/python"
PIECES = {
    "api": ("api", ["api", "--host", "127.0.0.1"]),
    "dispatcher": ("dispatcher", ["dispatcher", "--liveness", "/tmp/alive"]),
    "worker": ("worker-pdf", ["worker", "--pool", "pdf", "--liveness", "/tmp/alive"]),
}
"""Piece -> image and arguments: those of the image, but for the API, which listens on this machine alone."""
CANNOT_WRITE = (
    "import os; print([p for p in ('/', '/etc/docfleet', '/opt/docfleet') if os.access(p, os.W_OK)], os.getuid())"
)


class Failed(Exception):
    """What was found wrong, as a sentence."""


class Containers:
    """docker or podman."""

    is_confined = True

    def __init__(self, engine: Sequence[str], name_of: Callable[[str], str], data: Path, port: int) -> None:
        self._engine, self._name_of, self._data, self._port = list(engine), name_of, data, port
        self._run = f"docfleet-try-{uuid.uuid4().hex[:8]}"

    def _options(self) -> list[str]:
        environment = {**ENVIRONMENT, "DOCFLEET_API__PORT": str(self._port)}
        return [
            *("--network", "host", "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
            *("--tmpfs", "/tmp:rw,size=512m,mode=1777", "--volume", f"{self._data}:{DATA}"),
            *(f"--env={name}={value}" for name, value in environment.items()),
        ]

    def once(self, image: str, *arguments: str, entrypoint: str = "") -> str:
        """What a command printed that runs in a fresh container."""
        entry = ["--entrypoint", entrypoint] if entrypoint else []
        return said([*self._engine, "run", "--rm", *self._options(), *entry, self._name_of(image), *arguments])

    def start(self, piece: str, image: str, arguments: Sequence[str]) -> None:
        # podman has systemd look after health, which is not everywhere: then it is asked below
        watched = [] if self._engine[0] == "docker" else ["--no-healthcheck"]
        name = ["--detach", "--name", f"{self._run}-{piece}"]
        said([*self._engine, "run", *name, *watched, *self._options(), self._name_of(image), *arguments])

    def is_well(self, piece: str) -> bool:
        """By the health check of its image."""
        name = f"{self._run}-{piece}"
        if self._engine[0] == "docker":
            return said([*self._engine, "inspect", "--format", "{{.State.Health.Status}}", name]) == "healthy"
        image = self._name_of(PIECES[piece][0])
        kind, *check = json.loads(
            said([*self._engine, "image", "inspect", "--format", "{{json .HealthCheck.Test}}", image])
        )
        if kind != "CMD":
            raise Failed(f"the health check of {image} is run by a shell: {kind}")
        return subprocess.run([*self._engine, "exec", name, *check], capture_output=True, check=False).returncode == 0

    def stop(self, piece: str) -> int:
        name = f"{self._run}-{piece}"
        said([*self._engine, "stop", "--time", str(STOP_SECONDS), name])
        return int(said([*self._engine, "inspect", "--format", "{{.State.ExitCode}}", name]))

    def logs(self, piece: str) -> str:
        done = subprocess.run(
            [*self._engine, "logs", "--tail", "20", f"{self._run}-{piece}"], capture_output=True, text=True
        )
        return done.stdout + done.stderr

    def clear(self) -> None:
        names = [f"{self._run}-{piece}" for piece in PIECES]
        subprocess.run([*self._engine, "rm", "--force", *names], capture_output=True, check=False)


class Chroots:
    """buildah with chroot isolation: the same files and the same user, and no container round them."""

    is_confined = False

    def __init__(self, engine: Sequence[str], name_of: Callable[[str], str], data: Path, port: int) -> None:
        self._engine, self._name_of, self._data, self._port = list(engine), name_of, data, port
        self._trees: dict[str, str] = {}
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._logs = Path(tempfile.mkdtemp(prefix="docfleet-try-"))

    def _command(self, image: str, command: Sequence[str]) -> list[str]:
        if image not in self._trees:
            self._trees[image] = said([*self._engine, "from", "--pull-never", self._name_of(image)])
        environment = {**ENVIRONMENT, "DOCFLEET_API__PORT": str(self._port)}
        return [
            *self._engine, "run", "--isolation", "chroot", "--volume", f"{self._data}:{DATA}",
            *(f"--env={name}={value}" for name, value in environment.items()),
            self._trees[image], "--", *command,
        ]  # fmt: skip

    def once(self, image: str, *arguments: str, entrypoint: str = "/opt/docfleet/bin/docfleet") -> str:
        return said(self._command(image, [entrypoint, *arguments]))

    def start(self, piece: str, image: str, arguments: Sequence[str]) -> None:
        command = self._command(image, ["/usr/bin/tini", "-s", "--", "/opt/docfleet/bin/docfleet", *arguments])
        with (self._logs / piece).open("wb") as log:
            self._running[piece] = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)

    def is_well(self, piece: str) -> bool:
        image, arguments = PIECES[piece]
        check = ["api"] if piece == "api" else ["file", arguments[-1]]
        command = [PYTHON, "-I", "/usr/local/lib/docfleet/healthcheck.py", *check]
        return subprocess.run(self._command(image, command), capture_output=True, check=False).returncode == 0

    def stop(self, piece: str) -> int:
        """Tells tini, as an engine tells process 1; buildah itself passes no signal on."""
        process = self._running.pop(piece)
        inits = [child for child in descendants(process.pid) if name_of_process(child) == "tini"]
        for child in inits:
            os.kill(child, signal.SIGTERM)
        try:
            return process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            return -1

    def logs(self, piece: str) -> str:
        return (self._logs / piece).read_text(errors="replace")[-2000:]

    def clear(self) -> None:
        for process in self._running.values():
            for child in [*descendants(process.pid), process.pid]:
                try:
                    os.kill(child, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            process.wait()
        if self._trees:
            said([*self._engine, "rm", *self._trees.values()])
        shutil.rmtree(self._logs)


def said(command: Sequence[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failed(
            f"{' '.join(command[:2])} … {command[-1]}: exit code {done.returncode}\n{done.stdout}{done.stderr}"
        )
    return done.stdout.strip()


def descendants(pid: int) -> list[int]:
    """The deepest first; children belong to the thread that made them."""
    found: list[int] = []
    for thread in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in thread.read_text().split():
            found += [*descendants(int(child)), int(child)]
    return found


def name_of_process(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def request(url: str, key: str, body: bytes | None = None) -> bytes:
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/octet-stream"}
    with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=120) as answer:
        content: bytes = answer.read()
    return content


def read_through(url: str, key: str, sample: Path, words: Sequence[str]) -> None:
    """Submits a document, waits for it, and looks for words in its text."""
    began = time.monotonic()
    document = json.loads(request(f"{url}/v1/documents?name={sample.name}", key, sample.read_bytes()))
    while document["state"] not in ("succeeded", "partial", "failed", "cancelled"):
        if time.monotonic() - began > PATIENCE_SECONDS:
            raise Failed(f"{sample.name} is still {document['state']}")
        document = json.loads(request(f"{url}/v1/documents/{document['id']}?wait=20", key))
    text = request(f"{url}/v1/documents/{document['id']}/results/txt", key).decode()
    missing = [word for word in words if word not in text]
    if document["state"] != "succeeded" or missing:
        raise Failed(f"{sample.name} is {document['state']}, without {missing}: {text[:300]!r}")
    print(f"{sample.name}: {document['state']} in {time.monotonic() - began:.1f} s, {len(text):,} characters")


def wait_until_well(engine: Containers | Chroots) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    for piece in PIECES:
        while not engine.is_well(piece):
            if time.monotonic() > deadline:
                raise Failed(f"{piece} is not well:\n{engine.logs(piece)}")
            time.sleep(1)
    print("all are well by their health checks")


def check_confinement(engine: Containers | Chroots) -> None:
    for image in sorted({image for image, _ in PIECES.values()}):
        found = engine.once(image, "-I", "-c", CANNOT_WRITE, entrypoint=PYTHON)
        if found != f"[] {USER}":
            raise Failed(f"{image} may write {found}")
    print(f"user {USER} may write nothing of the images" + ("" if engine.is_confined else " (no read-only root here)"))


def try_images(engine: Containers | Chroots, data: Path, port: int) -> None:
    url = f"http://127.0.0.1:{port}"
    (data / "master.key").write_text(engine.once("api", "master-key", "new") + "\n")
    check_confinement(engine)
    for piece, (image, arguments) in PIECES.items():
        engine.start(piece, image, arguments)
    wait_until_well(engine)
    key = json.loads(engine.once("api", "keys", "create", "try", "--role", "submitter", "--json"))["secret"]
    read_through(url, key, SAMPLE, ["Invoice"])
    read_through(url, key, SCAN, ["Name"])
    for piece in PIECES:
        code = engine.stop(piece)
        if code != 0:
            raise Failed(f"{piece} ended with exit code {code}:\n{engine.logs(piece)}")
    print("each ended by itself, with exit code 0")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port: int = sock.getsockname()[1]
    return port


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", choices=["docker", "podman", "buildah"], default="docker")
    parser.add_argument("--prefix", default="docfleet-", help="what the names of the images begin with")
    parser.add_argument("--tag", default="local")
    parser.add_argument("--folder", type=Path, help="storage of deploy/images/build_offline.py, for buildah and podman")
    options = parser.parse_args()
    storage = [f"--root={options.folder / 'storage'}", f"--runroot={options.folder / 'run'}"] if options.folder else []
    engine_type = Chroots if options.engine == "buildah" else Containers
    with tempfile.TemporaryDirectory(prefix="docfleet-data-") as folder:
        data = Path(folder)
        if os.geteuid() == 0:
            os.chown(data, USER, USER)
        else:
            data.chmod(0o777)
        port = free_port()
        engine = engine_type(
            [options.engine, *storage], lambda image: f"{options.prefix}{image}:{options.tag}", data, port
        )
        try:
            try_images(engine, data, port)
        except (Failed, urllib.error.URLError) as error:
            print(f"FAILED: {error}", file=sys.stderr)
            for piece in PIECES:
                print(f"--- {piece}\n{engine.logs(piece)}", file=sys.stderr)
            return 1
        finally:
            engine.clear()
    print("OK")
    return 0


if __name__ == "__main__":
    sys.exit(main())
