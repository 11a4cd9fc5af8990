"""From what the user named to what is sent: files found, archives unpacked, all hashed; the same bytes sent once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from docfleet.domain.file_names import name_as_text
from docfleet.domain.media import HEAD_BYTES, ZIP, recognise_signature
from docfleet.errors import DocumentError, SourceChanged, SourceUnreadable, UnsupportedType
from docfleet.pipeline.collect import SourceFile, collect
from docfleet.pipeline.intake import folder_name, sha256_of


class Item(msgspec.Struct, frozen=True):
    """One input: a file to send, the same bytes as another, or one that is refused here."""

    name: str
    """As the user would name it; members of archives as "archive.zip/member"."""
    path: Path | None = None
    size_bytes: int = 0
    sha256: str = ""
    folder: str = ""
    """Wanted name of its result folder."""
    error: DocumentError | None = None
    sent_as: str = ""
    """The name the service is told: where on this machine the file lies is nobody's business there."""


def gather(
    inputs: Sequence[str], unpacked: Path, exclude: Path | None = None, passwords: Sequence[str] = ()
) -> Iterator[Item]:
    """Every input, in a stable order. Archives are unpacked below `unpacked` (which exists), in a sandbox.

    Raises `UsageError` for a name that matches nothing.
    """
    for number, file in enumerate(collect(inputs, exclude=exclude)):
        yield from _items_of(file, unpacked / f"{number:06d}", passwords)


def _items_of(file: SourceFile, place: Path, passwords: Sequence[str]) -> Iterator[Item]:
    try:
        if not file.path.exists():
            raise SourceChanged
        if not file.path.is_file():
            raise SourceUnreadable if file.path.is_dir() else UnsupportedType
        with file.path.open("rb") as opened:
            head = opened.read(HEAD_BYTES)
        if recognise_signature(head) is ZIP:
            place.mkdir()
            yield from _members_of(file, place, passwords)
        else:
            yield _item(file.shown, file.path, file.path.name, file.below)
    except PermissionError:
        yield Item(file.shown, error=SourceUnreadable())
    except OSError as error:
        yield Item(file.shown, error=SourceChanged(f"The file could not be opened: {error.strerror or error}."))
    except DocumentError as error:
        yield Item(file.shown, error=error)


def _item(shown: str, path: Path, file_name: str, sent_as: str) -> Item:
    folder = folder_name(name_as_text(file_name))
    return Item(shown, path, path.stat().st_size, sha256_of(path), folder, sent_as=sent_as)


def _members_of(file: SourceFile, place: Path, passwords: Sequence[str]) -> Iterator[Item]:
    # the sandbox and its limits are only loaded when there is an archive
    from docfleet.pipeline.identify import identify
    from docfleet.runtime import archive_limits, sandbox_limits
    from docfleet.sandbox import Sandbox
    from docfleet.settings import read_settings

    identify(file.path)  # an office file is a zip as well, and no archive of documents
    limits = read_settings().limits
    sandbox = Sandbox(sandbox_limits(limits))
    try:
        for member in sandbox.unpack(file.path, place, archive_limits(limits), passwords):
            shown = f"{file.shown}/{member.name}"
            if member.error is not None or member.path is None:
                yield Item(shown, error=member.error or SourceChanged())
            else:
                yield _item(shown, Path(member.path), Path(member.name).name, f"{file.below}/{member.name}")
    finally:
        sandbox.close()


def same_bytes(items: Iterable[Item]) -> dict[str, Item]:
    """SHA-256 -> the first input with these bytes: the one that is sent."""
    first: dict[str, Item] = {}
    for item in items:
        if item.error is None:
            first.setdefault(item.sha256, item)
    return first
