"""What the images are made from: the Dockerfile, the locked packages of each, and the small programs inside them."""

from __future__ import annotations

import json
import os
import re
import ssl
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from deploy_tools import module_of, tool

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
ROLES = ("api", "dispatcher", "worker", "worker-cloud", "documentai-server", "console")
TARGETS = {"api", "dispatcher", "worker-pdf", "worker-image", "worker-cloud", "documentai-server", "console"}
RECOGNISERS = {"rapidocr", "onnxruntime", "openvino", "opencv-python", "opencv-python-headless", "magika", "numpy"}
PDF_ENGINES = {"pypdfium2", "pikepdf", "typst", "pillow", "pillow-heif"}


def locked(role: str) -> dict[str, set[tuple[str, str]]]:
    """Package -> its (version, marker) in the lock of a role."""
    return pins_of(DEPLOY / "requirements" / f"{role}.txt")


def pins_of(path: Path) -> dict[str, set[tuple[str, str]]]:
    found: dict[str, set[tuple[str, str]]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if match := re.match(r"([A-Za-z0-9._-]+)(?:\[.*\])?==([^ ;\\]+)(?: ; (.+?))? \\$", line):
            found.setdefault(canonicalize_name(match[1]), set()).add((match[2], match[3] or ""))
    assert found, path
    return found


def asked(role: str) -> set[str]:
    """Packages that a role asks for by name, those of the files it includes with them."""
    names: set[str] = set()
    for line in (DEPLOY / "requirements" / f"{role}.in").read_text(encoding="utf-8").splitlines():
        if line.startswith("-r "):
            names |= asked(line.removeprefix("-r ").removesuffix(".in"))
        elif line and not line.startswith("#"):
            names.add(canonicalize_name(Requirement(line).name))
    return names


# --- locks -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["api", "dispatcher"])
def test_pieces_that_read_nothing_carry_no_reader(role: str) -> None:
    # the dispatcher's forecasts need arrays, too
    tolerated = {"numpy"} if role == "dispatcher" else set()
    assert not locked(role).keys() & (RECOGNISERS | PDF_ENGINES) - tolerated


def test_a_cloud_worker_carries_no_recogniser() -> None:
    assert not locked("worker-cloud").keys() & {"rapidocr", "openvino"}


@pytest.mark.parametrize("role", [*ROLES, "build"])
def test_the_lock_is_of_what_is_asked_for(role: str) -> None:
    """Each package asked for is locked, as in the lock that the tests run with, and every file has its hash."""
    pins, all_pins = locked(role), pins_of(ROOT / "requirements-dev.txt")
    assert asked(role) <= pins.keys()
    other = {
        name: versions
        for name, found in pins.items()
        if name in all_pins and not (versions := {version for version, _ in found}) <= {v for v, _ in all_pins[name]}
    }
    assert not other
    text = (DEPLOY / "requirements" / f"{role}.txt").read_text(encoding="utf-8")
    assert all("--hash=sha256:" in block for block in re.split(r"^(?=\S.*==)", text, flags=re.MULTILINE)[1:])


@pytest.mark.parametrize("role", ROLES)
def test_a_role_asks_for_nothing_the_package_does_not(role: str) -> None:
    """`pip install docfleet` with its extras knows every package of an image, and with the bounds it has there."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    listed = [*project["dependencies"], *extras["service"], *extras["documentai"], *extras["documentai-server"]]
    listed += [*extras["fleet"], *extras["console"]]
    known = {canonicalize_name((one := Requirement(line)).name): one.specifier for line in listed}
    assert asked(role) <= known.keys()
    pins = locked(role)
    assert not [name for name in asked(role) for version, _ in pins[name] if not known[name].contains(version)]


def test_every_lock_is_made_by_make_lock() -> None:
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8")
    listed = re.search(r"^ROLES\s*:?=\s*(.+)$", recipe, re.MULTILINE)
    assert listed
    assert set(listed[1].split()) == {path.stem for path in (DEPLOY / "requirements").glob("*.txt")}


# --- the Dockerfile --------------------------------------------------------------------------------------------------


def stages() -> dict[str, tuple[str, str]]:
    """Stage -> (what it stands on, its text)."""
    found: dict[str, tuple[str, str]] = {}
    for block in re.split(r"^(?=FROM )", DOCKERFILE, flags=re.MULTILINE)[1:]:
        match = re.match(r"FROM (\S+) AS (\S+)\n", block)
        assert match
        found[match[2]] = (match[1], block)
    return found


def lineage(target: str) -> list[str]:
    """The texts of a stage and of those it stands on, the lowest first."""
    under, text = stages()[target]
    return [*(lineage(under) if under in stages() else []), text]


def test_there_is_a_target_for_each_piece() -> None:
    used = {under for under, _ in stages().values()}
    copied = set(re.findall(r"--from=(\S+)", DOCKERFILE))
    leaves = stages().keys() - used - copied - {"wheels"}
    assert leaves == TARGETS
    build_script = (DEPLOY / "images" / "build.sh").read_text(encoding="utf-8")
    assert set(re.search(r"set -- (.+)$", build_script, re.MULTILINE)[1].split()) == TARGETS  # type: ignore[index]


def test_the_offline_build_knows_targets_and_locks() -> None:
    offline = module_of(DEPLOY / "images" / "build_offline.py")
    assert set(offline.TARGETS) == TARGETS
    assert offline.locks_of(DOCKERFILE) == sorted([*ROLES, "build"])


@pytest.mark.parametrize("target", sorted(TARGETS))
def test_an_image_is_unprivileged_and_ends_in_order(target: str) -> None:
    text = "".join(lineage(target))
    assert re.findall(r"^USER (.+)$", text, re.MULTILINE)[-1] == "10001:10001"
    assert json.loads(re.findall(r"^ENTRYPOINT (.+)$", text, re.MULTILINE)[-1])[:2] == ["/usr/bin/tini", "--"]
    assert re.findall(r"^STOPSIGNAL (.+)$", text, re.MULTILINE) == ["SIGTERM"]
    last = lineage(target)[-1]
    assert f'image.title="docfleet-{target}"' in last
    command = json.loads(re.findall(r"^CMD (\[.+\])$", last, re.MULTILINE)[-1])
    check = json.loads(re.findall(r"^    CMD (\[.+\])$", text, re.MULTILINE)[-1])
    if "--liveness" in command:
        assert check[-2:] == ["file", command[command.index("--liveness") + 1]]
    else:
        assert check[-1] == command[0]


@pytest.mark.parametrize("target", sorted(TARGETS))
def test_its_command_is_one_of_docfleet(target: str) -> None:
    import typer

    from docfleet.cli.main import app

    command, *options = json.loads(re.findall(r"^CMD (\[.+\])$", lineage(target)[-1], re.MULTILINE)[-1])
    known = typer.main.get_command(app).commands[command]  # type: ignore[attr-defined]
    names = {name for parameter in known.params for name in parameter.opts}
    assert {option for option in options if option.startswith("--")} <= names


def test_environment_of_the_images_is_known() -> None:
    from docfleet.settings import Settings

    for name in re.findall(r"DOCFLEET_[A-Z_]+", DOCKERFILE):
        section, _, field = name.removeprefix("DOCFLEET_").lower().partition("__")
        assert field in Settings.model_fields[section].annotation.model_fields, name  # type: ignore[union-attr]


def test_hadolint_finds_nothing() -> None:
    done = subprocess.run([tool("hadolint"), str(DEPLOY / "Dockerfile")], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_context_holds_what_is_copied_and_little_else() -> None:
    let_in = {
        line[1:] for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line.startswith("!")
    }
    copied = {
        word
        for sources in re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE)
        for word in sources.split()
    }
    for path in copied:
        assert (ROOT / path).exists()
        assert any(path == entry or path.startswith(f"{entry}/") for entry in let_in), path
    assert all(any(path == entry or path.startswith(f"{entry}/") for path in copied) for entry in let_in)


# --- programs in the images ------------------------------------------------------------------------------------------

healthcheck = module_of(DEPLOY / "images" / "healthcheck.py")
with_environment = module_of(DEPLOY / "images" / "with_environment.py")


def test_a_fresh_file_is_well_and_an_old_or_missing_one_is_not(tmp_path: Path) -> None:
    alive = tmp_path / "alive"
    assert "No such file" in healthcheck.fault_of_file(str(alive), time.time())
    alive.touch()
    assert healthcheck.fault_of_file(str(alive), time.time()) == ""
    assert "61 s ago" in healthcheck.fault_of_file(str(alive), alive.stat().st_mtime + 61)


class _Answering(BaseHTTPRequestHandler):
    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status if self.path == "/healthz" else 404)
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:
        """Requests are no news."""


@pytest.fixture
def server() -> Iterator[HTTPServer]:
    with HTTPServer(("127.0.0.1", 0), _Answering) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("role", "variable"),
    [
        ("api", "DOCFLEET_API__PORT"),
        ("console", "DOCFLEET_CONSOLE__PORT"),
        ("documentai-server", "DOCFLEET_DOCUMENTAI_SERVER__REST_PORT"),
    ],
)
def test_a_server_that_answers_is_well(
    server: HTTPServer, role: str, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = {variable: str(server.server_port)}
    assert healthcheck.fault_of_server(role, here) == ""
    monkeypatch.setattr(_Answering, "status", 503)
    assert "503" in healthcheck.fault_of_server(role, here)
    assert "refused" in healthcheck.fault_of_server(role, {variable: "1"})


def test_a_server_that_wants_certificates_of_its_callers_lives(tmp_path: Path) -> None:
    import trustme

    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    with HTTPServer(("127.0.0.1", 0), _Answering) as server:
        server.handle_error = lambda *_: None  # type: ignore[method-assign]
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        here = {
            "DOCFLEET_DOCUMENTAI_SERVER__REST_PORT": str(server.server_port),
            "DOCFLEET_DOCUMENTAI_SERVER__TLS_CERT_FILE": "chain.pem",
            "DOCFLEET_DOCUMENTAI_SERVER__CLIENT_CA_FILE": "ca.pem",
        }
        try:
            assert healthcheck.fault_of_server("documentai-server", here) == ""
            closed = {**here, "DOCFLEET_DOCUMENTAI_SERVER__REST_PORT": "1"}
            assert "refused" in healthcheck.fault_of_server("documentai-server", closed)
        finally:
            server.shutdown()
            thread.join()


def test_variables_of_a_file_are_the_command_s_and_what_was_there_stays(tmp_path: Path) -> None:
    file = tmp_path / "some.env"
    file.write_text("# keys\n\nONE=a b=c#d\nTWO=\n", encoding="utf-8")
    code = "import os; print(os.environ['ONE'], repr(os.environ['TWO']), os.environ['THREE'])"
    script = DEPLOY / "images" / "with_environment.py"
    done = subprocess.run(
        [sys.executable, script, file, sys.executable, "-c", code],
        env={**os.environ, "THREE": "3"}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "a b=c#d '' 3\n"


@pytest.mark.parametrize("text", ["hush", "=hush", "no name=hush"])
def test_a_line_that_is_no_variable_is_told_by_its_number_alone(tmp_path: Path, text: str) -> None:
    file = tmp_path / "some.env"
    file.write_text(f"ONE=1\n{text}\n", encoding="utf-8")
    script = DEPLOY / "images" / "with_environment.py"
    done = subprocess.run([sys.executable, script, file, "true"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "line 2" in done.stderr
    assert "hush" not in done.stderr


def test_an_odd_command_line_is_answered_with_how_to_use_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert healthcheck.main(["nobody"]) == 2
    assert with_environment.main(["file"]) == 2
    assert "healthcheck.py file PATH" in capsys.readouterr().err
