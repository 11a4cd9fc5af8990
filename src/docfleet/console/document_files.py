"""What the console fetches of a document to show it: its original for the pictures, its JSON for what is laid over.

Every look asks the API first, with the key of whoever looks, whether that one may have it still: a copy that is here
for somebody else is shown to nobody who may not see the original.
"""

from __future__ import annotations

import asyncio
import time
import weakref
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from docfleet.console.client import Api
from docfleet.console.page_index import PagedJson, write_index
from docfleet.console.page_view import page_view
from docfleet.console.pictures import Press, require_packages, width_for
from docfleet.console.problems import ApiProblem
from docfleet.console.scratch import Scratch
from docfleet.errors import PasswordRequired

_BELIEVED_SECONDS = 5.0
_MOST_REMEMBERED = 4096


_open: weakref.WeakSet[DocumentFiles] = weakref.WeakSet()


async def forget_copies(document: str) -> None:
    """The document was deleted from here: nothing of it stays in this process."""
    for files in list(_open):
        await files.forget(document)


def locked() -> ApiProblem:
    return ApiProblem(
        422, "password_required", "The file is encrypted",
        "The submitted file is encrypted, and there is no searchable PDF of it that could be shown instead.",
        "Give its password by Retry or Read again, with the searchable PDF among the formats.",
    )  # fmt: skip


class Stored(msgspec.Struct, frozen=True):
    """What the API tells of bytes before it sends them."""

    sha256: str
    size: int
    media_type: str


class DocumentFiles:
    """Copies and pictures of one process, for all who are signed in."""

    def __init__(self, scratch: Scratch, press: Press, clock: Callable[[], float] = time.monotonic) -> None:
        self._scratch = scratch
        self._press = press
        self._clock = clock
        self._told: dict[tuple[str, str], tuple[float, Stored]] = {}
        self._locked: set[str] = set()
        _open.add(self)

    async def picture(self, api: Api, session: str, document: str, number: int, width: float) -> bytes:
        """Page `number` (from 1) as WebP; of an encrypted file from its searchable PDF, which is not encrypted.

        Raises `ApiProblem`, and `DocumentError` for what the file is.
        """
        require_packages()
        source = f"/v1/documents/{document}/source"
        stored = await self._stored(api, session, source)
        step = width_for(width)
        if stored.sha256 not in self._locked:
            try:
                return await self._drawn(api, document, source, stored, number, step)
            except PasswordRequired:
                if len(self._locked) >= _MOST_REMEMBERED:
                    self._locked.clear()
                self._locked.add(stored.sha256)
        result = f"/v1/documents/{document}/results/pdf"
        try:
            unlocked = await self._stored(api, session, result)
        except ApiProblem as problem:
            if problem.status not in (404, 409):
                raise
            raise locked() from problem
        return await self._drawn(api, document, result, unlocked, number, step)

    async def _drawn(self, api: Api, document: str, address: str, stored: Stored, number: int, step: int) -> bytes:
        async def draw(target: Path) -> None:
            async with self._copy(api, document, address, stored) as file:
                await self._press.draw(file, stored.media_type, number, step, target)

        async with self._scratch.held(f"{document} {stored.sha256} {number} {step}", document, draw) as path:
            return await asyncio.to_thread(path.read_bytes)

    async def page(self, api: Api, session: str, document: str, number: int) -> dict[str, Any]:
        """What stands on the page, for the viewer. Raises `ApiProblem`."""
        async with self._paged(api, session, document) as paged:

            def look() -> dict[str, Any]:
                return page_view(_page_of(paged, number), paged.text)

            return await asyncio.to_thread(look)

    async def page_json(self, api: Api, session: str, document: str, number: int) -> bytes:
        """The page as it stands in document.json. Raises `ApiProblem`."""
        async with self._paged(api, session, document) as paged:
            return await asyncio.to_thread(_page_of, paged, number)

    async def forget(self, document: str) -> None:
        for key in [key for key in self._told if key[1].split("/")[3] == document]:
            del self._told[key]
        await self._press.leave()
        self._scratch.forget(document)

    def close(self) -> None:
        self._press.close()
        self._scratch.close()

    @asynccontextmanager
    async def _paged(self, api: Api, session: str, document: str) -> AsyncIterator[PagedJson]:
        result = f"/v1/documents/{document}/results/json"
        stored = await self._stored(api, session, result)
        async with self._copy(api, document, result, stored) as file:

            async def index(target: Path) -> None:
                await asyncio.to_thread(write_index, file, target)

            async with self._scratch.held(f"{document} {stored.sha256} index", document, index) as index_file:
                yield await asyncio.to_thread(PagedJson, file, index_file)

    @asynccontextmanager
    async def _copy(self, api: Api, document: str, address: str, stored: Stored) -> AsyncIterator[Path]:
        if stored.size > self._scratch.max_bytes // 2:
            raise ApiProblem(
                413, "too_large_to_show", "Too large to be shown",
                f"The file has {stored.size / 1e9:.1f} GB: more than the console has room for.", "Download it instead.",
            )  # fmt: skip

        async def fetch(target: Path) -> None:
            with target.open("xb") as out:
                target.chmod(0o600)
                async with api.stream(address) as response:
                    async for chunk in response.aiter_bytes():
                        await asyncio.to_thread(out.write, chunk)
            if target.stat().st_size != stored.size:
                raise ApiProblem(
                    502, "broke_off", "The copy broke off", "The service broke off while it sent the file.",
                    "Load the page again.",
                )  # fmt: skip

        async with self._scratch.held(f"{document} {stored.sha256} {address}", document, fetch) as path:
            yield path

    async def _stored(self, api: Api, session: str, address: str) -> Stored:
        """Raises `ApiProblem` where this session may not read it, or it is not there any more."""
        now = self._clock()
        known = self._told.get((session, address))
        if known is not None and now < known[0]:
            return known[1]
        try:
            # one byte of it: unlike HEAD, a refusal of this one says why
            asked = {"range": "bytes=0-0", "accept-encoding": "identity"}
            async with api.stream(address, headers=asked) as response:
                headers = response.headers
        except ApiProblem as problem:
            if problem.status == 410:
                await self.forget(address.split("/")[3])
            raise
        stored = Stored(
            headers.get("etag", "").strip('"'),
            int(headers.get("content-range", "/0").rpartition("/")[2]),
            headers.get("content-type", "").partition(";")[0],
        )
        if len(self._told) >= _MOST_REMEMBERED:
            self._told.clear()
        self._told[(session, address)] = (now + _BELIEVED_SECONDS, stored)
        return stored


def _page_of(paged: PagedJson, number: int) -> bytes:
    try:
        return paged.page(number)
    except KeyError as error:
        raise ApiProblem(
            404, "page_not_read", "Nothing was read of this page", "Nothing was read of this page."
        ) from error
