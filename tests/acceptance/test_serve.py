"""`docfleet serve` and `docfleet up` as their users run them: real processes, real documents, real signals."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from docfleet.client import Client
from docfleet.errors import BadRequest
from docfleet.stack.servers import _free_port
from running import SAMPLES, docfleet, wait_for

HEAVY = ("pypdfium2", "cv2", "openvino", "onnxruntime", "rapidocr", "pikepdf")
START_SECONDS = 120


@contextmanager
def running(*arguments: object, folder: Path, **env: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """A service in a process of its own, in `folder`; what it said once it answered."""
    with (folder / "errors.log").open("a") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "docfleet", *map(str, arguments), "--json"],
            stdout=subprocess.PIPE, stderr=errors, text=True, cwd=folder, start_new_session=True,
            env={**os.environ, "DOCFLEET_READING__ENGINE": "null", "DOCFLEET_FLEET__GRACE_SECONDS": "5", **env},
        )  # fmt: skip
    assert process.stdout is not None
    try:
        said = process.stdout.readline()
        assert said, (folder / "errors.log").read_text()
        yield process, json.loads(said)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(40)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                raise
        process.stdout.close()


_clients: list[Client] = []


@pytest.fixture(autouse=True)
def _close_clients() -> Iterator[None]:
    yield
    while _clients:
        _clients.pop().close()


def connect(url: str, key: str) -> Client:
    """Closed at the end of the test."""
    _clients.append(Client(url, key))
    return _clients[-1]


def family(pid: int) -> list[psutil.Process]:
    return [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]


def test_a_laptop_serves_stops_and_goes_on(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o755)  # made by somebody who thought of nothing
    with running("serve", "--port", 0, "--data", data, "--slots", 1, folder=tmp_path) as (process, said):
        open_to_others = [path for path in data.rglob("*") if path.stat().st_mode & 0o077]
        assert not open_to_others
        assert stat.S_IMODE((data / "access.json").stat().st_mode) == 0o600
        assert stat.S_IMODE((data / "master.key").stat().st_mode) == 0o600
        client = connect(said["url"], said["api_key"])
        document = client.submit(SAMPLES / "invoice-01.pdf").wait(60)
        assert document.state == "succeeded"
        text = document.result("txt")
        assert b"Invoice" in text or b"INVOICE" in text
        others = family(process.pid)
        assert len(others) >= 2
        # nothing of the document lies open on the disk
        for file in (data / "store").rglob("*"):
            if file.is_file():
                assert b"%PDF" not in file.read_bytes()
        started = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
        assert time.monotonic() - started < 20
        wait_for(lambda: not any(other.is_running() for other in others), 10)
    with running("serve", "--port", 0, "--data", data, "--slots", 1, folder=tmp_path) as (_, again):
        assert again["api_key"] == said["api_key"]
        client = connect(again["url"], again["api_key"])
        assert client.document(document.id).result("txt") == text


@pytest.mark.slow
def test_a_killed_laptop_goes_on_with_what_it_had_accepted(tmp_path: Path) -> None:
    data = tmp_path / "data"
    arguments = ("serve", "--port", 0, "--data", data, "--slots", 1)
    with running(*arguments, folder=tmp_path) as (process, said):
        client = connect(said["url"], said["api_key"])
        ids = [client.submit(path).id for path in sorted(SAMPLES.glob("*.pdf"))[:4]]
        others = family(process.pid)
        process.kill()
        process.wait()
        wait_for(lambda: not any(is_alive(other) for other in others), 30)
    with running(*arguments, folder=tmp_path) as (_, again):
        client = connect(again["url"], again["api_key"])
        for one in ids:
            assert client.document(one).wait(90).state in ("succeeded", "partial", "failed")


def is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.slow
def test_a_worker_that_dies_is_started_again(tmp_path: Path) -> None:
    with running("serve", "--port", 0, "--data", tmp_path / "data", "--slots", 1, folder=tmp_path) as (_, said):
        psutil.Process(said["pids"]["worker"]).kill()
        client = connect(said["url"], said["api_key"])
        assert client.submit(SAMPLES / "invoice-01.pdf").wait(90).state == "succeeded"


@pytest.mark.slow
def test_two_may_not_work_in_one_folder(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with running("serve", "--port", 0, "--data", data, "--slots", 1, folder=tmp_path):
        second = docfleet("serve", "--port", "0", "--data", data)
        assert second.exit_code == 2
        assert "Another docfleet works in" in second.stderr


def test_a_port_that_is_taken_is_a_sentence(tmp_path: Path) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ran = docfleet("serve", "--port", port, "--data", tmp_path / "data")
    assert ran.exit_code == 2
    assert f"127.0.0.1:{port}" in ran.stderr
    assert "Traceback" not in ran.stderr


@pytest.mark.slow
def test_an_engine_nobody_has_is_told_at_once(tmp_path: Path) -> None:
    ran = docfleet("serve", "--port", 0, "--data", tmp_path / "data", "--engine", "rapidorc")
    assert (ran.exit_code, "rapidorc" in ran.stderr, "rapidocr" in ran.stderr) == (2, True, True), ran.stderr
    with running("serve", "--port", 0, "--data", tmp_path / "data", "--slots", 1, folder=tmp_path) as (_, said):
        client = connect(said["url"], said["api_key"])
        with pytest.raises(BadRequest, match="rapidocr"):
            client.submit(SAMPLES / "invoice-01.pdf", engine="rapidorc")


@pytest.mark.slow
def test_a_lost_master_key_is_not_replaced(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with running("serve", "--port", 0, "--data", data, "--slots", 1, folder=tmp_path) as (_, said):
        connect(said["url"], said["api_key"]).submit(SAMPLES / "invoice-01.pdf").wait(60)
    (data / "master.key").unlink()
    ran = docfleet("serve", "--port", "0", "--data", data)
    assert ran.exit_code == 2
    assert "master key" in ran.stderr
    assert not (data / "master.key").exists()


def test_the_api_loads_no_recogniser_and_no_pdf_engine(tmp_path: Path) -> None:
    """In a real API process, after it answered and took a document in."""
    spy = tmp_path / "sitecustomize.py"
    spy.write_text(
        "import signal, sys\n"
        "signal.signal(signal.SIGUSR1, lambda *_: open(sys.path[0] + '/modules', 'w').write(' '.join(sys.modules)))\n"
        f"sys.path.insert(0, {str(tmp_path)!r})\n"
    )
    env = {"DOCFLEET_SERVICE__DATA_FOLDER": str(tmp_path / "data"), "DOCFLEET_LOG": "warning"}
    key = json.loads(docfleet("keys", "create", "test", "--json", env=env).stdout)["secret"]
    process = subprocess.Popen(
        [sys.executable, "-c", f"exec(open({str(spy)!r}).read())\nimport runpy, sys\n"
         "sys.argv = ['docfleet', 'api', '--port', '0']\nrunpy.run_module('docfleet', run_name='__main__')"],
        stdout=subprocess.PIPE, text=True, env={**os.environ, **env},
    )  # fmt: skip
    try:
        assert process.stdout is not None
        url = process.stdout.readline().split()[-1]
        client = connect(url, key)
        client.submit(SAMPLES / "letter-de.png")
        client.submit(SAMPLES / "invoice-01.pdf")
        process.send_signal(signal.SIGUSR1)
        wait_for(lambda: (tmp_path / "modules").exists() and (tmp_path / "modules").stat().st_size > 0, 20)
        time.sleep(0.2)
        modules = (tmp_path / "modules").read_text().split()
        assert "docfleet.api.app" in modules
        assert [name for name in HEAVY if name in modules] == []
        process.terminate()
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.communicate()


@pytest.mark.slow
def test_keys_and_tenants_straight_on_the_ledger(tmp_path: Path) -> None:
    env = {"DOCFLEET_SERVICE__DATA_FOLDER": str(tmp_path / "data")}
    assert docfleet("tenants", "create", "acme", "--name", "Acme", env=env).exit_code == 0
    assert docfleet("tenants", "create", "acme", env=env).exit_code == 1
    secret = docfleet("keys", "create", "scanner", "--tenant", "acme", "--days", "1", env=env).stdout.strip()
    assert secret.startswith("df_")
    [listed] = json.loads(docfleet("keys", "list", "--tenant", "acme", "--json", env=env).stdout)
    assert listed["name"] == "scanner"
    assert secret not in json.dumps(listed)
    assert docfleet("keys", "revoke", listed["id"], "--tenant", "acme", env=env).exit_code == 0
    assert json.loads(docfleet("keys", "list", "--tenant", "acme", "--json", env=env).stdout)[0]["revoked_at"]
    assert docfleet("keys", "create", "x", "--tenant", "nobody", env=env).exit_code == 1
    assert [row["id"] for row in json.loads(docfleet("tenants", "list", "--json", env=env).stdout)] == ["acme"]


@pytest.mark.slow
def test_looking_at_keys_makes_no_ledger(tmp_path: Path) -> None:
    env = {"DOCFLEET_SERVICE__DATA_FOLDER": str(tmp_path / "elsewhere")}
    ran = docfleet("keys", "list", env=env)
    assert (ran.exit_code, "There is no ledger at" in ran.stderr) == (2, True), ran.stderr
    assert not (tmp_path / "elsewhere").exists()
    made = docfleet("keys", "create", "first", env=env)
    assert (made.exit_code, "A new ledger is made" in made.stderr) == (0, True)
    assert docfleet("keys", "list", env=env).exit_code == 0


@pytest.mark.slow
def test_tls(tmp_path: Path) -> None:
    trustme = pytest.importorskip("trustme")
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost", "127.0.0.1")
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    certificate.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    with (tmp_path / "cert.pem").open("wb") as file:
        file.writelines(part.bytes() for part in certificate.cert_chain_pems)
    tls = ("--tls-cert", tmp_path / "cert.pem", "--tls-key", tmp_path / "key.pem")
    with running("serve", "--port", 0, "--data", tmp_path / "data", *tls, folder=tmp_path) as (_, said):
        assert said["url"].startswith("https://")
        import ssl

        trust = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
        assert httpx.get(f"{said['url']}/healthz", verify=trust).status_code == 200
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{said['url']}/healthz")
        with pytest.raises(httpx.HTTPError):
            httpx.get(said["url"].replace("https", "http") + "/healthz")
        env = {"DOCFLEET_URL": said["url"], "DOCFLEET_API_KEY": said["api_key"]}
        distrusted = docfleet("status", env=env)
        assert (distrusted.exit_code, "--ca-file" in distrusted.stderr) == (2, True), distrusted.stderr
        assert docfleet("status", "--ca-file", tmp_path / "ca.pem", env=env).exit_code == 0
    wrong = docfleet("serve", "--port", "0", "--data", tmp_path / "data", "--tls-cert", tmp_path / "cert.pem")
    assert wrong.exit_code == 2
    assert "private key" in wrong.stderr


def test_the_distributed_service_on_one_machine(tmp_path: Path) -> None:
    port = _free_port()
    metrics = {"DOCFLEET_TELEMETRY__METRICS_PORT": str(port)}
    with running("up", "--port", 0, "--slots", 1, folder=tmp_path, **metrics) as (process, said):
        client = connect(said["url"], said["api_key"])
        assert client.submit(SAMPLES / "invoice-01.pdf").wait(90).state == "succeeded"
        assert client.submit(SAMPLES / "letter-de.png").wait(90).state in ("succeeded", "partial")
        told = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=20).text
        processes = set(re.findall(r'docfleet_build_info{process="([\w-]+)"', told))
        assert processes == {"up", "api", "dispatcher", "pdf-1", "image-1"}, "all of them tell what they measured"
        assert set(said["pids"]) == {"postgres", "redis", "api", "dispatcher", "pdf-1", "image-1"}
        # whatever is killed comes back, and what is submitted meanwhile is read
        for name in ("pdf-1", "dispatcher", "redis"):
            psutil.Process(said["pids"][name]).kill()
        assert client.submit(SAMPLES / "letter-fr.pdf").wait(90).state == "succeeded"
        psutil.Process(said["pids"]["api"]).kill()
        wait_for(lambda: answers(said["url"]), 60)
        psutil.Process(said["pids"]["postgres"]).kill()
        wait_for(lambda: answers(f"{said['url']}", "/readyz"), 60)
        assert client.submit(SAMPLES / "contract.pdf").wait(120).state in ("succeeded", "partial")
        log = Path(said["log"]).read_text()
        assert "dispatcher " in log
        others = family(process.pid)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
        wait_for(lambda: not any(is_alive(other) for other in others), 10)
    assert not Path(said["folder"]).exists()


def answers(url: str, path: str = "/healthz") -> bool:
    try:
        return httpx.get(url + path, timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


@pytest.mark.slow
def test_a_killed_parent_leaves_no_process_behind(tmp_path: Path) -> None:
    with running("up", "--port", 0, "--slots", 1, folder=tmp_path) as (process, _):
        others = family(process.pid)
        assert len(others) > 6
        process.kill()
        process.wait()
        wait_for(lambda: not any(is_alive(other) for other in others), 60)


@pytest.mark.slow
def test_a_locked_document_is_tried_again_when_its_password_is_there(tmp_path: Path) -> None:
    words = SAMPLES.parent / "tests" / "samples_truth" / "passwords.txt"
    with running("serve", "--port", 0, folder=tmp_path) as (_, told):
        command = ["submit", SAMPLES / "password-protected.pdf", "--out", tmp_path / "results"]
        env = {"DOCFLEET_URL": told["url"], "DOCFLEET_API_KEY": told["api_key"]}
        ran = docfleet(*command, env=env)
        assert (ran.exit_code, "password_required" in ran.stderr) == (1, True), ran.stderr
        ran = docfleet(*command, "--password-file", words, env=env)
        assert ran.exit_code == 0, ran.stderr
        assert (tmp_path / "results" / "password-protected" / "document.txt").read_text().strip()
        assert len(list(connect(told["url"], told["api_key"]).documents())) == 1
    kept = b"".join(path.read_bytes() for path in (tmp_path / "docfleet-data").glob("ledger.db*"))
    assert not any(word.encode() in kept for word in words.read_text().split())
