"""What every store promises."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docfleet.errors import BadKey, NotStored, StoreError
from docfleet.store import FolderStore, Store
from docfleet.store.base import check_key
from docfleet.store.encryption import EncryptedStore, MasterKey
from docfleet.store.objects import PART_BYTES
from docfleet.store.open import open_store
from s3_server import S3Server

KINDS = ("folder", "durable folder", "memory", "s3", "encrypted folder", "encrypted s3")


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    kind: str = request.param
    if kind.endswith("s3"):
        server: S3Server = request.getfixturevalue("s3_server")
        below = open_store(server.new_bucket() + "/prefix")
    elif kind == "memory":
        below = open_store("memory://")
    else:
        below = FolderStore(tmp_path / "store", durable=kind.startswith("durable"))
    return EncryptedStore(below, MasterKey.generate().new_data_key()[1]) if kind.startswith("encrypted") else below


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
    assert (path is not None) == isinstance(store, FolderStore)


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


def patterned(size: int) -> bytes:
    return (bytes(range(251)) * (size // 251 + 1))[:size]


@pytest.mark.parametrize("size", [0, 1, PART_BYTES - 1, PART_BYTES, 2 * PART_BYTES + 12_345])
def test_a_stream_is_stored_whole(store: Store, size: int) -> None:
    whole = patterned(size)
    assert store.put_stream("a/b", (whole[at : at + 1_000_003] for at in range(0, size, 1_000_003))) == size
    assert store.get("a/b") == whole
    assert b"".join(store.get_stream("a/b")) == whole
    assert store.size("a/b") == size
    assert list(store.list()) == ["a/b"]


@pytest.mark.parametrize("size", [10, 3 * PART_BYTES])
def test_a_stream_that_breaks_off_leaves_what_was_there(store: Store, size: int) -> None:
    class GoneError(OSError):
        """Of the source, not of the store."""

    def broken() -> Iterator[bytes]:
        for _ in range(0, size, 1_000_000):
            yield patterned(min(size, 1_000_000))
        raise GoneError

    store.put("kept", b"before")
    for key in ("kept", "new"):
        with pytest.raises(GoneError):
            store.put_stream(key, broken())
    assert store.get("kept") == b"before"
    assert list(store.list()) == ["kept"]


def test_a_stream_may_come_from_the_same_store(store: Store) -> None:
    whole = patterned(2 * PART_BYTES)
    store.put("a", whole)
    assert store.put_stream("b", store.get_stream("a")) == len(whole)
    assert store.get("b") == whole


@pytest.mark.parametrize("span", [(0, None), (3, None), (0, 4), (2, 5), (5, 5), (8, 100), (10, None), (99, 120)])
def test_a_part_can_be_read(store: Store, span: tuple[int, int | None]) -> None:
    store.put("a", b"0123456789")
    assert b"".join(store.get_stream("a", *span)) == b"0123456789"[slice(*span)]


def test_a_stream_of_nothing_says_so_when_asked_for(store: Store) -> None:
    asks: list[Callable[[], object]] = [
        lambda: store.get_stream("a"), lambda: store.get_stream("a", 3), lambda: store.size("a")
    ]  # fmt: skip
    for ask in asks:
        with pytest.raises(NotStored):
            ask()


def test_deleting_a_prefix(store: Store) -> None:
    keys = [f"contents/7/{n}/x" for n in range(30)]
    for key in (*keys, "contents/70/1", "contents/7.1"):
        store.put(key, b"x")
    assert store.delete_prefix("contents/7") == 30
    assert store.delete_prefix("contents/7") == 0
    assert sorted(store.list()) == ["contents/7.1", "contents/70/1"]
    for bad in ("", "/", "..", "../x"):
        with pytest.raises(BadKey):
            store.delete_prefix(bad)


def test_times_are_told(store: Store) -> None:
    store.put("a/b", b"x")
    [(key, written_at)] = store.list_with_times("a")
    assert key == "a/b"
    assert abs(written_at - time.time()) < 60
    assert list(store.list_with_times("nothing")) == []


def test_a_sound_medium_is_reachable(store: Store) -> None:
    store.check()
    room = store.free_bytes()
    assert room is None or room > 0


def test_a_reader_never_sees_a_part(store: Store) -> None:
    size = 2_000_000
    store.put("a", b"0" * size)
    stop = threading.Event()

    def write() -> None:
        for n in range(12):
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


def test_a_stream_that_breaks_off_leaves_no_file(tmp_path: Path) -> None:
    def broken() -> Iterator[bytes]:
        yield b"x" * 1000
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        FolderStore(tmp_path).put_stream("a", broken())
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_writer_left_is_told_of_and_deleted(tmp_path: Path) -> None:
    program = (
        "import sys, os, signal; from pathlib import Path; from docfleet.store import FolderStore\n"
        "def chunks():\n yield b'x' * 1000\n os.kill(os.getpid(), signal.SIGKILL)\n"
        "FolderStore(Path(sys.argv[1])).put_stream('contents/7/source', chunks())\n"
    )
    assert subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False).returncode == -9
    store = FolderStore(tmp_path)
    assert not store.exists("contents/7/source")
    assert list(store.list()) == []
    assert [key for key, _ in store.list_with_times()] == ["contents/7/source"]
    assert store.delete_prefix("contents/7") == 0
    assert list((tmp_path / "contents").iterdir()) == []


def test_a_writer_that_loses_its_folder_to_a_deleter_is_told_so(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    failures: list[BaseException] = []

    def write() -> None:
        try:
            for n in range(150):
                with suppress(StoreError):
                    store.put(f"a/b/{n % 3}", b"x")
                time.sleep(0.002)
        except BaseException as error:
            failures.append(error)

    writers = [threading.Thread(target=write) for _ in range(2)]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        store.delete_prefix("a/b")
    for writer in writers:
        writer.join()
    assert failures == []
    store.delete_prefix("a/b")
    assert list((tmp_path / "a").iterdir()) == []


def test_a_durable_store_flushes_file_and_new_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[str] = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: (flushed.append(os.readlink(f"/proc/self/fd/{file}")), real(file)))
    FolderStore(tmp_path, durable=True).put("a/b/c", b"x")
    # what is in it before its name, and the names of new folders as well
    assert flushed[0].startswith(str(tmp_path / "a" / "b" / "c#"))
    assert sorted(flushed[1:]) == [str(tmp_path), str(tmp_path / "a"), str(tmp_path / "a" / "b")]
    flushed.clear()
    FolderStore(tmp_path, durable=True).put_many({"a/b/d": b"x", "a/b/e": b"x"})
    assert [Path(path).name.partition("#")[0] for path in flushed] == ["d", "e", "b"]
    flushed.clear()
    FolderStore(tmp_path).put("a/b/d", b"x")
    assert flushed == []


def test_a_folder_that_went_away_is_noticed(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "store")
    (tmp_path / "store").rmdir()
    with pytest.raises(StoreError):
        store.check()
    with pytest.raises(StoreError):
        store.free_bytes()


def test_many_are_put_at_once(store: Store) -> None:
    store.put("many/a", b"before")
    store.put_many({"many/a": b"after", "many/deep/b": b"b" * 1000, "other/c": b""})
    assert sorted(store.list()) == ["many/a", "many/deep/b", "other/c"]
    assert [store.get(key) for key in ("many/a", "many/deep/b", "other/c")] == [b"after", b"b" * 1000, b""]
    store.put_many({})
    with pytest.raises(BadKey):
        store.put_many({"many/d": b"d", "../e": b"e"})
    assert sorted(store.list_with_times("many"), key=lambda one: one[0])[-1][0] in ("many/d", "many/deep/b")
