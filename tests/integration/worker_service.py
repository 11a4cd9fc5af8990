"""A small service for tests of workers: a real ledger, store and broker, real supervisors; hints sent by hand."""

from __future__ import annotations

import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image
from sqlalchemy import select

from docfleet.domain.urgency import HINTED_POOLS, Pool, Urgency
from docfleet.domain.work import DOCUMENT_ENDS
from docfleet.errors import DocfleetError
from docfleet.ledger.rows import SliceRow
from docfleet.ledger.service_values import Accepted, DocumentView, ReadingOptions, Submission
from docfleet.runtime import LEDGER_FILE, Runtime
from docfleet.settings import Settings, read_settings
from docfleet.store.encryption import EncryptedStore, MasterKey
from new_ledger import new_ledger

TENANT = "acme"
_RUN = """
import sys, logging, json
from pathlib import Path
from docfleet.settings import Settings
from docfleet.telemetry import configure_logs
from docfleet.worker.service import run_worker
given = json.loads(sys.stdin.readline())
configure_logs("info")
alive = Path(given["alive"])
sys.exit(run_worker(Settings.model_validate(given["settings"]), given["pool"], given["slots"], liveness_file=alive))
"""


class Supervisor:
    """A worker in processes of its own."""

    def __init__(self, settings: Settings, pool: str, slots: int, folder: Path, path: Path | None) -> None:
        self.log = folder / f"worker-{uuid.uuid4().hex[:6]}.log"
        self.alive = self.log.with_suffix(".alive")
        environment = {**os.environ, "TMPDIR": str(folder), **_python_path(path)}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", _RUN], stdin=subprocess.PIPE, stderr=log, env=environment, start_new_session=True
            )
        given = {
            "settings": settings.model_dump(mode="json"),
            "pool": pool,
            "slots": slots,
            "alive": str(self.alive),
        }
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(given).encode() + b"\n")
        self.process.stdin.close()

    def events(self, name: str) -> list[dict[str, Any]]:
        """What it logged under this event name."""
        lines = self.log.read_text(errors="replace").splitlines()
        entries = [json.loads(text) for text in lines if text.startswith("{")]
        return [entry for entry in entries if entry["event"] == name]

    def slots(self) -> list[int]:
        """Process ids of its slots."""
        return [pid for pid in children(self.process.pid) if b"docfleet.worker.slot" in command(pid)]

    def stop(self, seconds: float = 30) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)

    def end(self) -> None:
        if self.process.poll() is None:
            slots = self.slots()
            self.process.kill()
            self.process.wait()
            for pid in slots:
                wait_for(lambda pid=pid: not is_alive(pid), 10)  # type: ignore[misc]


class WorkerService:
    """Submits documents and looks at what becomes of them."""

    def __init__(self, folder: Path, ledger_url: str, broker_url: str = "", **sections: dict[str, Any]) -> None:
        self.folder = folder
        if not ledger_url:
            new_ledger(folder / "data" / LEDGER_FILE)
        service = {
            "data_folder": folder / "data",
            "ledger_url": ledger_url,
            "broker_url": broker_url,
            "master_key": MasterKey.generate().to_base64(),
            **sections.pop("service", {}),
        }
        work = {"lease_seconds": 4.0, "heartbeat_seconds": 0.8, **sections.pop("work", {})}
        reading = {"engine": "null", **sections.pop("reading", {})}
        self.settings = read_settings(service=service, work=work, reading=reading, **sections)
        self.runtime = Runtime(self.settings)
        self.runtime.access.ensure_tenant(TENANT, "Acme")
        self._supervisors: list[Supervisor] = []

    def worker(
        self, pool: str = "all", slots: int = 1, path: Path | None = None, settings: Settings | None = None
    ) -> Supervisor:
        supervisor = Supervisor(settings or self.settings, pool, slots, self.folder, path)
        self._supervisors.append(supervisor)
        return supervisor

    def submit(
        self,
        data: bytes,
        name: str = "page.pdf",
        *,
        urgency: Urgency = Urgency.NORMAL,
        options: ReadingOptions = ReadingOptions(("txt",), engine="null"),  # noqa: B008
    ) -> Accepted:
        content_id = uuid.uuid4().hex
        wrapped, key = self.runtime.master_key.new_data_key()
        EncryptedStore(self.runtime.store, key).put(f"contents/{content_id}/source", data)
        is_pdf = data.startswith(b"%PDF")
        return self.runtime.desk.accept(
            Submission(
                tenant=TENANT,
                name=name,
                content_id=content_id,
                wrapped_key=wrapped,
                sha256=hashlib.sha256(data).hexdigest(),
                size_bytes=len(data),
                media_type="application/pdf" if is_pdf else "image/png",
                pool=Pool.PDF if is_pdf else Pool.IMAGE,
                urgency=urgency,
                options=options,
                reuse=False,
            )
        )

    def view(self, accepted: Accepted) -> DocumentView:
        return self.runtime.desk.document(TENANT, accepted.document_id)

    def wait_end(self, accepted: Accepted, seconds: float = 40) -> DocumentView:
        wait_for(lambda: self.view(accepted).state in DOCUMENT_ENDS, seconds)
        return self.view(accepted)

    def slices(self, accepted: Accepted) -> Sequence[Any]:
        with self.runtime.ledger.reading() as session:
            found = select(
                SliceRow.id, SliceRow.state, SliceRow.step, SliceRow.attempt, SliceRow.worker, SliceRow.code,
                SliceRow.crash_count, SliceRow.wait_count, SliceRow.error_count, SliceRow.loss_count, SliceRow.token,
            )  # fmt: skip
            return session.execute(
                found.where(SliceRow.document_id == accepted.document_id).order_by(SliceRow.id)
            ).all()

    def result(self, accepted: Accepted, path: str) -> bytes:
        view = self.view(accepted)
        wrapped = self.runtime.desk.wrapped_key(TENANT, accepted.document_id)
        return self.runtime.content_store(wrapped).get(f"{view.result_key}/{path}")

    @contextmanager
    def dispatching(self, hints: bool = True) -> Iterator[None]:
        """What the dispatcher does, in its simplest form: expires leases and hints what waits."""
        stop = threading.Event()

        def run() -> None:
            while not stop.wait(0.05):
                try:
                    self.runtime.ledger.expire_leases()
                    if hints and self.runtime.hints is not None:
                        self.hint_all()
                except DocfleetError:
                    continue

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def hint_all(self) -> None:
        assert self.runtime.hints is not None
        for pool in HINTED_POOLS:
            for waiting in self.runtime.ledger.window(pool, 10):
                self.runtime.hints.publish(pool, waiting.urgency, waiting.slice_id)
                self.runtime.ledger.mark_dispatched([waiting.slice_id])

    def close(self) -> None:
        for supervisor in self._supervisors:
            supervisor.end()
        self.runtime.close()


def page_image(width: int = 300, height: int = 200, shade: int = 255) -> bytes:
    """A PNG with something on it."""
    image = Image.new("L", (width, height), shade)
    for x in range(20, 100):
        for y in range(20, 60):
            image.putpixel((x, y), (x * y + shade) % 200)
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def wait_for(true: Callable[[], object], seconds: float = 30) -> None:
    """Waits until `true()`; fails the test after `seconds`."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.03)


def children(pid: int) -> list[int]:
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return []
    return [int(part) for part in text.split()]


def command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _python_path(path: Path | None) -> dict[str, str]:
    parts = [str(path) if path else "", os.environ.get("PYTHONPATH", "")]
    return {"PYTHONPATH": os.pathsep.join(part for part in parts if part)}
