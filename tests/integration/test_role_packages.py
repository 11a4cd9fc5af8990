"""Each piece of the service runs with the packages of its image and no other.

The packages that are installed here and not locked for a role are hidden from it and from every process it starts; then
a document goes through API, dispatcher and worker, each with the set of its own image.
"""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from running import ROOT, SAMPLES

HIDING = '''
"""Hides every package that is installed but not among those a role is given."""

import importlib.metadata
import os
import re
import sys

_allowed = set(os.environ["ROLE_PACKAGES"].split())
_all = importlib.metadata.packages_distributions()


def _plain(name):
    return re.sub(r"[-_.]+", "-", name).lower()


_hidden = {top for top, names in _all.items() if not {_plain(name) for name in names} & _allowed}


class _Hiding:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] in _hidden:
            raise ModuleNotFoundError(f"No module named {name!r} in this image", name=name)


sys.meta_path.insert(0, _Hiding)
'''
PATIENCE_SECONDS = 180.0


def packages_of(role: str) -> str:
    text = (ROOT / "deploy" / "requirements" / f"{role}.txt").read_text(encoding="utf-8")
    return " ".join(["docfleet", *re.findall(r"^([a-z0-9-]+)(?:\[.*\])?==", text, re.MULTILINE)])


@pytest.fixture(scope="module")
def hiding(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hiding")
    (folder / "sitecustomize.py").write_text(HIDING, encoding="utf-8")
    return folder


def environment_of(role: str, hiding: Path, data: Path | None = None) -> dict[str, str]:
    path = os.pathsep.join([str(hiding), str(ROOT / "src")])
    own = {"PYTHONPATH": path, "ROLE_PACKAGES": packages_of(role), "DOCFLEET_FLEET__SLOTS": "1"}
    return {**os.environ, **own, **({"DOCFLEET_SERVICE__DATA_FOLDER": str(data)} if data else {})}


def python(role: str, hiding: Path, code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], env=environment_of(role, hiding), capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("role", "hidden"),
    [("api", "onnxruntime"), ("api", "pypdfium2"), ("dispatcher", "fastapi"), ("worker", "fastapi"),
     ("worker-cloud", "openvino"), ("documentai-server", "celery"), ("console", "sqlalchemy"), ("api", "nicegui")],
)  # fmt: skip
def test_what_a_role_has_not_is_hidden(role: str, hidden: str, hiding: Path) -> None:
    """Of the test itself: that what it hides cannot be imported, and what it leaves can."""
    assert python(role, hiding, "import pydantic, docfleet").returncode == 0
    assert f"No module named '{hidden}' in this image" in python(role, hiding, f"import {hidden}").stderr


@pytest.mark.parametrize(
    ("role", "modules"),
    [
        # what a piece loads only when there is a Postgres, a Redis, an object store, a cloud
        ("api", "psycopg celery limits redis docfleet.store.remote docfleet.queues.hints docfleet.api.limits"),
        ("dispatcher", "psycopg docfleet.store.remote docfleet.queues.check docfleet.dispatch.leader"
                       " docfleet.delivery.run"),
        ("worker", "psycopg docfleet.store.remote docfleet.worker.broker_mode docfleet.worker.slot"),
        ("worker-cloud", "psycopg limits docfleet.store.remote docfleet.worker.cloud.service docfleet.quota"
                         " docfleet.engines.documentai.client docfleet.engines.documentai.batch"
                         " google.cloud.documentai_v1"),
        ("console", "docfleet.console.site docfleet.console.pages.overview docfleet.console.pages.access"
                    " docfleet.sandbox.parent docfleet.sandbox.pdf_reader docfleet.sandbox.image_reader"),
        ("documentai-server", "docfleet.documentai_server.app docfleet.documentai_server.configured"
                              " docfleet.documentai_server.grpc_server docfleet.documentai_server.reader_process"),
    ],
)  # fmt: skip
def test_what_a_role_loads_now_and_then_is_there(role: str, modules: str, hiding: Path) -> None:
    done = python(role, hiding, f"import importlib\nfor m in {modules.split()!r}: importlib.import_module(m)")
    assert done.returncode == 0, done.stderr


