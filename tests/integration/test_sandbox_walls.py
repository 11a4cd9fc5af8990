"""What a document can do to its child, and what it cannot do to anybody else."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pikepdf
import psutil
import pytest
from sandbox_documents import write_text_pdf

from docfleet.errors import DocumentError, OutOfMemory, ParserCrashed, TimedOut, UnsupportedType
from docfleet.sandbox import PageBundle, PageFault, Sandbox, SandboxLimits

TRIALS = "docfleet.sandbox.trials:"
LIMITS = SandboxLimits(memory_bytes=400_000_000, page_seconds=2.0, open_seconds=10.0)


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    monkeypatch.setenv("DOCFLEET_SANDBOX_TRIALS", "1")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not for the child")
    with Sandbox(LIMITS) as made:
        yield made


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_jobs_run_and_answer(sandbox: Sandbox) -> None:
    answer = sandbox.call(TRIALS + "answer", 5, value="yes")
    assert answer["value"] == "yes"
    assert answer["pid"] == sandbox.child_pid != os.getpid()


def test_the_child_sees_no_secrets(sandbox: Sandbox) -> None:
    environment = sandbox.call(TRIALS + "answer", 5, value="")["environment"]
    assert "AWS_SECRET_ACCESS_KEY" not in environment


@pytest.mark.parametrize(
    ("job", "error"),
    [("hang", TimedOut), ("burn", TimedOut), ("hoard", OutOfMemory), ("crash", ParserCrashed), ("abort", OutOfMemory),
     ("die", OutOfMemory), ("fail", ParserCrashed)],
)  # fmt: skip
def test_each_death_has_its_name_and_the_sandbox_goes_on(
    sandbox: Sandbox, job: str, error: type[DocumentError]
) -> None:
    started = time.monotonic()
    with pytest.raises(error) as caught:
        sandbox.call(TRIALS + job, 1)
    assert time.monotonic() - started < 30
    assert "secret" not in caught.value.message
    assert "Traceback" not in caught.value.message
    assert sandbox.call(TRIALS + "answer", 5, value="again")["value"] == "again"


@pytest.mark.parametrize("name", ["os:system", "docfleet.sandbox.trials:nothing", "docfleet.sandbox.child:main", ""])
def test_only_registered_jobs_run(sandbox: Sandbox, name: str) -> None:
    with pytest.raises((UnsupportedType, ParserCrashed)):
        sandbox.call(name, 5)


def test_trials_are_refused_without_their_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DOCFLEET_SANDBOX_TRIALS", raising=False)
    with Sandbox(LIMITS) as made, pytest.raises(UnsupportedType):
        made.call(TRIALS + "answer", 5, value="")


def test_the_child_reaches_no_network(sandbox: Sandbox) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        with pytest.raises(DocumentError):
            sandbox.call(TRIALS + "connect", 5, port=listener.getsockname()[1])
        listener.settimeout(0.2)
        with pytest.raises(TimeoutError):
            listener.accept()


def test_the_child_starts_no_program(sandbox: Sandbox) -> None:
    with pytest.raises(DocumentError):
        sandbox.call(TRIALS + "execute", 5)


def test_the_child_cannot_fill_the_disk(sandbox: Sandbox, tmp_path: Path) -> None:
    with pytest.raises(DocumentError):
        sandbox.call(TRIALS + "write_large", 5, path=str(tmp_path / "large"), size=1 << 40)


def test_pages_go_on_in_a_fresh_child_when_one_is_killed(sandbox: Sandbox, tmp_path: Path) -> None:
    path = write_text_pdf(tmp_path / "many.pdf", [f"page number {number}" for number in range(1, 41)])
    assert sandbox.open(path, "application/pdf").pages == 40
    seen = []
    for page in sandbox.pages(range(1, 41)):
        seen.append(page.number)
        assert isinstance(page, PageBundle), page
        assert page.text is not None
        assert f"number {page.number}" in "".join(map(chr, page.text.codes))
        if page.number in (5, 20):
            assert sandbox.child_pid is not None
            os.kill(sandbox.child_pid, 9)
    assert seen == list(range(1, 41))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP])
def test_a_fresh_child_that_somebody_ends_is_no_fault_of_its_page(
    sandbox: Sandbox, tmp_path: Path, number: signal.Signals
) -> None:
    path = write_text_pdf(tmp_path / "one.pdf", ["the only page"])
    assert sandbox.open(path, "application/pdf").pages == 1
    assert sandbox.child_pid is not None
    os.kill(sandbox.child_pid, signal.SIGSTOP)  # so that the request is surely on its way
    pages = sandbox.pages([1])
    threading.Timer(0.5, _end, [sandbox.child_pid, number]).start()
    [page] = pages
    assert isinstance(page, PageBundle)


def _end(pid: int, number: signal.Signals) -> None:
    os.kill(pid, number)
    if number != signal.SIGSTOP:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def test_a_page_that_hangs_costs_itself_only(sandbox: Sandbox, tmp_path: Path) -> None:
    path = write_text_pdf(tmp_path / "slow.pdf", ["one", "two", "three"])
    with pikepdf.open(path, allow_overwriting_input=True) as pdf:
        # Ten levels of forms, each drawing the next thirty times: 30**10 glyphs.
        inner = pdf.make_stream(
            b"0 0 1 1 re f", Type=pikepdf.Name.XObject, Subtype=pikepdf.Name.Form, BBox=[0, 0, 9, 9]
        )
        for _ in range(10):
            inner = pdf.make_stream(
                b"/F Do " * 30, Type=pikepdf.Name.XObject, Subtype=pikepdf.Name.Form, BBox=[0, 0, 9, 9],
                Resources=pikepdf.Dictionary(XObject=pikepdf.Dictionary(F=inner)),
            )  # fmt: skip
        page = pdf.pages[1]
        page.Resources.XObject = pikepdf.Dictionary(F=inner)
        page.Contents = pdf.make_stream(b"/F Do")
        pdf.save(path)
    sandbox.open(path, "application/pdf")
    one, two, three = sandbox.pages([1, 2, 3])
    assert isinstance(one, PageBundle)
    assert isinstance(two, PageFault)
    assert isinstance(two.error, TimedOut | OutOfMemory)
    assert isinstance(three, PageBundle)


def test_nothing_leaks_when_children_die(sandbox: Sandbox, tmp_path: Path) -> None:
    path = write_text_pdf(tmp_path / "a.pdf", ["text " * 200] * 3)
    # other tests of this process may keep a server running
    others = set(psutil.Process().children())
    sandbox.open(path, "application/pdf")
    before: int | None = None
    for _ in range(6):
        for page in sandbox.pages([1, 2, 3]):
            assert isinstance(page, PageBundle)
        sandbox.render(1, 72)
        assert sandbox.child_pid is not None
        os.kill(sandbox.child_pid, 9)
        del page
        before = before or open_files()
    assert open_files() <= before
    sandbox.close()
    assert not set(psutil.Process().children()) - others


def test_pixels_outlive_the_child_and_cannot_be_written(sandbox: Sandbox, tmp_path: Path) -> None:
    path = write_text_pdf(tmp_path / "a.pdf", ["text"])
    sandbox.open(path, "application/pdf")
    rendered = sandbox.render(1, 36)
    total = int(rendered.pixels.sum())
    sandbox.close()
    assert int(rendered.pixels.sum()) == total
    with pytest.raises(ValueError, match="read-only"):
        rendered.pixels[0, 0] = 0
    assert rendered.pixels.dtype == np.uint8


def test_the_child_is_recycled_by_count_and_memory(tmp_path: Path) -> None:
    path = write_text_pdf(tmp_path / "a.pdf", ["text"] * 4)
    for limits in (SandboxLimits(recycle_requests=3), SandboxLimits(recycle_memory_bytes=1)):
        with Sandbox(limits) as made:
            children = set()
            for _ in range(3):
                made.open(path, "application/pdf")
                assert len(list(made.pages([1, 2, 3, 4]))) == 4
                children.add(made.child_pid)
            assert len(children) == 3


def test_renders_between_pages_answer_their_own_page(sandbox: Sandbox, tmp_path: Path) -> None:
    path = write_text_pdf(tmp_path / "a.pdf", ["short", "long line of text " * 3] * 6)
    sandbox.open(path, "application/pdf")
    direct = [int(sandbox.render(number, 36, grey=True).pixels.sum()) for number in range(1, 13)]
    between = [int(sandbox.render(page.number, 36, grey=True).pixels.sum()) for page in sandbox.pages(range(1, 13))]
    assert between == direct
    assert direct[0] != direct[1]


def test_the_child_dies_with_its_parent() -> None:
    program = (
        "from docfleet.sandbox import Sandbox; import os, time\n"
        "s = Sandbox(); print(s.call('docfleet.sandbox.trials:answer', 5, value='')['pid'], flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, env=os.environ | {"DOCFLEET_SANDBOX_TRIALS": "1"}
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert psutil.pid_exists(child)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 5
    while psutil.pid_exists(child) and psutil.Process(child).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_sandbox_made_in_one_thread_survives_its_end(sandbox: Sandbox, tmp_path: Path) -> None:
    path = write_text_pdf(tmp_path / "a.pdf", ["text"] * 3)
    thread = threading.Thread(target=sandbox.open, args=(path, "application/pdf"))
    thread.start()
    thread.join()
    assert [type(page) for page in sandbox.pages([1, 2, 3])] == [PageBundle] * 3
