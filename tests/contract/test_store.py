"""What every store promises."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docfleet.errors import BadKey, NotStored, StoreError
from docfleet.store import FolderStore, MemoryStore, Store
from docfleet.store.base import check_key


@pytest.fixture(params=["folder", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return FolderStore(tmp_path / "store") if request.param == "folder" else MemoryStore()


def test_what_is_put_is_got(store: Store) -> None:
    data = bytes(range(256)) * 5000
    for form in (data, bytearray(data), memoryview(data), b""):
        store.put("slices/d1/7/1/pages", form)
        assert store.get("slices/d1/7/1/pages") == bytes(form)


def test_the_last_put_counts(store: Store) -> None:
    store.put("a/b", b"longer than the second")
    store.put("a/b", b"second")
    assert store.get("a/b") == b"second"


def test_what_is_not_there_is_said_so(store: Store) -> None:
    assert not store.exists("a/b")
    for ask in (store.get, store.local_path):
        with pytest.raises(NotStored):
            ask("a/b")
    store.delete("a/b")


def test_delete(store: Store) -> None:
    store.put("a/b", b"1")
    store.delete("a/b")
    assert not store.exists("a/b")
    assert list(store.list()) == []


def test_a_prefix_is_of_whole_parts(store: Store) -> None:
    for key in ("slices/7/1", "slices/7/2/x", "slices/70/1", "other"):
        store.put(key, b"")
    assert sorted(store.list("slices/7")) == sorted(store.list("slices/7/")) == ["slices/7/1", "slices/7/2/x"]
    assert len(list(store.list())) == 4
    assert list(store.list("nothing")) == []


def test_more_keys_than_one_chunk_holds(store: Store) -> None:
    keys = {f"many/{n}" for n in range(257)}
    for key in keys:
        store.put(key, b"x")
    assert set(store.list("many")) == keys


def test_a_local_path_has_the_bytes_or_is_none(store: Store) -> None:
    store.put("a/b", b"bytes")
    path = store.local_path("a/b")
    assert path is None or path.read_bytes() == b"bytes"
    assert (path is None) == isinstance(store, MemoryStore)


@pytest.mark.parametrize(
    "key",
    ["", "/", "/etc/passwd", "a/", "a//b", ".", "..", "a/../b", "../a", "a/..", ".hidden", "a/.b", "a\\b", "a\0b",
     "a b", "ä", "a%2fb", "a#1", "a.", "con", "a/NUL.txt",
     "com1.log", "~", "-rf", "a:b", "a" * 201, "a/" * 460 + "a"],
)  # fmt: skip
def test_keys_that_could_mean_something_else_are_refused(store: Store, key: str) -> None:
    for use in (lambda: store.put(key, b""), lambda: store.get(key), lambda: store.exists(key),
                lambda: store.delete(key), lambda: store.local_path(key)):  # fmt: skip
        with pytest.raises(BadKey):
            use()
    if key:
        with pytest.raises(BadKey):
            list(store.list(key + "/x"))


@given(st.text(max_size=60))
def test_no_key_leaves_the_folder(key: str) -> None:
    root = Path("/store")
    try:
        check_key(key)
    except BadKey:
        return
    place = Path(os.path.normpath(root / key))
    assert place != root
    assert root in place.parents
    assert str(place) == f"/store/{key}"


def test_a_reader_never_sees_a_part(store: Store) -> None:
    size = 2_000_000
    store.put("a", b"0" * size)
    stop = threading.Event()

    def write() -> None:
        for n in range(40):
            store.put("a", str(n % 10).encode() * size)
        stop.set()

    writer = threading.Thread(target=write)
    writer.start()
    while not stop.is_set():
        seen = store.get("a")
        assert len(seen) == size
        assert seen.count(seen[:1]) == size
    writer.join()


def test_a_killed_writer_leaves_nothing_under_the_key(tmp_path: Path) -> None:
    """Killed in the middle of a put: either all of it is there or nothing, and `list` shows no leftovers."""
    program = (
        "import sys; from pathlib import Path; from docfleet.store import FolderStore\n"
        "store = FolderStore(Path(sys.argv[1])); data = b'x' * 50_000_000\n"
        "print('ready', flush=True)\n"
        "for n in range(10_000): store.put(f'k/{n % 5}', data)\n"
    )
    for _ in range(3):
        child = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE)
        assert child.stdout is not None
        child.stdout.readline()
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(0.15)
        child.kill()
        child.wait()
        child.stdout.close()
    store = FolderStore(tmp_path)
    keys = list(store.list())
    assert set(keys) <= {f"k/{n}" for n in range(5)}
    assert all(len(store.get(key)) == 50_000_000 for key in keys)


def test_a_medium_that_fails_is_translated(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError):
        FolderStore(tmp_path / "file" / "store")
    store = FolderStore(tmp_path / "store")
    store.put("a", b"1")
    with pytest.raises(StoreError):
        store.put("a/b", b"under a file")
    with pytest.raises(StoreError):
        store.get("a/b")
    assert store.get("a") == b"1"
