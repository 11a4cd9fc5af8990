"""What encryption at rest promises, over every store."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest

from docfleet.errors import BadKey, NotIntact, NotStored, StoreError, UsageError
from docfleet.store import FolderStore, MemoryStore, Store
from docfleet.store.encryption import DataKey, EncryptedStore, MasterKey, plain_size
from docfleet.store.keys import HEADER_BYTES, SEGMENT_BYTES, TAG_BYTES

FIRST = SEGMENT_BYTES - HEADER_BYTES - TAG_BYTES
"""Plain bytes of the first segment."""
EDGES = (
    0, 1, 100_000, FIRST - 1, FIRST, FIRST + 1, SEGMENT_BYTES, FIRST + SEGMENT_BYTES - TAG_BYTES,
    FIRST + SEGMENT_BYTES - TAG_BYTES + 1, 3_000_000,
)  # fmt: skip


@pytest.fixture(scope="module")
def master() -> MasterKey:
    return MasterKey.generate()


@pytest.fixture
def data_key(master: MasterKey) -> DataKey:
    return master.new_data_key()[1]


@pytest.fixture(params=["folder", "memory"])
def below(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return FolderStore(tmp_path / "store") if request.param == "folder" else MemoryStore()


def patterned(size: int) -> bytes:
    return (bytes(range(251)) * (size // 251 + 1))[:size]


@pytest.mark.parametrize("size", EDGES)
def test_what_is_put_is_got_and_measured(below: Store, data_key: DataKey, size: int) -> None:
    store = EncryptedStore(below, data_key)
    plain = patterned(size)
    store.put("a/whole", plain)
    assert store.put_stream("a/parts", (plain[at : at + 70_001] for at in range(0, size, 70_001))) == size
    for key in ("a/whole", "a/parts"):
        assert store.get(key) == plain
        assert b"".join(store.get_stream(key)) == plain
        assert store.size(key) == size == plain_size(below.size(key))
        assert size < 100 or plain[:50] not in below.get(key)


@pytest.mark.parametrize("span", [(0, 10), (5, None), (65_000, 66_000), (99_999, 100_000), (100_000, None), (7, 7)])
def test_ranges_are_of_the_plain_bytes(below: Store, data_key: DataKey, span: tuple[int, int | None]) -> None:
    store = EncryptedStore(below, data_key)
    plain = patterned(100_000)
    store.put("a", plain)
    assert b"".join(store.get_stream("a", *span)) == plain[slice(*span)]


def test_the_same_bytes_are_never_stored_alike(below: Store, data_key: DataKey) -> None:
    store = EncryptedStore(below, data_key)
    store.put("a", b"same")
    store.put("b", b"same")
    assert below.get("a") != below.get("b")


def damages(stored: bytes) -> Iterator[tuple[str, bytes]]:
    for place in (0, 1, HEADER_BYTES - 1, HEADER_BYTES, SEGMENT_BYTES, len(stored) // 2, len(stored) - 1):
        yield f"bit {place}", stored[:place] + bytes([stored[place] ^ 1]) + stored[place + 1 :]
    for length in (0, 1, HEADER_BYTES, HEADER_BYTES + TAG_BYTES, SEGMENT_BYTES, 2 * SEGMENT_BYTES, len(stored) - 1):
        yield f"cut to {length}", stored[:length]
    yield "longer", stored + b"\0"
    yield "much longer", stored + stored
    swapped = stored[:SEGMENT_BYTES] + stored[2 * SEGMENT_BYTES : 3 * SEGMENT_BYTES]
    yield "segments exchanged", swapped + stored[SEGMENT_BYTES : 2 * SEGMENT_BYTES] + stored[3 * SEGMENT_BYTES :]


def test_what_was_altered_is_never_passed_off_as_whole(below: Store, data_key: DataKey) -> None:
    store = EncryptedStore(below, data_key)
    plain = patterned(4 * SEGMENT_BYTES)
    store.put("a", plain)
    for what, damaged in damages(below.get("a")):
        below.put("a", damaged)
        with pytest.raises(NotIntact, match="a cannot be decrypted"):
            store.get("a")
        given: list[bytes] = []
        with pytest.raises(NotIntact, match="altered or cut off"):
            given.extend(store.get_stream("a"))
        assert plain.startswith(b"".join(given)), what


def test_another_data_key_opens_nothing(below: Store, data_key: DataKey, master: MasterKey) -> None:
    EncryptedStore(below, data_key).put("a", b"secret")
    stranger = EncryptedStore(below, master.new_data_key()[1])
    with pytest.raises(NotIntact, match="not the key it was encrypted with"):
        stranger.get("a")


def test_objects_cannot_be_exchanged(below: Store, data_key: DataKey) -> None:
    store = EncryptedStore(below, data_key)
    store.put("contents/c/results/1", b"one")
    store.put("contents/c/results/2", b"two")
    below.put("contents/c/results/1", below.get("contents/c/results/2"))
    with pytest.raises(StoreError):
        store.get("contents/c/results/1")


def test_errors_of_the_store_below_pass_unchanged(below: Store, data_key: DataKey) -> None:
    store = EncryptedStore(below, data_key)
    for ask in (store.get, store.get_stream, store.size, store.local_path):
        with pytest.raises(NotStored):
            ask("nothing")
    with pytest.raises(BadKey):
        store.put("../a", b"")
    with pytest.raises(BadKey):
        store.put_stream("../a", [b""])


def test_an_upload_that_breaks_off_leaves_nothing(below: Store, data_key: DataKey) -> None:
    def broken() -> Iterator[bytes]:
        yield patterned(500_000)
        raise ConnectionResetError("the client is gone")

    store = EncryptedStore(below, data_key)
    with pytest.raises(ConnectionResetError):
        store.put_stream("a", broken())
    assert not store.exists("a")
    assert list(below.list()) == []


class FailingStore(MemoryStore):
    """A medium that fails in the middle of an object."""

    def get_stream(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        whole = self.get(key)

        def parts() -> Iterator[bytes]:
            yield whole[:70_000]
            raise StoreError("the medium failed")

        return parts()


def test_a_medium_that_fails_while_reading_is_not_taken_for_an_alteration(data_key: DataKey) -> None:
    store = EncryptedStore(FailingStore(), data_key)
    store.put("a", patterned(300_000))
    with pytest.raises(StoreError, match="the medium failed"):
        list(store.get_stream("a"))


def test_a_file_below_is_never_given_as_the_plain_one(tmp_path: Path, data_key: DataKey) -> None:
    store = EncryptedStore(FolderStore(tmp_path), data_key)
    store.put("a", b"1")
    assert store.local_path("a") is None


def test_a_wrapped_key_opens_what_it_encrypted(below: Store, master: MasterKey) -> None:
    wrapped, data_key = master.new_data_key()
    EncryptedStore(below, data_key).put("a", b"bytes")
    again = MasterKey.from_base64(master.to_base64() + "\n")
    assert EncryptedStore(below, again.unwrap(wrapped)).get("a") == b"bytes"


def test_another_master_key_opens_nothing(master: MasterKey) -> None:
    wrapped, _ = master.new_data_key()
    sealed = master.seal(b"secret", "webhook secret")
    stranger = MasterKey.generate()
    with pytest.raises(StoreError, match="another master key"):
        stranger.unwrap(wrapped)
    with pytest.raises(StoreError, match="not among these"):
        stranger.rewrap(wrapped)
    with pytest.raises(StoreError, match="webhook secret cannot be opened"):
        stranger.open(sealed, "webhook secret")


@pytest.mark.parametrize("altered", [b"", b"x", b"\0" * 200])
def test_a_wrapped_key_that_was_altered(master: MasterKey, altered: bytes) -> None:
    wrapped, _ = master.new_data_key()
    for bad in (altered, wrapped[:-1], wrapped + b"\0", wrapped[:-1] + bytes([wrapped[-1] ^ 1])):
        with pytest.raises(StoreError):
            master.unwrap(bad)


def test_a_secret_opens_for_its_purpose_only(master: MasterKey) -> None:
    sealed = master.seal(b"secret", "webhook w1")
    assert master.open(sealed, "webhook w1") == b"secret"
    with pytest.raises(StoreError):
        master.open(sealed, "webhook w2")
    with pytest.raises(StoreError):
        master.unwrap(master.seal(b"secret", "data key"))


def test_a_rotated_master_key_opens_the_old_and_wraps_with_the_new(master: MasterKey) -> None:
    old_wrapped, _ = master.new_data_key()
    sealed = master.seal(b"secret", "x")
    rotated = MasterKey.from_base64(master.rotated().to_base64())
    assert rotated.key_ids()[1:] == master.key_ids()
    rotated.unwrap(old_wrapped)
    assert rotated.open(sealed, "x") == b"secret"
    new_wrapped, _ = rotated.new_data_key()
    with pytest.raises(StoreError):
        master.unwrap(new_wrapped)
    with pytest.raises(StoreError):
        master.unwrap(rotated.rewrap(old_wrapped))
    assert set(rotated.rotated().key_ids()[1:]) == set(rotated.key_ids())


@pytest.mark.parametrize("text", ["", "not base64!", "aGVsbG8=", base64.b64encode(b"\x08\x01" * 40).decode()])
def test_what_is_no_master_key_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="master key"):
        MasterKey.from_base64(text)