@contextmanager
def running(role: str, hiding: Path, data: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "docfleet", *arguments],
        env=environment_of(role, hiding, data), start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    try:
        yield process
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=60)[0].decode()
        assert process.returncode == 0, said
        assert "No module named" not in said
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def address_told(process: subprocess.Popen[bytes], name: str) -> str:
    """The address in the first line that names it; a process that ends before is told with what it said."""
    assert process.stdout is not None
    lines = []
    for line in iter(process.stdout.readline, b""):
        lines.append(line.decode())
        if match := re.search(rf"{name} on (http://\S+)", lines[-1]):
            return match[1]
    pytest.fail("".join(lines))


def docfleet_api(hiding: Path, data: Path, *arguments: str) -> str:
    return subprocess.run(
        [sys.executable, "-m", "docfleet", *arguments],
        env=environment_of("api", hiding, data), capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip


@pytest.mark.slow
def test_a_document_goes_through_the_sets_of_the_images(hiding: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    key = json.loads(docfleet_api(hiding, data, "keys", "create", "try", "--role", "submitter", "--json"))["secret"]
    with ExitStack() as stack:
        api = stack.enter_context(running("api", hiding, data, "api", "--port", "0"))
        stack.enter_context(running("dispatcher", hiding, data, "dispatcher"))
        stack.enter_context(running("worker", hiding, data, "worker", "--pool", "all"))
        url = address_told(api, "docfleet API")
        client = stack.enter_context(
            httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=PATIENCE_SECONDS)
        )
        for sample, words in (("invoice-01.pdf", "Invoice"), ("form-scan.pdf", "")):
            document = client.post(f"/v1/documents?name={sample}", content=(SAMPLES / sample).read_bytes()).json()
            deadline = time.monotonic() + PATIENCE_SECONDS
            while document["state"] not in ("succeeded", "partial", "failed"):
                assert time.monotonic() < deadline
                document = client.get(f"/v1/documents/{document['id']}?wait=10").json()
            assert document["state"] == "succeeded", document
            assert words in client.get(f"/v1/documents/{document['id']}/results/txt").text
        # what has no signature is refused in words, though nothing here can name it
        refused = client.post("/v1/documents?name=notes.txt", content=b"Just a note.\n" * 40)
        assert (refused.status_code, refused.json()["code"]) == (422, "unsupported_type")
        archive = client.post("/v1/documents?name=mixed.zip", content=(SAMPLES / "mixed.zip").read_bytes())
        assert "Unpack it" in archive.text


@pytest.mark.slow
def test_the_document_ai_server_reads_with_its_set(hiding: Path, tmp_path: Path) -> None:
    arguments = ("documentai-server", "--grpc-port", "0", "--rest-port", "0", "--readers", "1")
    with running("documentai-server", hiding, tmp_path, *arguments) as server:
        url = address_told(server, "docfleet Document AI REST")
        content = base64.b64encode((SAMPLES / "invoice-01.pdf").read_bytes()).decode()
        body = {"rawDocument": {"content": content, "mimeType": "application/pdf"}}
        name = "projects/p/locations/eu/processors/ocr"
        answer = httpx.post(f"{url}/v1/{name}:process", json=body, timeout=PATIENCE_SECONDS)
        assert answer.status_code == 200, answer.text
        assert "Invoice" in answer.json()["document"]["text"]


@pytest.mark.slow
def test_the_console_stands_before_an_api_that_has_none(hiding: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    key = json.loads(docfleet_api(hiding, data, "keys", "create", "try", "--role", "admin", "--json"))["secret"]
    with ExitStack() as stack:
        api = address_told(stack.enter_context(running("api", hiding, data, "api", "--port", "0")), "docfleet API")
        assert "pip install 'docfleet[console]'" in httpx.get(f"{api}/console/", timeout=60).text
        assert httpx.get(api, headers={"accept": "text/html"}).headers["location"] == "docs"
        arguments = ("console", "--api", api, "--port", "0")
        console = address_told(
            stack.enter_context(running("console", hiding, tmp_path / "none", *arguments)), "docfleet console"
        )
        client = stack.enter_context(httpx.Client(headers={"origin": console.removesuffix("/console")}, timeout=60))
        signed = client.post(f"{console}/sign-in", data={"key": key, "to": "/access"})
        assert (signed.status_code, signed.headers["location"]) == (303, "/console/access")
        for page in ("/", "/access"):
            answer = client.get(console + page)
            assert (answer.status_code, answer.headers["x-nicegui-content"]) == (200, "page"), answer.text
        assert not (tmp_path / "none").exists(), "the console keeps nothing"
