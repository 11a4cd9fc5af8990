"""The parent's side of the sandbox: one child, one open document, and a fresh child whenever one is lost.

Requests are numbered tickets answered in order. `pages` keeps a few of them under way, so that the child works ahead
while the caller reads; any other call may come in between. When the child dies, the ticket at the head is what killed
it; those behind it are asked again of a fresh child.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from docfleet.domain.geometry import Rect
from docfleet.domain.text_layer import TextLayer
from docfleet.errors import DocumentError, OutOfMemory, ParserCrashed
from docfleet.sandbox import wire
from docfleet.sandbox.child_process import ChildDied, ChildProcess
from docfleet.sandbox.faults import error_of
from docfleet.sandbox.links import Links
from docfleet.sandbox.types import (
    ArchiveLimits,
    ArchiveMember,
    Opened,
    PageBundle,
    PageFault,
    Rendered,
    SandboxLimits,
)

WORK_AHEAD = 3
"""Page requests under way at a time: the one awaited and two the child may finish meanwhile."""
_GRACE_SECONDS = 2.0
"""Wall clock beyond CPU time before a child counts as hung: it may have waited for a processor."""


class _Ticket:
    """One request under way, and its reply once that has come."""

    def __init__(self, request: wire.Request, seconds: float) -> None:
        self.request = request
        self.seconds = seconds
        self.tries = 0
        self.reply: tuple[wire.Answer, dict[str, wire.AnyArray]] | DocumentError | None = None


class Sandbox:
    """Decodes and renders untrusted files in a child process with limits.

    A context manager; not thread-safe (one sandbox a thread). The child is started on first use and ends with the
    sandbox, and with the *thread* that started it: Linux ties a process to the thread that made it. Works in forked
    processes (Celery's prefork children) as long as each makes its own sandbox.
    """

    def __init__(self, limits: SandboxLimits = SandboxLimits()) -> None:  # noqa: B008 - frozen value
        self.limits = limits
        self._child: ChildProcess | None = None
        self._owner = os.getpid()
        self._document: wire.OpenDocument | None = None
        self._under_way: deque[_Ticket] = deque()
        self._links = Links()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def child_pid(self) -> int | None:
        """Process id of the child, while there is one."""
        return self._child.pid if self._child else None

    def close(self) -> None:
        """Ends the child. The sandbox may be used again: a new child is started then."""
        self._document = None
        self._drop_child()
        self._links.drop()

    def start(self) -> None:
        """Starts the child ahead of use, without waiting for it."""
        if self._child is None:
            self._child = ChildProcess(self.limits)

    # --- documents ---------------------------------------------------------------------------------------------------

    def open(self, path: str | Path, mime_type: str, passwords: Iterable[str] = ()) -> Opened:
        """Opens a document, closing the one before. `mime_type` as `domain.media` names it; the first password that
        fits is used, the empty one is always tried.

        Raises `DocumentError`: what the document is, or what it did to the child.
        """
        self._settle()
        self._document = None
        if self._child is not None and self._is_worn(self._child):
            self._drop_child()
        request = wire.OpenDocument(self._links.reach(path), mime_type, tuple(passwords))
        try:
            opened = self._open(request)
        except ParserCrashed:
            # The parser may survive what qpdf makes of the file.
            if mime_type != "application/pdf":
                raise
            request = msgspec.structs.replace(request, repair_first=True)
            opened = self._open(request)
        self._document = request
        return opened

    def _open(self, request: wire.OpenDocument) -> Opened:
        answer, _ = self._ask(request, self.limits.open_seconds)
        opened: Opened = self._decode(answer, Opened)
        return opened

    def pages(self, numbers: Iterable[int]) -> Iterator[PageBundle | PageFault]:
        """Facts and text layer of each page asked for (from 1), in order; a page that cannot be read is a fault.

        The child works ahead; `render` and other calls may be made between two pages.
        """
        waiting: deque[tuple[int, _Ticket]] = deque()
        for number in numbers:
            waiting.append((number, self._submit(wire.ReadPage(number), self.limits.page_seconds)))
            if len(waiting) >= WORK_AHEAD:
                yield self._page(*waiting.popleft())
        while waiting:
            yield self._page(*waiting.popleft())

    def _page(self, number: int, ticket: _Ticket) -> PageBundle | PageFault:
        try:
            answer, arrays = self._await(ticket)
            body = self._decode(answer, wire.PageBody)
            text = self._text_layer(body.text, arrays) if body.text is not None else None
        except DocumentError as error:
            return PageFault(number, error)
        return PageBundle(number, body.facts, text)

    def _text_layer(self, body: wire.TextLayerBody, arrays: dict[str, wire.AnyArray]) -> TextLayer:
        try:
            return TextLayer(
                **arrays,
                font_names=body.font_names,
                font_weights=body.font_weights,
                font_italics=body.font_italics,
                rulings=body.rulings,
            )
        except TypeError as error:
            self._drop_child()
            raise ParserCrashed() from error

    def render(self, number: int, dpi: float, grey: bool = False, region: Rect | None = None) -> Rendered:
        """Pixels of a page, or of `region` of it (page units, page frame), at `dpi` or as much of it as the pixel
        limit allows; images are never enlarged beyond their own pixels.

        Raises `DocumentError`, `PageTooLarge` among them when no readable resolution fits.
        """
        answer, arrays = self._ask(wire.RenderPage(number, dpi, grey, region), self.limits.page_seconds)
        body = self._decode(answer, wire.RenderedBody)
        return Rendered(arrays["pixels"], body.dpi)

    # --- jobs --------------------------------------------------------------------------------------------------------

    def call(self, name: str, seconds: float, **kwargs: Any) -> dict[str, Any]:
        """Runs a registered job ("docfleet.sandbox.module:function") in the child; see `child.JOBS`.

        Arguments are what msgpack can carry, paths and arrays among them. Raises `DocumentError`.
        """
        plain = {key: self._links.reach(value) if isinstance(value, Path) else value for key, value in kwargs.items()}
        encoded = msgspec.Raw(wire.encoder.encode(plain))
        answer, _ = self._ask(wire.RunJob(name, seconds, encoded), seconds)
        result: dict[str, Any] = self._decode(answer, dict[str, Any])
        return result

    def unpack(
        self,
        path: str | Path,
        folder: str | Path,
        limits: ArchiveLimits = ArchiveLimits(),  # noqa: B008 - frozen value
        passwords: Iterable[str] = (),
    ) -> list[ArchiveMember]:
        """Unpacks a zip archive, archives within it too, into `folder` (which exists), under numbered names.

        Raises `ArchiveUnsafe` past the limits, `Damaged` when it is no archive; a member that is refused stands in the
        list with its error.
        """
        found = self.call(
            "docfleet.sandbox.archive:unpack_archive",
            limits.seconds,
            path=self._links.reach(path),
            folder=os.path.abspath(folder),
            limits=limits,
            passwords=list(passwords),
        )
        try:
            members = msgspec.convert(found["members"], list[wire.MemberBody])
        except (KeyError, msgspec.ValidationError) as error:
            raise ParserCrashed() from error
        place = Path(os.path.abspath(folder))
        return [
            ArchiveMember(
                name=member.name,
                # Only the last part of what the child says: it must not point the parent elsewhere.
                path=str(place / os.path.basename(member.file)) if member.file else None,
                size=member.size,
                error=error_of(member.code, member.message) if member.code else None,
            )
            for member in members
        ]

    # --- tickets -----------------------------------------------------------------------------------------------------

    def _ask(self, request: wire.Request, seconds: float) -> tuple[wire.Answer, dict[str, wire.AnyArray]]:
        return self._await(self._submit(request, seconds))

    def _submit(self, request: wire.Request, seconds: float) -> _Ticket:
        ticket = _Ticket(request, seconds)
        self._check_process()
        if not self._under_way and self._child is not None and self._is_worn(self._child):
            self._drop_child()
        self._under_way.append(ticket)
        if self._child is None:
            self._revive()
        else:
            self._send(ticket)
        return ticket

    def _await(self, ticket: _Ticket) -> tuple[wire.Answer, dict[str, wire.AnyArray]]:
        while ticket.reply is None:
            self._receive_head()
        if isinstance(ticket.reply, DocumentError):
            raise ticket.reply
        return ticket.reply

    def _send(self, ticket: _Ticket) -> None:
        assert self._child is not None
        ticket.tries += 1
        try:
            self._child.send(ticket.request)
        except ChildDied as death:
            self._lose_child(death.error, death.killed)

    def _receive_head(self) -> None:
        """Takes one reply off the wire and gives it to the ticket at the head."""
        if self._child is None:
            self._revive()
            return
        head = self._under_way[0]
        child = self._child
        try:
            reply, descriptor = child.receive(head.seconds + _GRACE_SECONDS)
            arrays = self._map(reply, descriptor)
        except ChildDied as death:
            self._lose_child(death.error, death.killed)
            return
        except wire.Garbled:
            child.kill()
            self._lose_child(ParserCrashed())
            return
        if isinstance(reply, wire.Answer):
            head.reply = (reply, arrays)
        else:
            error = error_of(reply.code, reply.message)
            if isinstance(error, OutOfMemory) and not child.is_fresh and head.tries < 2:
                # Memory is short in a child that has read much before: the page may do well in a new one.
                child.kill()
                self._lose_child(error)
                return
            head.reply = error
        self._under_way.popleft()

    @staticmethod
    def _map(reply: wire.Reply, descriptor: int | None) -> dict[str, wire.AnyArray]:
        try:
            return wire.map_arrays(reply.arrays, descriptor) if isinstance(reply, wire.Answer) else {}
        finally:
            if descriptor is not None:
                os.close(descriptor)

    def _lose_child(self, error: DocumentError, killed: bool = False) -> None:
        """The child is dead: the ticket at the head gets the blame, unless an older child may have been the cause.

        One that was `killed` may have been killed for anything, memory that others took among it: once more, then.
        """
        child, self._child = self._child, None
        if not self._under_way:
            return
        head = self._under_way[0]
        proven = (child is not None and child.is_fresh) or not isinstance(error, ParserCrashed | OutOfMemory)
        fair = child is None or head.tries > 1 or (proven and not killed)
        if fair:
            head.reply = error
            self._under_way.popleft()
        if self._under_way:
            self._revive()

    def _revive(self) -> None:
        """A fresh child, the document open in it again, all tickets under way asked again."""
        child = self._child = ChildProcess(self.limits)
        first = self._under_way[0].request if self._under_way else None
        if self._document is not None and not isinstance(first, wire.OpenDocument | wire.RunJob):
            error = self._reopen(child, self._document)
            if error is not None:
                self._child = None
                for ticket in self._under_way:
                    ticket.reply = error
                self._under_way.clear()
                return
        for ticket in tuple(self._under_way):
            if self._child is not child:
                return  # lost while asking; whoever noticed has taken care of the rest
            self._send(ticket)

    @staticmethod
    def _reopen(child: ChildProcess, document: wire.OpenDocument) -> DocumentError | None:
        try:
            child.send(document)
            reply, descriptor = child.receive(child.limits.open_seconds + _GRACE_SECONDS)
        except ChildDied as death:
            return death.error
        if descriptor is not None:
            os.close(descriptor)
        if isinstance(reply, wire.Refusal):
            child.kill()
            return error_of(reply.code, reply.message)
        return None

    def _settle(self) -> None:
        """Lets requests under way finish, so that no reply is taken for another's."""
        while self._under_way:
            self._receive_head()

    def _is_worn(self, child: ChildProcess) -> bool:
        return child.requests >= self.limits.recycle_requests or child.resident_bytes > self.limits.recycle_memory_bytes

    def _drop_child(self) -> None:
        child, self._child = self._child, None
        for ticket in self._under_way:
            ticket.reply = ParserCrashed("The sandbox was closed.")
        self._under_way.clear()
        if child is not None and self._owner == os.getpid():
            child.kill()

    def _check_process(self) -> None:
        if self._owner != os.getpid():
            # Forked: the child belongs to the process that started it.
            self._owner, self._child, self._document = os.getpid(), None, None
            self._under_way.clear()

    def _decode(self, answer: wire.Answer, kind: Any) -> Any:
        try:
            return msgspec.msgpack.decode(answer.body, type=kind)
        except msgspec.DecodeError as error:
            self._drop_child()
            raise ParserCrashed() from error
