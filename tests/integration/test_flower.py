"""Flower with the files of compose.yaml: it sees tasks and workers where debug events are on, and asks who is there."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from test_compose_pieces import free_port
from worker_service import page_image

from docfleet.stack.servers import start_redis
from running import docfleet, end

COMPOSE = Path(__file__).parents[2] / "deploy" / "compose"
PASSWORD = "for-the-test-alone"

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning")]


@contextmanager
def process(command: list[str], environment: dict[str, str], log: Path) -> Iterator[None]:
    with log.open("wb") as file:
        started = subprocess.Popen(
            command, env={**os.environ, **environment}, stdout=file, stderr=file, start_new_session=True
        )
    try:
        yield
    finally:
        end(started)


@contextmanager
def flower(folder: Path, broker: str) -> Iterator[str]:
    """Flower as the service `flower` starts it, with its files where they can be written here."""
    secrets = folder / "run-flower"
    secrets.mkdir()
    (secrets / "broker").write_text(broker, encoding="utf-8")
    (secrets / "password").write_text(PASSWORD + "\n", encoding="utf-8")
    for name in ("flower_app.py", "flowerconfig.py"):
        text = (COMPOSE / name).read_text(encoding="utf-8")
        (secrets / name).write_text(text.replace("/run/flower", str(secrets)), encoding="utf-8")
    port = free_port()
    command = [
        sys.executable, "-m", "celery", "--app=flower_app", "flower", f"--conf={secrets / 'flowerconfig.py'}",
        f"--port={port}", "--address=127.0.0.1",
    ]  # fmt: skip
    with process(command, {"PYTHONPATH": str(secrets), "PYTHONDONTWRITEBYTECODE": "1"}, folder / "flower.log"):
        yield f"http://127.0.0.1:{port}"


def wait_for(true: Callable[[], Any], folder: Path, seconds: float = 90) -> Any:
    deadline = time.monotonic() + seconds
    while True:
        try:
            if found := true():
                return found
        except httpx.TransportError:
            pass
        logs = "\n".join(path.read_text(errors="replace")[-1500:] for path in folder.glob("*.log"))
        assert time.monotonic() < deadline, f"it did not happen\n{logs}"
        time.sleep(0.5)


def test_flower_sees_tasks_and_workers_and_lets_nobody_in_without_the_password(tmp_path: Path) -> None:
    with ExitStack() as stack:
        redis = stack.enter_context(start_redis(tmp_path / "redis"))
        broker = f"redis://:{redis.password}@127.0.0.1:{redis.port}/0"
        environment = {
            "DOCFLEET_SERVICE__DATA_FOLDER": str(tmp_path / "data"),
            "DOCFLEET_SERVICE__BROKER_URL": broker,
            "DOCFLEET_FLEET__DEBUG_EVENTS": "true",
            "DOCFLEET_READING__ENGINE": "null",
        }
        key = docfleet("keys", "create", "tests", "--role", "submitter", env=environment).stdout.strip()
        address = stack.enter_context(flower(tmp_path, broker))
        anybody = stack.enter_context(httpx.Client(base_url=address, timeout=10))
        us = stack.enter_context(httpx.Client(base_url=address, auth=("docfleet", PASSWORD), timeout=10))
        wait_for(lambda: anybody.get("/").status_code == 401, tmp_path)
        port = free_port()
        for name, arguments in (
            ("dispatcher", ["dispatcher"]),
            ("worker", ["worker", "--pool", "all", "--slots", "1"]),
            ("api", ["api", "--port", str(port)]),
        ):
            command = [sys.executable, "-m", "docfleet", *arguments]
            stack.enter_context(process(command, environment, tmp_path / f"{name}.log"))
        service = stack.enter_context(
            httpx.Client(base_url=f"http://127.0.0.1:{port}", headers={"authorization": f"Bearer {key}"}, timeout=60)
        )
        wait_for(lambda: service.get("/readyz").status_code == 200, tmp_path)
        workers = wait_for(lambda: us.get("/api/workers?refresh=true").json(), tmp_path)
        assert workers
        document = service.post("/v1/documents?name=a.png", content=page_image()).json()
        wait_for(
            lambda: service.get(f"/v1/documents/{document['id']}?wait=10").json()["state"] == "succeeded", tmp_path
        )
        tasks = wait_for(lambda: us.get("/api/tasks").json(), tmp_path)
        assert {task["name"].partition(".")[0] for task in tasks.values()} == {"docfleet"}
        # a hint is an id and nothing of the document
        assert "a.png" not in us.get("/api/tasks").text
        for path in ("/", "/tasks", "/workers", "/api/workers", "/api/tasks"):
            assert anybody.get(path).status_code == 401, path
        # these Flower gives to anybody: numbers, and names of workers and of kinds of tasks
        assert document["id"] not in anybody.get("/metrics").text
        assert httpx.get(f"{address}/api/tasks", auth=("docfleet", "wrong"), timeout=10).status_code == 401
